//! A real MLflow server for as long as a benchmark needs it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// The server starts some processes; all of them end with this.
#[derive(Debug)]
pub struct Mlflow {
    child: Child,
    url: String,
}

impl Mlflow {
    /// Starts the program `mlflow` with an SQLite database in `folder`, as `mlflow server` is started by those who try it.
    ///
    /// # Errors
    /// When it cannot be started or does not listen within two minutes.
    pub fn start(program: &Path, folder: &Path) -> Result<Self, Failure> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("setsid")
            .arg(program)
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port"])
            .arg(port.to_string())
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", folder.join("mlflow.db").display()))
            .arg("--artifacts-destination")
            .arg(folder.join("artifacts"))
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let url = format!("http://127.0.0.1:{port}");
        let server = Self { child, url };
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begin.elapsed() > Duration::from_secs(120) {
                return Err("MLflow did not start".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// The tracking URI.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // Nothing can be done about a server that does not end.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
