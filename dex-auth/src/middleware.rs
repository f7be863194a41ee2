//! The middleware that puts a session into requests and notices its end.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{AUTHORIZATION, COOKIE};
use http::{Extensions, HeaderValue};
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Middleware, Next};

use crate::access::Held;
use crate::error::Error;
use crate::session::{Need, Session, Verdict, is_of_the_future, judge};

/// A request is sent again once. A session of a second or two may end by itself between its login and that request;
/// only then there is a third time.
const MAX_SENDS: u32 = 3;

/// Adds the session to requests for the gateway's own origin, and renews it when the gateway says that it ended.
///
/// - Requests to any other origin pass untouched, without cookie and token.
/// - A session of tokens adds `Authorization: Bearer`, one of cookies `Cookie`.
/// - A request with an `Authorization` header of its own passes untouched: the gateways of Kubeflow 1.9.1 and later
///   ignore the cookie then, and an error of that token is the caller's.
/// - A `Cookie` header of the caller's is kept and the session is added to it, unless it already holds a cookie of
///   the session's name: such a request passes untouched.
/// - An ended session is noticed as a redirect to a login, as 401, as sign-in page with 403, and as login page with
///   200. The middleware then logs in, once for all requests that wait, and sends the request again.
/// - `RBAC: access denied` and errors of the services themselves are answers and pass through, as do all bodies that
///   are no HTML; of HTML, 401 and 403 at most 64 KiB are read ahead.
/// - A body that cannot be cloned (a stream) is sent only when the session was accepted within the last seconds, after
///   asking the gateway if need be. Should it end in just that moment, [`Error::RequestNotReplayable`] says that the
///   request was not admitted and may be sent again.
///
/// Errors reach the caller as [`reqwest_middleware::Error::Middleware`]; see [`Error::of_middleware`].
#[derive(Debug, Clone)]
pub struct SessionMiddleware {
    session: Session,
}

impl SessionMiddleware {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }

    /// Sends a request as often as it takes, at most [`MAX_SENDS`] times.
    async fn send(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Outcome {
        let ticket = self.session.ticket();
        let path = request.url().path().to_owned();
        let method = request.method().clone();
        let mut held = self.session.obtain(Need::Fresh, ticket).await?;
        let mut request = Some(request);
        for sends in 1..=MAX_SENDS {
            let again = request.as_ref().and_then(Request::try_clone);
            if again.is_none() {
                held = self.trusted(held, ticket).await?;
            }
            let Some(mut current) = std::mem::replace(&mut request, again) else {
                return Err(Error::RequestNotReplayable { path }.into());
            };
            if !attach(&mut current, &held) {
                return Ok(next.run(current, extensions).await?);
            }
            let response = next.clone().run(current, extensions).await?;
            let (verdict, response) = judge(&method, response, self.session.now())
                .await
                .map_err(reqwest_middleware::Error::from)?;
            let verdict = match verdict {
                Some(verdict) => verdict,
                // What cannot be told of a token's answer is the caller's to judge: no probe of the gateway takes tokens.
                None if held.cookie().is_none() => Verdict::Valid,
                None => self.session.ask(&held).await?,
            };
            let (status, message, skew) = match verdict {
                Verdict::Valid => {
                    if response.status().is_success() {
                        self.session.trust(&held);
                    }
                    return Ok(response);
                }
                Verdict::ServiceDown => return Err(Error::AuthServiceUnavailable { path }.into()),
                Verdict::Ended { status, message, skew } => (status, message, skew),
            };
            tracing::debug!(%path, status = status.as_u16(), "the session ended");
            if is_of_the_future(&message) {
                return Err(self.session.rejected(&path, status, message, skew).into());
            }
            self.session.discard(&held, &message);
            if request.is_none() {
                return Err(Error::RequestNotReplayable { path }.into());
            }
            let may_try_again = sends == 1 || held.may_have_ended(self.session.now());
            if sends == MAX_SENDS || !may_try_again {
                return Err(self.session.rejected(&path, status, message, skew).into());
            }
            held = self.session.obtain(Need::NewerThan(held.attempt), ticket).await?;
        }
        // The last round always returns; this only closes the loop for the compiler.
        Err(Error::RequestNotReplayable { path }.into())
    }

    /// A session good enough for a request that can be sent only once.
    async fn trusted(&self, held: Arc<Held>, ticket: u64) -> Result<Arc<Held>, Error> {
        if self.session.is_trusted(&held) {
            return Ok(held);
        }
        match self.session.ask(&held).await? {
            Verdict::Valid => {
                self.session.trust(&held);
                Ok(held)
            }
            Verdict::Ended { message, .. } => {
                self.session.discard(&held, &message);
                self.session.obtain(Need::NewerThan(held.attempt), ticket).await
            }
            Verdict::ServiceDown => Err(Error::AuthServiceUnavailable {
                path: "the gateway".to_owned(),
            }),
        }
    }
}

