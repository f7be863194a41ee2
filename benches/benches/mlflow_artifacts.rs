//! Upload and download of a large file beside curl, on the same MLflow server in the same run, and the memory that it takes.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use benches::{Failure, Measured, ended, line, measure, measure_if_asked};
use mlflow_client::{Client, CreateRun, RunId};

/// Address of the server.
const SERVER: &str = "MLFLOW_TEST_URI";
const MEGABYTES: u32 = 500;
const ROUNDS: u32 = 5;

fn main() -> ExitCode {
    if let Some(code) = measure_if_asked() {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run()));
    ended(result)
}

async fn run() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["upload", server, id, file] => {
            let repository = Client::builder(server)?
                .build()?
                .artifacts()
                .of_run(&RunId::new(*id))
                .await?;
            repository.upload_file("large.bin", file).await?;
            Ok(())
        }
        ["download", server, id, file] => {
            let repository = Client::builder(server)?
                .build()?
                .artifacts()
                .of_run(&RunId::new(*id))
                .await?;
            repository.download_file("large.bin", file).await?;
            Ok(())
        }
        _ => compare().await,
    }
}

async fn compare() -> Result<(), Failure> {
    let Ok(server) = std::env::var(SERVER) else {
        return line(&format!("skipped: {SERVER} names no MLflow server"));
    };
    let client = Client::builder(&server)?.build()?;
    let run = client.runs().create(CreateRun::new("0")).await?;
    let id = run.id().clone();
    let repository = client.artifacts().of_run(&id).await?;
    let root = repository
        .uri()
        .trim_start_matches("mlflow-artifacts:")
        .trim_matches('/')
        .to_owned();
    let url = format!(
        "{}/api/2.0/mlflow-artifacts/artifacts/{root}/large.bin",
        client.base_url()
    );
    let folder = tempfile::tempdir()?;
    let (source, target) = (folder.path().join("source.bin"), folder.path().join("target.bin"));
    make(&source)?;

    line(&format!("{MEGABYTES} MB through {server}"))?;
    let ours = |what: &str, file: &PathBuf| -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([what, &server, id.as_str()]).arg(file);
        Ok(command)
    };
    let mut upload = curl();
    upload.arg("--upload-file").arg(&source).arg(&url);
    let mut download = curl();
    download.arg("--output").arg(&target).arg(&url);
    let floor = told("upload: curl", &measure(ROUNDS, &upload)?, None)?;
    told(
        "upload: mlflow-client",
        &measure(ROUNDS, &ours("upload", &source)?)?,
        Some(floor),
    )?;
    let floor = told("download: curl", &measure(ROUNDS, &download)?, None)?;
    told(
        "download: mlflow-client",
        &measure(ROUNDS, &ours("download", &target)?)?,
        Some(floor),
    )?;
    let same = std::fs::metadata(&target)?.len() == std::fs::metadata(&source)?.len();
    client.artifacts().delete(&id, "large.bin").await?;
    client.runs().delete(&id).await?;
    if same {
        Ok(())
    } else {
        Err("the file came back with another size".into())
    }
}

fn curl() -> Command {
    let mut command = Command::new("curl");
    // Without `Expect` it would wait for the server's leave before it sends.
    command.args(["--silent", "--show-error", "--fail", "--header", "Expect:"]);
    command
}

fn make(path: &Path) -> Result<(), Failure> {
    use std::io::Write;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let block: Vec<u8> = (0..1_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    for _ in 0..MEGABYTES {
        file.write_all(&block)?;
    }
    Ok(file.flush()?)
}

/// The throughput; the floor is curl's.
fn told(name: &str, measured: &Measured, floor: Option<f64>) -> Result<f64, Failure> {
    let rate = f64::from(MEGABYTES) / measured.time.median();
    let ratio = floor
        .map(|floor| format!("  {:.2} of curl", rate / floor))
        .unwrap_or_default();
    line(&format!(
        "  {name:<26} {}  {rate:6.0} MB/s  peak {:.1} MiB{ratio}",
        measured.time, measured.peak
    ))?;
    Ok(rate)
}
