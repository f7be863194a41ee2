//! Files of runs.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mlflow_client::{Client, Error};

use super::run;

pub(super) async fn files_go_up_and_come_down(client: &Client) {
    let id = run(client).await;
    let files = client.artifacts();
    files
        .upload(&id, "model/weights v1+ü.bin", Bytes::from_static(b"\0\x01weights"))
        .await
        .unwrap();
    let chunks = stream::iter((0..100).map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![n; 1000]))));
    files.upload_stream(&id, "model/large.bin", chunks).await.unwrap();
    let mut listed: Vec<_> = files
        .list(&id, "model")
        .await
        .unwrap()
        .into_iter()
        .map(|file| (file.path, file.file_size))
        .collect();
    listed.sort();
    assert_eq!(
        listed,
        [
            ("model/large.bin".to_owned(), Some(100_000)),
            ("model/weights v1+ü.bin".to_owned(), Some(9))
        ]
    );
    assert!(files.list(&id, "").await.unwrap()[0].is_dir);
    assert_eq!(
        files.read(&id, "model/weights v1+ü.bin").await.unwrap(),
        Bytes::from_static(b"\0\x01weights")
    );
    let down = files.download(&id, "model/large.bin").await.unwrap();
    let size: usize = down
        .map(|chunk| chunk.unwrap().len())
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .sum();
    assert_eq!(size, 100_000);
    for path in ["../x", "/x", "a//b", "a/./b", ""] {
        assert!(
            matches!(files.upload(&id, path, "x").await, Err(Error::InvalidRequest(_))),
            "{path:?}"
        );
    }
    files.delete(&id, "model").await.unwrap();
    assert!(files.list(&id, "").await.unwrap().is_empty());
}