type Outcome = Result<Response, Failure>;

/// Keeps this crate's errors apart from those of the stack below, which pass unchanged.
enum Failure {
    Own(Error),
    Stack(reqwest_middleware::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<reqwest_middleware::Error> for Failure {
    fn from(error: reqwest_middleware::Error) -> Self {
        Self::Stack(error)
    }
}

#[async_trait]
impl Middleware for SessionMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let own_login = self.session.path_below(request.url()).is_some_and(is_login_path);
        if !self.session.covers(request.url()) || request.headers().contains_key(AUTHORIZATION) || own_login {
            return next.run(request, extensions).await;
        }
        self.send(request, extensions, next)
            .await
            .map_err(|failure| match failure {
                Failure::Own(error) => reqwest_middleware::Error::middleware(error),
                Failure::Stack(error) => error,
            })
    }
}

/// Addresses that are the login itself: their redirects and pages are what the caller asked for.
fn is_login_path(path: &str) -> bool {
    path.starts_with("dex/") || ["oauth2/start", "oauth2/callback", "oauth2/sign_in"].contains(&path)
}

/// False when the caller brought a cookie of the session's name.
fn attach(request: &mut Request, held: &Held) -> bool {
    let Some(session) = held.cookie() else {
        request.headers_mut().insert(held.name.clone(), held.header.clone());
        return true;
    };
    let Some(own) = request.headers().get(COOKIE) else {
        request.headers_mut().insert(COOKIE, held.header.clone());
        return true;
    };
    let taken = own.as_bytes().split(|byte| *byte == b';').any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        session.cookies().any(|(session, _)| session.as_bytes() == name)
    });
    if taken {
        return false;
    }
    let joined = [own.as_bytes(), b"; ", held.header.as_bytes()].concat();
    let Ok(mut joined) = HeaderValue::from_bytes(&joined) else {
        return false;
    };
    joined.set_sensitive(true);
    request.headers_mut().insert(COOKIE, joined);
    true
}

/// Reads the beginning of a body, and gives the response back whole.
pub(crate) async fn peek(mut response: Response, limit: usize) -> reqwest::Result<(Vec<u8>, Response)> {
    let mut beginning = Vec::new();
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut ended = false;
    while beginning.len() < limit {
        let Some(chunk) = response.chunk().await? else {
            ended = true;
            break;
        };
        beginning.extend_from_slice(chunk.get(..limit - beginning.len()).unwrap_or(&chunk));
        chunks.push(chunk);
    }
    let mut builder = http::Response::builder()
        .status(response.status())
        .version(response.version())
        .url(response.url().clone());
    if let Some(headers) = builder.headers_mut() {
        headers.clone_from(response.headers());
    }
    if let Some(extensions) = builder.extensions_mut() {
        extensions.extend(response.extensions().clone());
    }
    let body = if ended {
        reqwest::Body::from(chunks.concat())
    } else {
        reqwest::Body::wrap_stream(stream::iter(chunks.into_iter().map(Ok)).chain(response.bytes_stream()))
    };
    // Status, version and headers come from a response, so the parts cannot be refused.
    let whole = builder.body(body).unwrap_or_default();
    Ok((beginning, Response::from(whole)))
}
