//! Pages and answers that a login must not fall for.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use server::{Answer, Body, Server};

/// Where the password form of a [`HostileGateway`] stands.
const AUTHORIZE: &str = "/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=s";

/// What a [`HostileGateway`] does to those who log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostilePage {
    /// The password form posts to another origin.
    FormElsewhere,
    /// The password form's action is relative, and `<base href>` makes it another origin's.
    BaseElsewhere,
    /// The password form's action holds credentials of its own.
    ActionWithUser,
    /// The password form's action is `javascript:`.
    ActionJavascript,
    /// The password form's action is `data:`.
    ActionData,
    /// The password form would put the password into an address.
    FormByGet,
    /// Two password forms, of which one is a trap.
    TwoForms,
    /// The password form comes again after the password, as a refusal does.
    FormAgain,
    /// The login is redirected to another origin before any form.
    RedirectElsewhere,
    /// The password is answered by a 307 to another origin.
    Resend307,
    /// The password is answered by a 308 to another origin.
    Resend308,
    /// `<meta http-equiv="refresh">` to another origin.
    RefreshElsewhere,
    /// A SAML response that posts itself to another origin.
    SamlElsewhere,
    /// A cookie for another site.
    ForeignCookie,
    /// Redirects without an end.
    EndlessRedirects,
    /// Pages that lead on to pages, without an end.
    EndlessPages,
    /// A page of 64 MiB that says so.
    HugePage,
    /// A page of 64 MiB that does not say so.
    HugeStream,
    /// A page that comes one byte at a time.
    SlowDrip,
    /// A hundred thousand elements, each inside of the one before.
    DeepNesting,
    /// A tag with a hundred thousand attributes.
    ManyAttributes,
    /// Elements left open, which the standard opens again in every paragraph: gigabytes out of half a megabyte.
    OpenElements,
}

impl HostilePage {
    /// Every one of them.
    pub const ALL: [Self; 22] = [
        Self::FormElsewhere,
        Self::BaseElsewhere,
        Self::ActionWithUser,
        Self::ActionJavascript,
        Self::ActionData,
        Self::FormByGet,
        Self::TwoForms,
        Self::FormAgain,
        Self::RedirectElsewhere,
        Self::Resend307,
        Self::Resend308,
        Self::RefreshElsewhere,
        Self::SamlElsewhere,
        Self::ForeignCookie,
        Self::EndlessRedirects,
        Self::EndlessPages,
        Self::HugePage,
        Self::HugeStream,
        Self::SlowDrip,
        Self::DeepNesting,
        Self::ManyAttributes,
        Self::OpenElements,
    ];

    /// The answer to the request for the login page.
    fn login_page(self, foreign: &str) -> Answer {
        let html = |text: String| Answer::html(200, text);
        match self {
            Self::FormElsewhere => html(form("post", &format!("{foreign}/dex/auth/local/login"))),
            Self::BaseElsewhere => html(format!(
                "<base href=\"{foreign}/\">{}",
                form("post", "dex/auth/local/login")
            )),
            Self::ActionWithUser => {
                let host = foreign.trim_start_matches("http://");
                html(form("post", &format!("http://user:secret@{host}/dex/auth/local/login")))
            }
            Self::ActionJavascript => html(form("post", "javascript:send()")),
            Self::ActionData => html(form("post", "data:text/html,sent")),
            Self::FormByGet => html(form("get", "/dex/auth/local/login")),
            Self::TwoForms => {
                let trap = form("post", &format!("{foreign}/dex/auth/local/login"));
                html(form("post", "/dex/auth/local/login") + &trap)
            }
            Self::FormAgain | Self::Resend307 | Self::Resend308 => html(form("post", "/dex/auth/local/login")),
            Self::RedirectElsewhere => Answer::redirect(302, &format!("{foreign}/login")),
            Self::RefreshElsewhere => html(format!(
                "<meta http-equiv=\"refresh\" content=\"0; url={foreign}/login\">"
            )),
            Self::SamlElsewhere => html(format!(
                "<form method=\"post\" action=\"{foreign}/acs\"><input type=\"hidden\" name=\"SAMLResponse\" value=\"x\">\
                 </form><script>document.forms[0].submit()</script>"
            )),
            Self::ForeignCookie => html(form("post", "/dex/auth/local/login"))
                .header("Set-Cookie", "session=x; Domain=evil.example; Path=/"),
            Self::EndlessRedirects => Answer::redirect(302, AUTHORIZE),
            Self::EndlessPages => html(format!("<meta http-equiv=\"refresh\" content=\"0; url={AUTHORIZE}\">")),
            Self::HugePage => html(String::new()).with_body(Body::Zeros { length_known: true }),
            Self::HugeStream => html(String::new()).with_body(Body::Zeros { length_known: false }),
            Self::SlowDrip => html(String::new()).with_body(Body::Drip),
            Self::DeepNesting => html("<div>".repeat(100_000) + &form("post", "/dex/auth/local/login")),
            Self::ManyAttributes => {
                let attributes: Vec<_> = (0..100_000).map(|number| format!("a{number}")).collect();
                html(format!(
                    "<p {}>{}",
                    attributes.join(" "),
                    form("post", "/dex/auth/local/login")
                ))
            }
            Self::OpenElements => {
                let open: Vec<_> = (0..300).map(|number| format!("<b id=b{number}>")).collect();
                html(format!(
                    "{}{}{}",
                    open.concat(),
                    "<p>x".repeat(120_000),
                    form("post", "/dex/auth/local/login")
                ))
            }
        }
    }

