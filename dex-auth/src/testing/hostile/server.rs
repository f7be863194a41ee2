//! HTTP by hand: a well-behaved server library sends no endless, dripping or wrongly sized answers.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// No request of a login comes near it.
const MAX_REQUEST: usize = 64 * 1024;
/// What a huge page holds.
const HUGE: usize = 64 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

pub(super) enum Body {
    Text(String),
    /// Zeros without meaning, for those who read on.
    Zeros {
        length_known: bool,
    },
    /// A byte now and then.
    Drip,
}

pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

impl Answer {
    pub(super) fn html(status: u16, text: String) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", "text/html; charset=utf-8".to_owned())],
            body: Body::Text(text),
        }
    }

    pub(super) fn redirect(status: u16, location: &str) -> Self {
        Self {
            status,
            headers: vec![("Location", location.to_owned())],
            body: Body::Text(String::new()),
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn with_body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Hostile\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let length = match &self.body {
            Body::Text(text) => Some(text.len()),
            Body::Zeros { length_known: true } => Some(HUGE),
            Body::Zeros { length_known: false } | Body::Drip => None,
        };
        head += &length.map_or_else(
            || "Transfer-Encoding: chunked\r\n".to_owned(),
            |length| format!("Content-Length: {length}\r\n"),
        );
        head + "\r\n"
    }

    async fn send(self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(self.head().as_bytes()).await?;
        match self.body {
            Body::Text(text) => stream.write_all(text.as_bytes()).await?,
            Body::Zeros { length_known } => {
                let piece = vec![b'0'; PIECE];
                for _ in 0..HUGE / PIECE {
                    if !length_known {
                        stream.write_all(format!("{PIECE:x}\r\n").as_bytes()).await?;
                    }
                    stream.write_all(&piece).await?;
                    if !length_known {
                        stream.write_all(b"\r\n").await?;
                    }
                }
                if !length_known {
                    stream.write_all(b"0\r\n\r\n").await?;
                }
            }
            Body::Drip => loop {
                stream.write_all(b"1\r\n<\r\n").await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            },
        }
        stream.shutdown().await
    }
}

pub(super) struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Server {
    /// `respond` gets method and path.
    #[expect(clippy::expect_used, reason = "without a port there is nothing to test with")]
    pub(super) async fn start(respond: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let respond = Arc::new(respond);
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, respond) = (Arc::clone(&kept), Arc::clone(&respond));
                connections.spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    let mut words = request.split(' ');
                    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                    let answer = respond(method, target.split('?').next().unwrap_or_default());
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    // Whoever is fed up with the answer hangs up.
                    let _ = answer.send(&mut stream).await;
                });
            }
        });
        Self {
            url: format!("http://{address}"),
            requests,
            task: task.abort_handle(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.url).finish()
    }
}

/// A whole request: head and as much body as it announces.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, length)| length.trim().parse::<usize>().ok());
            if body.len() >= announced.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        if bytes.len() > MAX_REQUEST || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
