//! The handle of a fake server, and the server running.

use std::net::TcpListener;
use std::sync::Arc;

use wiremock::matchers::any;
use wiremock::{Match, Mock, MockServer, Request, Respond, ResponseTemplate};

use super::answer::{Answer, Refusal};
use super::builder::KfpServerBuilder;
use super::call::Call;
use super::context::{Context, Core};
use super::fault::{Fault, Trouble};
use super::recorded::{Operation, Recorded};
use super::runs::made_run;
use super::ui::KfpUi;

/// Most requests that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 10_000;

/// A fake Kubeflow Pipelines API server: one state, reached through cheap clones of this handle.
///
/// It implements `wiremock::Respond` and so can stand behind a fake gateway; [`start`](Self::start) makes it a server
/// of its own. When the last handle goes, all steps that still run are killed and the temporary folder is removed.
///
/// ```
/// use kfp_client::testing::{Execution, Generation, KfpServer};
///
/// # async fn demo() {
/// let kfp = KfpServer::builder()
///     .generation(Generation::V2_17)
///     .multi_user(true)
///     .owner("user@example.com", "team-a")
///     .execution(Execution::Simulate)
///     .build();
/// let running = kfp.start().await;
/// println!("{}/apis/v2beta1/healthz", running.url());
/// # }
/// ```
#[derive(Clone)]
pub struct KfpServer {
    guard: Arc<Guard>,
}

impl std::fmt::Debug for KfpServer {
    /// Says how the server was set up, and nothing of what it holds.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KfpServer").field(&self.core().settings).finish()
    }
}

/// Ends what runs when the last handle goes.
#[derive(Debug)]
struct Guard(Arc<Core>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.engine.shutdown();
    }
}

impl KfpServer {
    /// Sets up a server.
    pub fn builder() -> KfpServerBuilder {
        KfpServerBuilder::default()
    }

    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            guard: Arc::new(Guard(core)),
        }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.guard.0
    }

    /// Ends what still runs, with all its processes, and removes the temporary folder. Happens by itself when the last
    /// handle is dropped; to be called where a handle may outlive its use, as one that a server of another kind holds.
    pub fn shutdown(&self) {
        self.guard.0.engine.shutdown();
    }

    /// The UI server in front of this API server, as a gateway reaches it.
    pub fn ui(&self) -> KfpUi {
        KfpUi::new(Arc::clone(self.core()))
    }

    /// Starts a server on a free port of the loopback interface.
    pub async fn start(&self) -> RunningKfpServer {
        self.mount(MockServer::builder()).await
    }

    /// Starts a server on a listener.
    pub async fn start_on(&self, listener: TcpListener) -> RunningKfpServer {
        self.mount(MockServer::builder().listener(listener)).await
    }

    async fn mount(&self, builder: wiremock::MockServerBuilder) -> RunningKfpServer {
        let server = builder.disable_request_recording().start().await;
        let broken = Mock::given(Broken(Arc::clone(self.core())))
            .respond_with_err(|_: &Request| std::io::Error::other("connection ended"));
        broken.with_priority(1).mount(&server).await;
        Mock::given(any())
            .respond_with(Mounted(Arc::clone(self.core())))
            .mount(&server)
            .await;
        RunningKfpServer {
            kfp: self.clone(),
            server,
        }
    }

    /// Orders a fault. Faults are taken in the order in which they were ordered.
    pub fn fault(&self, fault: Fault) {
        self.core().lock().faults.add(fault);
    }

    /// Forgets the faults that have not come yet.
    pub fn clear_faults(&self) {
        self.core().lock().faults.clear();
    }

    /// The requests so far, in order; of more than 10,000 the latest.
    pub fn requests(&self) -> Vec<Recorded> {
        self.core().lock().requests.iter().cloned().collect()
    }

    /// The requests for one operation, in order.
    pub fn calls(&self, operation: Operation) -> Vec<Recorded> {
        let state = self.core().lock();
        let asked = state
            .requests
            .iter()
            .filter(|request| request.operation == Some(operation));
        asked.cloned().collect()
    }

    /// Forgets the requests so far, so that a test sees only what comes next.
    pub fn clear_requests(&self) {
        self.core().lock().requests.clear();
    }

    /// How many workflows were made so far. More than runs exist when a run id was posted twice, or a row was lost.
    pub fn workflows_started(&self) -> usize {
        self.core().lock().workflows
    }

    /// Gives a user all rights in a namespace.
    pub fn own(&self, user: impl Into<String>, namespace: impl Into<String>) {
        self.core().lock().owners.push((user.into(), namespace.into()));
    }

    /// Lets a bearer token stand for a user.
    pub fn token(&self, token: impl Into<String>, user: impl Into<String>) {
        self.core().lock().tokens.insert(token.into(), user.into());
    }

    /// Puts a value into a Kubernetes secret of a namespace, for steps that take it as an environment variable.
    pub fn secret(
        &self,
        namespace: impl Into<String>,
        name: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<String>,
    ) {
        let mut state = self.core().lock();
        let secret = state.secrets.entry((namespace.into(), name.into())).or_default();
        secret.insert(key.into(), value.into());
    }

    /// The log of a pod, by pod name or node id.
    pub fn pod_log(&self, run_id: &str, pod: &str) -> Option<String> {
        self.core().engine.log(run_id, pod)
    }

    /// Where the folders of runs are.
    pub fn work_dir(&self) -> std::io::Result<std::path::PathBuf> {
        self.core().engine.work_dir()
    }
}