    /// The answer to the password.
    fn after_password(self, foreign: &str) -> Answer {
        match self {
            Self::Resend307 => Answer::redirect(307, &format!("{foreign}/dex/auth/local/login")),
            Self::Resend308 => Answer::redirect(308, &format!("{foreign}/dex/auth/local/login")),
            Self::FormAgain => Answer::html(
                401,
                form("post", "/dex/auth/local/login").replace("</form>", "<div id=\"login-error\">no</div></form>"),
            ),
            _ => Answer::html(200, "<title>Thank you</title>".to_owned()),
        }
    }
}

fn form(method: &str, action: &str) -> String {
    format!(
        "<form method=\"{method}\" action=\"{action}\"><input name=\"login\"><input name=\"password\" type=\"password\">\
         <button type=\"submit\">Login</button></form>"
    )
}

/// A gateway whose login page is a [`HostilePage`], with another origin beside it that keeps what it is sent.
///
/// ```
/// use dex_auth::testing::{HostileGateway, HostilePage};
/// use dex_auth::{Credentials, Session};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dex_auth::Error> {
/// let gateway = HostileGateway::start(HostilePage::FormElsewhere).await;
/// let session = Session::builder(gateway.url())?
///     .credentials(Credentials::new("user@example.com", "correct horse"))
///     .build()?;
/// assert!(session.login().await.is_err());
/// assert!(gateway.sent_elsewhere().is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct HostileGateway {
    gateway: Server,
    foreign: Server,
    passwords: Arc<AtomicU64>,
}

impl HostileGateway {
    /// Starts both on free ports of the loopback interface; they end when it is dropped.
    pub async fn start(page: HostilePage) -> Self {
        let foreign = Server::start(|_, _| Answer::html(200, "<title>Elsewhere</title>".to_owned())).await;
        let passwords = Arc::new(AtomicU64::new(0));
        let (elsewhere, counter) = (foreign.url().to_owned(), Arc::clone(&passwords));
        let gateway = Server::start(move |method, path| match (method, path) {
            ("POST", _) => {
                counter.fetch_add(1, Ordering::SeqCst);
                page.after_password(&elsewhere)
            }
            (_, "/dex/auth") => page.login_page(&elsewhere),
            _ => Answer::redirect(302, AUTHORIZE),
        })
        .await;
        Self {
            gateway,
            foreign,
            passwords,
        }
    }

    /// The gateway's address.
    pub fn url(&self) -> &str {
        self.gateway.url()
    }

    /// The other origin.
    pub fn foreign_url(&self) -> &str {
        self.foreign.url()
    }

    /// What the other origin was sent, whole requests as text.
    pub fn sent_elsewhere(&self) -> Vec<String> {
        self.foreign.requests()
    }

    /// How often the gateway itself was posted a form.
    pub fn posts(&self) -> u64 {
        self.passwords.load(Ordering::SeqCst)
    }
}
