//! A million points through every trouble, to a real server, counted in its database.
//!
//! With `MLFLOW_TEST_SERVER` set to the program `mlflow`, beside which there is a `python`; `MLFLOW_TEST_POINTS` sets
//! another number of points. The test starts and kills the server itself; between it and the logger stands a proxy that
//! answers with 503, holds answers back, and breaks connections after the server got the request. A server that stores
//! 3,000 points a second takes about eight minutes for all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlflow_client::{Client, CreateRun, Fsync, LogError, RunLogger, Spool, SpoolError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TASKS: i64 = 8;
const POINTS: i64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(600);
/// Counts rows, different steps, the sum of the steps, and values that are not half of their step; for each key.
const COUNT: &str = "
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute('''
    select key, count(*), count(distinct step), sum(step), sum(value * 2 != step) from metrics where run_uuid = ?
    group by key order by key''', [sys.argv[2]])
print('\\n'.join(' '.join(map(str, row)) for row in rows))
";

/// The real server, ended with this.
struct Mlflow {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Mlflow {
    async fn start(&mut self) {
        let store = format!("sqlite:///{}", self.database().display());
        // It ends by itself should this process be killed.
        let child = Command::new("setsid")
            .args(["timeout", "--kill-after=10", "1200"])
            .arg(&self.program)
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port"])
            .args([
                &self.port.to_string(),
                "--backend-store-uri",
                &store,
                "--artifacts-destination",
            ])
            .arg(self.folder.join("artifacts"))
            .env("HOME", &self.folder)
            .env("TMPDIR", &self.folder)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let client = Client::builder(format!("http://127.0.0.1:{}", self.port)).unwrap();
        let client = client.max_retries(0).build().unwrap();
        let up = async {
            while client.health().await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(LIMIT, up).await.unwrap();
    }

    /// Ends the server and its workers, in whatever they are doing.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
            child.wait().unwrap();
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.join("mlflow.db")
    }

    fn count(&self, run: &str) -> String {
        let output = Command::new(self.program.with_file_name("python"))
            .args(["-c", COUNT])
            .arg(self.database())
            .arg(run)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Unavailable,
    Slow,
    /// The server gets the request, and nobody its answer.
    Cut,
}

/// What is to befall the next requests.
#[derive(Default)]
struct Proxy {
    troubles: Mutex<Vec<Trouble>>,
    requests: AtomicUsize,
}

impl Proxy {
    fn order(&self, trouble: Trouble, times: usize) {
        self.troubles.lock().unwrap().extend(vec![trouble; times]);
    }

    fn is_over(&self) -> bool {
        self.troubles.lock().unwrap().is_empty()
    }

    /// Answers one request on each connection.
    async fn serve(self: Arc<Self>, listener: TcpListener, upstream: u16) {
        while let Ok((socket, _)) = listener.accept().await {
            let this = Arc::clone(&self);
            // A connection that breaks is a trouble like others.
            tokio::spawn(async move { this.answer(socket, upstream).await });
        }
    }

