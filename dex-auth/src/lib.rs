//! Log in to a single-sign-on Kubeflow without a browser, and stay logged in.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use dex_auth::{Credentials, Session};
//!
//! let session = Session::builder("https://kubeflow.example.com")?
//!     .credentials(Credentials::from_env()?) // KUBEFLOW_USERNAME, KUBEFLOW_PASSWORD
//!     .build()?;
//!
//! // Logs in at the first request, once for all that wait, and again whenever the session ends.
//! let http = session.http_client();
//! let answer = http.get("https://kubeflow.example.com/pipeline/apis/v2beta1/healthz").send().await?;
//!
//! // Or only the cookie, for a program of another kind.
//! let cookie = session.login().await?;
//! println!("{} is valid until {:?}", cookie.name(), cookie.expires_at());
//! # Ok(()) }
//! ```
//!
//! # What it knows
//!
//! | | |
//! |---|---|
//! | Gateways | oidc-authservice (Kubeflow 1.3 to 1.8), oauth2-proxy of Kubeflow 1.9.0 and of 1.9.1 and later, an AWS load balancer; recognised by themselves, cookie names too |
//! | Identity | Dex's own users and LDAP behind Dex, with its choice of connectors, its approval page and its one-time codes |
//! | Providers behind Dex | Entra ID, Cognito (classic pages), Keycloak, AD FS, Okta, by OpenID Connect or SAML, also in a chain; others with a plain login form |
//! | Tokens | fixed, from a file that rotates, from a command, of an OAuth client, by Dex's grants (password, refresh, device, exchange), or of a [`TokenSource`] of your own |
//! | More | any page, by a [`PageHandler`] of your own |
//!
//! The pages of Dex, oauth2-proxy, Keycloak and of SAML chains were measured on the real programs; those of Entra ID,
//! Cognito, AD FS, Okta and the load balancer are known from their documents and from public clients. [`guide`] walks
//! through each login, and tells what to do for a provider that is not listed.
//!
//! # Where to look
//!
//! - [`Session`]: the handle; [`SessionBuilder`]: its settings; [`Credentials`]: who logs in.
//! - [`SessionMiddleware`]: the session for a `reqwest` client of your own, and what exactly it does to requests.
//! - [`SessionCookie`]: name, value and end of a session; [`Access`]: the same for tokens.
//! - [`TokenSource`]: bearer tokens in place of pages, and where they come from; [`Session::from_env`]: whatever the
//!   environment names.
//! - [`SessionBuilder::store`]: one login for several processes; [`Session::logout`], [`Session::whoami`],
//!   [`Session::memberships`]: the end of a session, its user, and where he may work.
//! - [`IdentityProvider`]: where besides the gateway a login may go, and who may get the password.
//! - [`Session::last_login`]: what happened in a login, step by step, as text and as a diagram.
//! - [`Error`]: what can go wrong, by what can be done about it.
//! - [`Page`], [`PageHandler`]: how pages are recognised and answered.
//!
//! # Features
//!
//! | Feature | Default | Adds |
//! |---|---|---|
//! | `rustls` | yes | TLS, trusting the certificates of the operating system |
//! | `testing` | no | `testing`: a stateful fake gateway with Dex, for the tests of programs that log in |
//!
//! # Errors
//!
//! A login ends with an [`Error`] that names what to do. Requests through the middleware fail with
//! [`reqwest_middleware::Error`]; [`Error::of_middleware`] finds the [`Error`] in it. [`Error::is_retryable`] tells
//! trouble that passes from trouble that needs a person.
//!
//! # Safety
//!
//! - The password is posted to the gateway's own origin and to providers that were named, and never to a broker; where a
//!   request goes and what it carries is checked just before it is sent. Redirects are followed by hand, one check each;
//!   one to an origin that was not named ends the login. `https` never becomes `http`.
//! - A refused password is never tried again by the same session, and within one login a password whose answer was lost
//!   is not posted again: directories lock accounts.
//! - Session cookies and tokens go to the gateway's origin only.
//! - No password, cookie, code or state appears in `Debug`, in errors or in traces; URLs are shown without query.
//!
//! # What it does not do
//!
//! It runs no JavaScript, answers no second factor but codes of an authenticator app, enrols no device, gives no consent and
//! approves no scopes beyond those of a login; each of these ends with an error that says so.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod builder;
mod cookie;
mod credentials;
mod dashboard;
mod document;
mod environment;
mod error;
mod expiry;
mod flow;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
/// How each login goes, and what to do for a provider that is not listed.
#[cfg(any(doc, doctest))]
pub mod guide {
    #![doc = include_str!("../docs/flows.md")]

    #[doc = include_str!("../docs/own-provider.md")]
    pub mod own_provider {}
}
mod handler;
mod html;
mod identity_provider;
mod lifetime;
mod login;
mod logout;
mod middleware;
mod namespaces;
mod one_time_code;
mod origin;
mod page;
mod providers;
#[cfg(test)]
mod recordings;
mod session;
mod source;
mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod token;
mod trace;
mod whoami;

pub use access::Access;
pub use builder::SessionBuilder;
pub use cookie::SessionCookie;
pub use credentials::Credentials;
pub use error::{Connector, Error, UnsafeReason};
pub use handler::{Action, Decision, FieldValue, JsonCall, PageHandler, Progress, Submission};
pub use html::{Form, FormField, FormMethod, Link};
pub use identity_provider::IdentityProvider;
pub use logout::Logout;
pub use middleware::SessionMiddleware;
pub use namespaces::{Membership, Role};
pub use page::Page;
pub use session::Session;
pub use token::{
    BearerToken, ClientCredentials, DeviceCode, DevicePrompt, OAuthClient, PasswordGrant, RefreshToken, TokenCommand,
    TokenContext, TokenExchange, TokenFile, TokenSource,
};
pub use trace::{LoginStep, LoginTrace};
pub use whoami::{ToldBy, User};

// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
