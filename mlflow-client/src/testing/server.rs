//! The handle of a fake server, and the server running.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, MockServerBuilder, Request, Respond, ResponseTemplate};

use super::answer::Refusal;
use super::fault::{Fault, Trouble};
use super::routes;
use super::state::State;

/// Most requests that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;

/// A request that the server got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Path without the query, still percent-encoded.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// Settings of a fake server.
#[derive(Debug, Clone)]
#[must_use]
pub struct MlflowServerBuilder {
    version: String,
}

impl MlflowServerBuilder {
    /// What `/version` answers; default `3.17.2`. It changes nothing else.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Makes the server, which knows only the experiment `Default`.
    pub fn build(self) -> MlflowServer {
        MlflowServer {
            state: Arc::new(Mutex::new(State::new(self.version))),
        }
    }
}

/// A fake MLflow tracking server: one state, reached through cheap clones of this handle.
///
/// It implements `wiremock::Respond` and so can stand behind a fake gateway; [`start`](Self::start) makes it a server of
/// its own.
///
/// ```
/// use mlflow_client::testing::{Fault, MlflowServer};
///
/// # async fn demo() {
/// let mlflow = MlflowServer::builder().build();
/// let running = mlflow.start().await;
/// mlflow.fault(Fault::status(503).path("runs/log-batch").times(2));
/// println!("{}/health", running.url());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MlflowServer {
    state: Arc<Mutex<State>>,
}

impl MlflowServer {
    /// Sets up a server.
    pub fn builder() -> MlflowServerBuilder {
        MlflowServerBuilder {
            version: "3.17.2".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server on a free port of the loopback interface.
    pub async fn start(&self) -> RunningMlflowServer {
        self.mount(MockServer::builder()).await
    }

    /// Starts a server on a listener.
    pub async fn start_on(&self, listener: TcpListener) -> RunningMlflowServer {
        self.mount(MockServer::builder().listener(listener)).await
    }

    async fn mount(&self, builder: MockServerBuilder) -> RunningMlflowServer {
        let server = builder.disable_request_recording().start().await;
        Mock::given(any()).respond_with(self.clone()).mount(&server).await;
        RunningMlflowServer {
            mlflow: self.clone(),
            server,
        }
    }

    /// While down, the server answers everything with 503 and does nothing.
    pub fn down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Orders a fault. Of several that befall a request, the first that was ordered is taken.
    pub fn fault(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    /// Forgets the faults that have not come yet.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// The last 10 000 requests, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().requests.clone()
    }

    fn handle(&self, request: &Request) -> ResponseTemplate {
        let (method, path) = (request.method.as_str(), request.url.path());
        let mut state = self.lock();
        let trouble = state.faults.take(method, path);
        let (status, response) = match trouble {
            _ if state.down => {
                let refusal = Refusal::Text(503, "no healthy upstream".to_owned());
                (503, refusal.response())
            }
            Some(Trouble::Status {
                status,
                body,
                retry_after,
            }) => {
                let kind = if body.starts_with('{') {
                    "application/json"
                } else {
                    "text/plain"
                };
                let mut response = ResponseTemplate::new(status).set_body_raw(body, kind);
                if let Some(seconds) = retry_after {
                    response = response.insert_header("retry-after", seconds.to_string());
                }
                (status, response)
            }
            delay => {
                let (status, mut response) = match routes::handle(&mut state, request, path) {
                    Ok(answer) => (answer.status, answer.template),
                    Err(refusal) => (refusal.status(), refusal.response()),
                };
                if let Some(Trouble::Delay(by)) = delay {
                    response = response.set_delay(by);
                }
                (status, response)
            }
        };
        if state.requests.len() >= REMEMBERED {
            state.requests.remove(0);
        }
        state.requests.push(Recorded {
            method: method.to_owned(),
            path: path.to_owned(),
            status,
        });
        response
    }
}

impl Respond for MlflowServer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.handle(request)
    }
}

/// A fake server listening on a port, until it is dropped.
#[derive(Debug)]
pub struct RunningMlflowServer {
    mlflow: MlflowServer,
    server: MockServer,
}

impl RunningMlflowServer {
    /// The base address, such as `http://127.0.0.1:34567`, without a slash at its end.
    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// The server's handle.
    pub fn mlflow(&self) -> &MlflowServer {
        &self.mlflow
    }
}