    async fn answer(&self, mut socket: TcpStream, upstream: u16) -> std::io::Result<()> {
        let mut request = Vec::new();
        let (head, length) = loop {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
            if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&request[..end]).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse::<usize>().unwrap())
                });
                break (head, end + 4 + length.unwrap_or(0));
            }
        };
        while request.len() < length {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let trouble = self.troubles.lock().unwrap().pop();
        if trouble == Some(Trouble::Unavailable) {
            let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";
            return socket.write_all(answer.as_bytes()).await;
        }
        let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
        let (first, _) = head.split_once("\r\n").unwrap();
        server
            .write_all(format!("{first}\r\nconnection: close\r\n").as_bytes())
            .await?;
        server.write_all(&request[first.len() + 2..]).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        match trouble {
            Some(Trouble::Cut) => return Ok(()),
            Some(Trouble::Slow) => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => {}
        }
        socket.write_all(&answer).await
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

/// Whether so many of a hundred parts are delivered.
fn delivered(logger: &RunLogger, points: i64, parts: i64) -> impl Fn() -> bool {
    let count = u64::try_from(points * parts / 100).unwrap();
    move || logger.status().report.delivered >= count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_points_arrive_exactly() {
    let Ok(program) = std::env::var("MLFLOW_TEST_SERVER") else {
        eprintln!("skipped: MLFLOW_TEST_SERVER does not name the program mlflow");
        return;
    };
    let points = std::env::var("MLFLOW_TEST_POINTS").map_or(POINTS, |points| points.parse().unwrap());
    let each = points / TASKS;
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut mlflow = Mlflow {
        program: Path::new(&program).to_owned(),
        folder: folder.path().to_owned(),
        port,
        child: None,
    };
    mlflow.start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Arc::new(Proxy::default());
    tokio::spawn(Arc::clone(&proxy).serve(listener, port));
    let client = Client::builder(url).unwrap().build().unwrap();
    let run = client.runs().create(CreateRun::new("0")).await.unwrap();

    let full = Arc::new(AtomicBool::new(false));
    // Its own limit is reached too: it holds a third of the points, and the tasks are faster than the server.
    let most = points.unsigned_abs() * 10;
    let spool = Spool::new(folder.path().join("spool"))
        .fsync(Fsync::Acknowledgement)
        .segment_bytes(most / 10)
        .max_bytes(most)
        .full_while(Arc::clone(&full));
    let logger = client
        .runs()
        .logger(run.id())
        .spool(spool)
        .capacity(usize::try_from(points / 32).unwrap())
        .pauses(Duration::from_millis(50), Duration::from_secs(1))
        .close_limit(LIMIT)
        .start()
        .unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let metric = logger.metric(&format!("task/{task}")).unwrap();
            tokio::spawn(async move {
                for step in 0..each {
                    // Waits for room as long as it takes; a limit is not reached as long as anything is delivered.
                    let value = 0.5 * f64::from(i32::try_from(step).unwrap());
                    while let Err(error) = metric.log_async(value, step).await {
                        assert!(matches!(error, LogError::Full { .. }), "{error}");
                    }
                }
            })
        })
        .collect();

    until("the first tenth", delivered(&logger, points, 10)).await;
    assert!(matches!(
        logger.status().report.spool_error,
        Some(SpoolError::Full { source: None, .. }) | None
    ));
    mlflow.kill();
    until("the outage is noticed", || logger.status().report.last_error.is_some()).await;
    full.store(true, Ordering::SeqCst);
    until("the full disk is noticed", || {
        logger.status().report.spool_error.is_some()
    })
    .await;
    assert!(matches!(
        logger.sync(LIMIT).await,
        Err(LogError::Spool(SpoolError::Full { .. }))
    ));
    mlflow.start().await;
    until("delivery with a full disk", delivered(&logger, points, 20)).await;
    full.store(false, Ordering::SeqCst);
    proxy.order(Trouble::Unavailable, 30);
    until("the storm is over", || proxy.is_over()).await;
    proxy.order(Trouble::Slow, 20);
    until("answers are quick again", || proxy.is_over()).await;
    until("half of it", delivered(&logger, points, 50)).await;
    proxy.order(Trouble::Cut, 20);
    until("connections hold again", || proxy.is_over()).await;
    until("the most of it", delivered(&logger, points, 75)).await;
    mlflow.kill();
    mlflow.start().await;

    futures_util::future::join_all(tasks)
        .await
        .into_iter()
        .for_each(Result::unwrap);
    let report = logger.close().await;
    assert_eq!(
        (report.logged, report.delivered),
        (8 * each.unsigned_abs(), 8 * each.unsigned_abs()),
        "{report}"
    );
    assert!(!folder.path().join("spool").join(run.id().as_str()).exists());
    let sum = each * (each - 1) / 2;
    let expected: Vec<_> = (0..TASKS)
        .map(|task| format!("task/{task} {each} {each} {sum} 0"))
        .collect();
    let counted = mlflow.count(run.id().as_str());
    assert_eq!(counted.lines().collect::<Vec<_>>(), expected);
}
