//! The handle of a fake server, and the server running.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wiremock::matchers::any;
use wiremock::{Match, Mock, MockServer, MockServerBuilder, Request, Respond, ResponseTemplate};

use super::answer::Refusal;
use super::fault::{Fault, Trouble};
use super::routes;
use super::state::State;

/// A request that the server got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Path without the query, still percent-encoded.
    pub path: String,
    /// The status of the answer; 0 if the connection ended without one.
    pub status: u16,
}

/// Settings of a fake server.
#[derive(Debug, Clone)]
#[must_use]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct MlflowServerBuilder {
    version: String,
    workspaces: bool,
    multipart: bool,
    bucket: bool,
    any_host: bool,
}

impl MlflowServerBuilder {
    /// The version to imitate; default [`MLFLOW_3`](MlflowServer::MLFLOW_3). What begins with a number below 3 behaves as
    /// [`MLFLOW_2`](MlflowServer::MLFLOW_2), everything else as [`MLFLOW_3`](MlflowServer::MLFLOW_3).
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// With workspaces, as started with `--enable-workspaces`; default false. Artifacts then lie below
    /// `mlflow-artifacts:/workspaces/`.
    pub fn workspaces(mut self, enabled: bool) -> Self {
        self.workspaces = enabled;
        self
    }

    /// Takes uploads in parts and hands out addresses to fetch from, as a server in front of S3 does; default false, as with
    /// a local store. The addresses are of this server too.
    pub fn multipart(mut self, enabled: bool) -> Self {
        self.multipart = enabled;
        self
    }

    /// Has rights in S3 of its own, as one with `boto3` and credentials; default false. Artifacts of experiments whose
    /// `artifact_location` begins with `s3:` are then listed, and addresses to write and read them by are handed out, which
    /// are of this server too.
    pub fn bucket(mut self, enabled: bool) -> Self {
        self.bucket = enabled;
        self
    }

    /// Answers whatever host a request is for, as started with `--allowed-hosts '*'`; default false. Without it version 3
    /// refuses all but local names and private addresses.
    pub fn any_host(mut self, any: bool) -> Self {
        self.any_host = any;
        self
    }

    /// Makes the server, which knows only the experiment `Default`.
    pub fn build(self) -> MlflowServer {
        let mut state = State::new(self.version);
        state.any_host = self.any_host;
        if self.workspaces {
            state.workspaces.enable();
        }
        if self.multipart {
            state.uploads = Some(super::multipart::Uploads::default());
        }
        if self.bucket {
            state.bucket = Some(super::presigned::Bucket::default());
        }
        MlflowServer {
            state: Arc::new(Mutex::new(state)),
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
    /// The version 3 that was imitated.
    pub const MLFLOW_3: &str = "3.17.2";
    /// The last version 2, which was imitated too.
    pub const MLFLOW_2: &str = "2.22.5";

    /// Sets up a server.
    pub fn builder() -> MlflowServerBuilder {
        MlflowServerBuilder {
            version: Self::MLFLOW_3.to_owned(),
            workspaces: false,
            multipart: false,
            bucket: false,
            any_host: false,
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
        let broken =
            Mock::given(Broken(self.clone())).respond_with_err(|_: &Request| std::io::Error::other("connection ended"));
        broken.with_priority(1).mount(&server).await;
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
        let trouble = if state.down {
            None
        } else {
            state.faults.take(method, path)
        };
        let (status, response) = match trouble {
            None if state.down => refused(&state, &Refusal::Text(503, "no healthy upstream".to_owned())),
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
            Some(end @ (Trouble::Reset | Trouble::LostAnswer)) => {
                if end == Trouble::LostAnswer {
                    drop(routes::handle(&mut state, request, path));
                }
                refused(&state, &Refusal::Text(502, "upstream connection ended".to_owned()))
            }
            other => match routes::handle(&mut state, request, path) {
                Ok(answer) if other == Some(Trouble::Truncated) => (answer.status, answer.cut_in_half().template()),
                Ok(answer) => {
                    let (status, response) = (answer.status, answer.template());
                    match other {
                        Some(Trouble::Delay(by)) => (status, response.set_delay(by)),
                        _ => (status, response),
                    }
                }
                Err(refusal) => {
                    let (status, response) = refused(&state, &refusal);
                    match other {
                        Some(Trouble::Delay(by)) => (status, response.set_delay(by)),
                        _ => (status, response),
                    }
                }
            },
        };
        state.note(method, path, status);
        response
    }

    /// Whether the request's connection is to end without an answer. What the request asks for is done before.
    fn breaks(&self, request: &Request) -> bool {
        let (method, path) = (request.method.as_str(), request.url.path());
        let mut state = self.lock();
        if state.down {
            return false;
        }
        let Some(trouble) = state.faults.take_break(method, path) else {
            return false;
        };
        if trouble == Trouble::LostAnswer {
            drop(routes::handle(&mut state, request, path));
        }
        state.note(method, path, 0);
        true
    }
}

fn refused(state: &State, refusal: &Refusal) -> (u16, ResponseTemplate) {
    (refusal.status(), refusal.response(state.generation))
}

/// Requests whose connection is to end.
struct Broken(MlflowServer);

impl Match for Broken {
    fn matches(&self, request: &Request) -> bool {
        self.0.breaks(request)
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