impl Core {
    /// Handles a request; `None` if the connection is to end without an answer.
    fn handle(self: &Arc<Self>, request: &Request) -> Option<ResponseTemplate> {
        let mut call = Call::new(request);
        if let Some(path) = call.path.strip_prefix("/pipeline/apis/") {
            call.path = format!("/apis/{path}");
        }
        let core = self;
        let generation = core.settings.generation;
        let mut state = core.lock();
        let trouble = state.faults.take(&call);
        let now = core.clock.now();
        core.catch_up(&mut state, now);
        let handled = match &trouble {
            Some(Trouble::Status(status, body)) => Err(Refusal::text(*status, body.clone())),
            Some(Trouble::NeverStarted) => Err(Refusal::silence()),
            _ => {
                let mut context = Context {
                    core,
                    state: &mut state,
                    call: &call,
                    time: now,
                    now: now.as_second(),
                };
                let handled = context.route();
                if let Ok(Answer::Json(answer)) = &handled
                    && let Some(id) = made_run(&call.path, trouble.as_ref(), answer)
                {
                    context.orphan(&id);
                }
                handled
            }
        };
        let lost = matches!(trouble, Some(Trouble::LostAnswer | Trouble::Orphan));
        let silent = lost || handled.as_ref().is_err_and(Refusal::is_silence);
        let status = handled.as_ref().map_or_else(Refusal::status, |_| 200);
        let mut response = match handled {
            Ok(answer) => answer.response(),
            Err(refusal) => refusal.response(generation),
        };
        if let Some(Trouble::Delay(by)) = trouble {
            response = response.set_delay(by);
        }
        if state.requests.len() >= REMEMBERED {
            state.requests.pop_front();
        }
        let status = (!silent).then_some(status);
        state
            .requests
            .push_back(Recorded::new(call, &core.settings.identity_header, status));
        (!silent).then_some(response)
    }

    pub(super) fn respond(self: &Arc<Self>, request: &Request) -> ResponseTemplate {
        self.handle(request)
            .unwrap_or_else(|| Refusal::silence().response(self.settings.generation))
    }

    fn breaks(&self, request: &Request) -> bool {
        let call = Call::new(request);
        let crashes = self.settings.multi_user && call.header(&self.settings.identity_header) == Some("");
        crashes || self.lock().faults.will_break(&call)
    }
}

impl Respond for KfpServer {
    /// Answers a request. Where a server of its own would end the connection, a gateway answers 503 as Envoy does.
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.core().respond(request)
    }
}

/// What a running server holds: without the handle's guard, so that a slow connection keeps no step alive.
struct Mounted(Arc<Core>);

impl Respond for Mounted {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.0.respond(request)
    }
}

/// Matches the requests that get no answer, and handles them.
struct Broken(Arc<Core>);

impl Match for Broken {
    fn matches(&self, request: &Request) -> bool {
        self.0.breaks(request) && self.0.handle(request).is_none()
    }
}

/// A fake server listening on a port, until it is dropped.
#[derive(Debug)]
pub struct RunningKfpServer {
    kfp: KfpServer,
    server: MockServer,
}

impl RunningKfpServer {
    /// The base address, such as `http://127.0.0.1:34567`, without a slash at its end.
    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// The server's handle.
    pub fn kfp(&self) -> &KfpServer {
        &self.kfp
    }
}
