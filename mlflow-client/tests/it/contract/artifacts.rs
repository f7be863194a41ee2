//! Files of runs.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use mlflow_client::{Client, CreateModelVersion, Digest, DigestAlgorithm, Error, FileInfo, Stage, TransferOptions};

use super::{run, unique};

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

pub(super) async fn folders_go_up_and_come_down(client: &Client) {
    let local = tempfile::tempdir().unwrap();
    for (path, content) in [
        ("MLmodel", "flavors: {}"),
        ("data/weights 1+ü.bin", "w"),
        ("data/deep/er/empty", ""),
        ("100%.txt", "all"),
    ] {
        let place = local.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
    }
    let repository = client.artifacts().of_run(&run(client).await).await.unwrap();
    let options = TransferOptions::new().parallel(2).digest(DigestAlgorithm::Sha256);
    let repository = repository.with(options);
    let up = repository.upload_folder("model", local.path()).await.unwrap();
    let paths: Vec<_> = up.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "model/100%.txt",
            "model/MLmodel",
            "model/data/deep/er/empty",
            "model/data/weights 1+ü.bin"
        ]
    );
    let all: Vec<FileInfo> = repository.list_all("").try_collect().await.unwrap();
    let shown = |is_dir| {
        all.iter()
            .filter(|file| file.is_dir == is_dir)
            .map(|file| file.path.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(true),
        ["model", "model/data", "model/data/deep", "model/data/deep/er"]
    );
    let mut files = shown(false);
    files.sort_unstable();
    assert_eq!(files, paths);

    let target = tempfile::tempdir().unwrap();
    let into = target.path().join("new/model");
    let down = repository.download_folder("model", &into).await.unwrap();
    assert_eq!(down, up);
    assert_eq!(std::fs::read(into.join("data/weights 1+ü.bin")).unwrap(), b"w");
    assert_eq!(std::fs::read(into.join("data/deep/er/empty")).unwrap(), b"");
    let names: Vec<_> = std::fs::read_dir(&into)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 3, "nothing else is left there: {names:?}");
    assert!(repository.download_folder("nothing", &into).await.unwrap().is_empty());
}

pub(super) async fn files_are_moved_whole(client: &Client) {
    let repository = client.artifacts().of_run(&run(client).await).await.unwrap();
    let local = tempfile::tempdir().unwrap();
    let (source, target) = (local.path().join("source"), local.path().join("target"));
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3_000_001).collect();
    std::fs::write(&source, &content).unwrap();
    let told = Arc::new(Mutex::new((0, None)));
    let into = Arc::clone(&told);
    let watched = TransferOptions::new().on_progress(move |at| {
        assert_eq!(at.path, "large.bin");
        *into.lock().unwrap() = (at.bytes, at.size);
    });
    let watched = repository.clone().with(watched);
    watched.upload_file("large.bin", &source).await.unwrap();
    assert_eq!(*told.lock().unwrap(), (3_000_001, Some(3_000_001)));
    std::fs::write(&target, "old").unwrap();
    let digest = Digest::of(DigestAlgorithm::Sha256, &content);
    let expecting = |digest: &Digest| {
        repository
            .clone()
            .with(TransferOptions::new().expect(digest.clone()).sync(true))
    };
    let refused = expecting(&Digest::of(DigestAlgorithm::Md5, "other"))
        .download_file("large.bin", &target)
        .await;
    assert!(matches!(refused, Err(Error::UnexpectedResponse(_))), "{refused:?}");
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    let got = expecting(&digest).download_file("large.bin", &target).await.unwrap();
    assert_eq!(
        (got.bytes, std::fs::read(&target).unwrap() == content),
        (3_000_001, true)
    );
    watched.download_file("large.bin", &target).await.unwrap();
    // MLflow 2 does not tell the size.
    let (bytes, size) = *told.lock().unwrap();
    assert!(
        bytes == 3_000_001 && size.is_none_or(|size| size == bytes),
        "{bytes} {size:?}"
    );
    // What is not there leaves no trace.
    let missing = repository.download_file("missing", &target).await.unwrap_err();
    assert!(!missing.is_retryable(), "{missing}");
    assert_eq!(std::fs::read_dir(local.path()).unwrap().count(), 2);
    let missing = repository.upload_file("x", local.path().join("missing")).await;
    assert!(matches!(missing, Err(Error::File(_))), "{missing:?}");
}

pub(super) async fn addresses_lead_to_artifacts(client: &Client) {
    let id = run(client).await;
    let artifacts = client.artifacts();
    artifacts.upload(&id, "model/data/f", "content").await.unwrap();
    let name = unique("addressed");
    client.registered_models().create(name.as_str()).await.unwrap();
    let version = client
        .model_versions()
        .create(CreateModelVersion::of_run(&name, &id, "model"))
        .await
        .unwrap();
    client
        .registered_models()
        .set_alias(&name, "champion", version.version)
        .await
        .unwrap();
    client
        .model_versions()
        .transition_stage(&name, version.version, Stage::Staging, false)
        .await
        .unwrap();
    let direct = artifacts.of_run(&id).await.unwrap().uri().to_owned();
    for uri in [
        format!("runs:/{id}/model"),
        format!("models:/{name}/1"),
        format!("models:/{name}/latest"),
        format!("models:/{name}/staging"),
        format!("models:/{name}@champion"),
        format!("{direct}/model"),
    ] {
        let repository = artifacts.at(&uri).await.unwrap();
        assert_eq!(repository.uri(), format!("{direct}/model"), "{uri}");
        assert_eq!(repository.read("data/f").await.unwrap(), "content", "{uri}");
        let below = artifacts.at(&format!("{uri}/data")).await.unwrap();
        assert_eq!(below.list("").await.unwrap()[0].path, "f", "{uri}");
    }
    for missing in [format!("models:/{name}/7"), format!("models:/{name}/Production")] {
        let error = artifacts.at(&missing).await.unwrap_err();
        assert!(error.is_not_found(), "{missing}: {error}");
    }
    for bad in [
        format!("models:/{name}"),
        format!("runs:/{id}/../x"),
        "runs:/".to_owned(),
    ] {
        assert!(
            matches!(artifacts.at(&bad).await, Err(Error::InvalidRequest(_))),
            "{bad}"
        );
    }
    let elsewhere = artifacts.at("mlflow-artifacts://other.example.com/1").await;
    assert!(matches!(elsewhere, Err(Error::Unsupported(_))), "{elsewhere:?}");
}
