//! Artifacts that are kept in S3, which is set up by the environment as its own tools read it, and reached without the
//! server.

mod double;

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use mlflow_client::testing::MlflowServer;
use mlflow_client::{ArtifactRepository, CreateExperiment, CreateRun, Digest, DigestAlgorithm, Error};

use self::double::S3;
use super::transfers::{client, large, parts};
use crate::child;

const CHILD: &str = "S3_TEST_CHILD";
const LIMIT: Duration = Duration::from_secs(60);

/// Variables are a process's own, so the part that reads them runs in one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn artifacts_in_s3_are_reached_by_what_the_environment_says() {
    if let Some(address) = std::env::var_os(CHILD) {
        return in_the_store(address.to_str().unwrap()).await;
    }
    let s3 = S3::default();
    let address = s3.start().await;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        // Whoever runs this may have a store of their own.
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"))
        .env(CHILD, address.uri())
        .env("MLFLOW_S3_ENDPOINT_URL", address.uri())
        .env("AWS_ACCESS_KEY_ID", double::KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", "v3ry-s3cret")
        .env("AWS_DEFAULT_REGION", double::REGION);
    let test = "s3::artifacts_in_s3_are_reached_by_what_the_environment_says";
    let told = child::passes(command, test).await;
    assert!(!told.contains("v3ry-s3cret"), "{told}");

    let seen = s3.seen();
    assert_eq!(seen.wrong, [""; 0]);
    // Nothing outside of the one run.
    let folders: std::collections::BTreeSet<_> = seen
        .keys
        .iter()
        .map(|key| key.split('/').take(3).collect::<Vec<_>>().join("/"))
        .collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let folder = folders.first().unwrap();
    assert!(folder.starts_with("pre/") && folder.ends_with("/artifacts"), "{folder}");
    assert!(seen.parts >= 3 && seen.pages >= 3, "{seen:?}");
}

async fn in_the_store(s3: &str) {
    let mlflow = MlflowServer::builder().build();
    let running = mlflow.start().await;
    let client = client(running.url());
    let experiment = CreateExperiment::new("in s3").artifact_location("s3://bucket/pre");
    let experiment = client.experiments().create(experiment).await.unwrap();
    let run = client.runs().create(CreateRun::new(experiment)).await.unwrap();
    let repository = client.artifacts().of_run(run.id()).await.unwrap();
    assert_eq!(repository.uri(), format!("s3://bucket/pre/{}/artifacts", run.id()));
    let repository = repository.with(parts().digest(DigestAlgorithm::Sha256));

    files_and_folders(&repository).await;
    large_files(&repository).await;
    what_is_refused(&repository, s3).await;
    let requests = mlflow.requests();
    assert!(
        !requests.iter().any(|request| request.path.contains("artifacts")),
        "{requests:?}"
    );
}

async fn files_and_folders(repository: &ArtifactRepository) {
    let odd = "model/weights 1+ü & <é>.bin";
    repository.upload(odd, "weights").await.unwrap();
    repository.upload("model/empty", "").await.unwrap();
    let pieces = stream::iter(["ab", "c"].map(|piece| Ok::<_, std::io::Error>(piece.into())));
    repository.upload_stream("model/deep/er/stream", pieces).await.unwrap();
    assert_eq!(repository.read(odd).await.unwrap(), "weights");
    assert_eq!(repository.read("model/deep/er/stream").await.unwrap(), "abc");
    assert_eq!(repository.read("model/empty").await.unwrap(), "");
    for missing in ["model/none", "model", "model/deep"] {
        let error = repository.read(missing).await.unwrap_err();
        assert!(error.is_not_found(), "{missing}: {error}");
    }

    let local = tempfile::tempdir().unwrap();
    let source = local.path().join("source");
    std::fs::create_dir_all(source.join("a/b")).unwrap();
    for (path, content) in [("a/b/one", "1"), ("a/two", "22"), ("three", "")] {
        std::fs::write(source.join(path), content).unwrap();
    }
    let up = repository.upload_folder("model/more", &source).await.unwrap();
    let down = local.path().join("down");
    let got = repository.download_folder("model/more", &down).await.unwrap();
    assert_eq!(got, up);
    assert_eq!(std::fs::read(down.join("a/b/one")).unwrap(), b"1");
    assert_eq!(std::fs::read(down.join("three")).unwrap(), b"");

    let listed = repository.list("model").await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|file| (file.path.as_str(), file.is_dir, file.size()))
        .collect();
    assert_eq!(
        listed,
        [
            ("model/deep", true, None),
            ("model/empty", false, Some(0)),
            ("model/more", true, None),
            (odd, false, Some(7)),
        ]
    );
    assert!(repository.list("nothing").await.unwrap().is_empty());

    // A name that begins as the folder's is not in it.
    repository.upload("model/more.txt", "kept").await.unwrap();
    repository.delete("model/more").await.unwrap();
    repository.delete(odd).await.unwrap();
    repository.delete("model/none").await.unwrap();
    let left: Vec<_> = repository.list_all("").try_collect().await.unwrap();
    let left: Vec<_> = left
        .iter()
        .filter(|file| !file.is_dir)
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(left, ["model/empty", "model/more.txt", "model/deep/er/stream"]);
}

async fn large_files(repository: &ArtifactRepository) {
    let folder = tempfile::tempdir().unwrap();
    let (path, content) = large(folder.path());
    // One of its parts is refused once.
    let up = repository.upload_file("large", &path).await.unwrap();
    assert_eq!(up.bytes, content.len() as u64);
    assert_eq!(up.digest, Some(Digest::of(DigestAlgorithm::Sha256, &content)));
    let target = folder.path().join("down");
    let down = repository.download_file("large", &target).await.unwrap();
    assert_eq!(down, up);
    assert!(std::fs::read(target).unwrap() == content);
}

async fn what_is_refused(repository: &ArtifactRepository, s3: &str) {
    let ask = async |what: &str| {
        let answer = reqwest::get(format!("{s3}/{what}")).await.unwrap();
        answer.text().await.unwrap().parse::<usize>().unwrap()
    };
    let before = ask("requests").await;
    for path in ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", ".", ""] {
        let results = [
            repository.upload(path, "x").await,
            repository.read(path).await.map(drop),
            repository.delete(path).await,
        ];
        for result in results {
            assert!(matches!(result, Err(Error::InvalidRequest(_))), "{path:?}: {result:?}");
        }
    }
    assert!(matches!(repository.list("../x").await, Err(Error::InvalidRequest(_))));
    assert_eq!(ask("requests").await, before);

    let denied = repository.read(double::DENIED).await.unwrap_err();
    assert!(matches!(denied, Error::PermissionDenied(_)), "{denied:?}");

    // An upload in parts whose source breaks is aborted, and nothing of it is seen.
    let piece = Bytes::from(vec![7; 6 << 20]);
    let broken = stream::iter([Ok(piece.clone()), Ok(piece), Err(std::io::Error::other("broken"))]);
    assert!(repository.upload_stream("broken", broken).await.is_err());
    let until = Instant::now() + LIMIT;
    while ask("open").await > 0 {
        assert!(Instant::now() < until, "the upload was not aborted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(repository.read("broken").await.unwrap_err().is_not_found());
}
