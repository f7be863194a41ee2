//! A loopback server that answers each request as a test says, down to the bytes and the moment of closing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with one request.
pub(crate) enum Act {
    /// Answers with this status, content type and body.
    Answer(u16, &'static str, String),
    /// Answers with further headers.
    Headers(u16, Vec<(&'static str, String)>, String),
    /// Waits, then does something else.
    After(Duration, Box<Self>),
    /// Closes the connection without a word.
    Close,
    /// Announces more bytes than it sends.
    Truncate(String),
    /// Announces more bytes than it sends, and keeps the connection.
    Stall(String),
    /// Never answers.
    Hang,
}

impl Act {
    #[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    pub(crate) fn json(status: u16, body: impl ToString) -> Self {
        Self::Answer(status, "application/json", body.to_string())
    }
}

type Script = dyn Fn(&Seen, usize) -> Act + Send + Sync;

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.target.split('?').next() == Some(path)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The server; ends with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    answered: Arc<Mutex<usize>>,
}

impl Server {
    /// Starts a server; `script` gets each request and the number of those before it.
    pub(crate) async fn start(script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            answered: Arc::default(),
        };
        // As one type: a task is much code, which would be built for each test.
        let script: Arc<Script> = Arc::new(script);
        tokio::spawn(server.clone().accept(listener, script));
        server
    }

    async fn accept(self, listener: TcpListener, script: Arc<Script>) {
        while let Ok((stream, _)) = listener.accept().await {
            let (script, this) = (Arc::clone(&script), self.clone());
            tokio::spawn(async move { this.serve(stream, &*script).await });
        }
    }

    pub(crate) fn client(&self) -> kfp_client::ClientBuilder {
        kfp_client::Client::builder(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.is(method, path)).count()
    }

    /// Answers written to the end without the other side having closed before.
    pub(crate) fn answered(&self) -> usize {
        *self.answered.lock().unwrap()
    }

    async fn serve(&self, mut stream: TcpStream, script: &Script) {
        while let Some(seen) = read(&mut stream).await {
            let number = {
                let mut all = self.seen.lock().unwrap();
                all.push(seen.clone());
                all.len() - 1
            };
            let mut act = script(&seen, number);
            while let Act::After(pause, next) = act {
                let mut byte = [0];
                // A closed connection ends the request, as it does on the real server.
                if tokio::time::timeout(pause, stream.read(&mut byte)).await.is_ok() {
                    return;
                }
                act = *next;
            }
            let stalls = matches!(act, Act::Stall(_));
            let (status, headers, body, length) = match act {
                Act::Answer(status, kind, body) => {
                    let length = body.len();
                    (status, vec![("content-type", kind.to_owned())], body, length)
                }
                Act::Headers(status, headers, body) => {
                    let length = body.len();
                    (status, headers, body, length)
                }
                Act::Truncate(body) | Act::Stall(body) => {
                    let length = body.len() + 100;
                    (200, vec![("content-type", "application/json".to_owned())], body, length)
                }
                Act::Close | Act::After(..) => return,
                Act::Hang => std::future::pending().await,
            };
            let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n");
            for (name, value) in headers {
                head = format!("{head}{name}: {value}\r\n");
            }
            let whole = format!("{head}\r\n{body}");
            if stream.write_all(whole.as_bytes()).await.is_err() {
                return;
            }
            if stalls {
                std::future::pending::<()>().await;
            }
            if length > body.len() {
                return;
            }
            *self.answered.lock().unwrap() += 1;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut data = Vec::new();
    let end = loop {
        if let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.ok().filter(|length| *length > 0)?;
        data.extend_from_slice(&part[..length]);
    };
    let head = String::from_utf8_lossy(&data[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.unwrap_or(0);
    while data.len() < end + length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.ok().filter(|length| *length > 0)?;
        data.extend_from_slice(&part[..read]);
    }
    let mut words = head.split(' ');
    Some(Seen {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        body: String::from_utf8_lossy(&data[end..]).into_owned(),
        head,
    })
}
