//! Which page it is. Every HTML page of a login is recognised here and nowhere else, as exactly one kind.

use scraper::Html;
use url::Url;

use crate::error::{Connector, one_line};
use crate::html::{self, Form, FormMethod, Link};

/// A page of a login.
#[derive(Debug, Clone)]
pub struct Page {
    url: Url,
    status: u16,
    title: String,
    forms: Vec<Form>,
    links: Vec<Link>,
    kind: PageKind,
}

/// What a page is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageKind {
    /// oauth2-proxy's sign-in page (Kubeflow 1.9.1 and later, status 403): not logged in.
    ProxySignIn {
        /// The form that starts a login.
        start: Form,
    },
    /// oauth2-proxy's error page.
    ProxyError {
        /// What it says.
        message: String,
    },
    /// Dex's choice of connectors.
    DexChooser {
        /// The connectors with their links, in the order of the page.
        connectors: Vec<(Connector, Url)>,
    },
    /// Dex's form for user name and password, for its own users and for LDAP.
    DexPassword {
        /// The form, with the fields `login` and `password`.
        form: Form,
        /// True when the page says that the last try was wrong.
        refused: bool,
    },
    /// Dex's approval page.
    DexApproval {
        /// The form that approves.
        approve: Form,
    },
    /// Dex asks for a one-time code.
    DexOneTimeCode {
        /// The form, with the field `totp`.
        form: Form,
        /// True when the page says that the last code was wrong.
        refused: bool,
        /// True when the page would enrol a new device.
        enrolment: bool,
    },
    /// Dex's page for the code of a device.
    DexDeviceCode,
    /// Dex's error page.
    DexError {
        /// What it says.
        message: String,
    },
    /// None of these.
    Unknown,
}

impl Page {
    /// Reads a page that was answered with `status` at `url`.
    pub fn parse(url: &Url, status: u16, html: &str) -> Self {
        let document = Html::parse_document(html);
        let forms = html::forms(&document, url);
        let links = html::links(&document, url);
        let kind = recognise(&document, &forms, &links);
        Self {
            url: url.clone(),
            status,
            title: one_line(&html::first_text(&document, "title").unwrap_or_default()),
            forms,
            links,
            kind,
        }
    }

    /// Where the page stands.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The HTTP status it came with.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its title as one line, empty without.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its forms.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// Its links.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Which page it is.
    pub fn kind(&self) -> &PageKind {
        &self.kind
    }

    /// True for every page that stands where data should be when nobody is logged in.
    pub(crate) fn asks_to_log_in(&self) -> bool {
        matches!(
            self.kind,
            PageKind::ProxySignIn { .. }
                | PageKind::DexChooser { .. }
                | PageKind::DexPassword { .. }
                | PageKind::DexApproval { .. }
                | PageKind::DexOneTimeCode { .. }
        )
    }

    /// Names of all fields of all forms, for messages.
    pub(crate) fn field_names(&self) -> Vec<String> {
        self.forms
            .iter()
            .flat_map(|form| &form.fields)
            .take(30)
            .map(|field| one_line(&field.name))
            .collect()
    }
}

fn recognise(document: &Html, forms: &[Form], links: &[Link]) -> PageKind {
    let only = |wanted: &dyn Fn(&Form) -> bool| {
        let mut matching = forms.iter().filter(|form| wanted(form));
        // With two candidates the choice would be a guess.
        matching.next().filter(|_| matching.next().is_none()).cloned()
    };
    let has = |selector: &str| !html::select(document.root_element(), selector).is_empty();

    let password = |form: &Form| {
        form.method == FormMethod::Post
            && form.field("login").is_some()
            && form.field("password").is_some_and(|field| field.kind == "password")
    };
    if let Some(form) = only(&password) {
        // The sentence quotes the prompt that the administrator chose; the id is the same everywhere.
        return PageKind::DexPassword {
            form,
            refused: has("#login-error"),
        };
    }
    let approve = |form: &Form| {
        form.method == FormMethod::Post
            && form.field("req").is_some()
            && form.field("approval").is_some_and(|field| field.value == "approve")
    };
    if let Some(approve) = only(&approve) {
        return PageKind::DexApproval { approve };
    }
    let code = |form: &Form| form.method == FormMethod::Post && form.field("totp").is_some();
    if let Some(form) = only(&code) {
        return PageKind::DexOneTimeCode {
            form,
            refused: has("#login-error"),
            enrolment: has("img[src^='data:image/png']"),
        };
    }
    if forms.iter().any(|form| form.field("user_code").is_some()) {
        return PageKind::DexDeviceCode;
    }
    let start = |form: &Form| {
        form.method == FormMethod::Get
            && form
                .target
                .as_ref()
                .is_some_and(|target| target.path().ends_with("/oauth2/start"))
    };
    if let Some(start) = only(&start) {
        return PageKind::ProxySignIn { start };
    }
    if has("div.status-code") && has("#more-info") {
        let message = html::first_text(document, "#more-info .card-content .content").unwrap_or_default();
        return PageKind::ProxyError {
            message: one_line(&message),
        };
    }
    let connectors: Vec<_> = links.iter().filter_map(connector).collect();
    if !connectors.is_empty() {
        return PageKind::DexChooser { connectors };
    }
    if forms.is_empty() && has("h2.theme-heading") {
        let heading = html::first_text(document, "h2.theme-heading").unwrap_or_default();
        let message = html::first_text(document, ".theme-panel p").unwrap_or_default();
        return PageKind::DexError {
            message: one_line(if message.is_empty() { &heading } else { &message }),
        };
    }
    PageKind::Unknown
}

/// A link of Dex's chooser: `<issuer path>/auth/<id>` with a provider's button.
fn connector(link: &Link) -> Option<(Connector, Url)> {
    // The class stands on a button inside the link up to Dex 2.45, later on the link itself.
    if !link.classes.iter().any(|class| class == "theme-btn-provider") {
        return None;
    }
    let id = connector_id(&link.target)?;
    let kind = link
        .classes
        .iter()
        .find_map(|class| class.strip_prefix("dex-btn-icon--"))
        .unwrap_or_default();
    Some((
        Connector {
            id,
            kind: kind.to_owned(),
            label: one_line(&link.text),
        },
        link.target.clone(),
    ))
}

/// The connector id in a URL of the form `<issuer path>/auth/<id>`, decoded.
pub(crate) fn connector_id(url: &Url) -> Option<String> {
    let mut segments = url.path_segments()?.rev();
    let id = segments.next().filter(|id| !id.is_empty())?;
    (segments.next() == Some("auth")).then(|| decoded(id))
}

fn decoded(segment: &str) -> String {
    // Form decoding is percent decoding but for `+`, which stands for itself in a path.
    let text = segment.replace('+', "%2B");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(html: &str) -> PageKind {
        Page::parse(&Url::parse("https://a.test/dex/auth?x=1").unwrap(), 200, html).kind
    }

    #[test]
    fn password_page_and_its_refusal() {
        let page = |extra: &str| {
            kind(&format!(
                "<form method=post action='/dex/auth/local/login?back=&amp;state=s'><input name=login type=text>\
                 <input name=password type=password>{extra}<button>Login</button></form>"
            ))
        };
        let PageKind::DexPassword { form, refused: false } = page("") else {
            panic!()
        };
        assert_eq!(form.target.unwrap().query(), Some("back=&state=s"));
        let refused = page("<div id=login-error class=dex-error-box>Irgendwas stimmt nicht.</div>");
        assert!(matches!(refused, PageKind::DexPassword { refused: true, .. }));
    }

    #[test]
    fn two_password_forms_are_no_choice_to_make() {
        let form = "<form method=post><input name=login><input name=password type=password></form>";
        assert_eq!(kind(&format!("{form}{form}")), PageKind::Unknown);
    }

    #[test]
    fn chooser_of_both_layouts() {
        let PageKind::DexChooser { connectors } = kind(
            "<a href='/dex/auth/my%20ldap%2Fx?scope=profile&#43;email'><button class='dex-btn theme-btn-provider'>\
             <span class='dex-btn-icon dex-btn-icon--ldap'></span><span class=dex-btn-text>Log in with LDAP</span>\
             </button></a><a class='dex-btn theme-btn-provider' href='/dex/auth/local?a=b'>Log in with Email</a>\
             <a href='/dex/auth/other'>no button</a>",
        ) else {
            panic!()
        };
        let ids: Vec<_> = connectors.iter().map(|(connector, _)| connector.id.as_str()).collect();
        assert_eq!(ids, ["my ldap/x", "local"]);
        assert_eq!(connectors[0].0.kind, "ldap");
        assert_eq!(connectors[0].0.label, "Log in with LDAP");
        assert_eq!(connectors[0].1.query(), Some("scope=profile+email"));
    }

    #[test]
    fn approval_takes_the_approving_form() {
        let form = |value: &str| {
            format!(
                "<form method=post><input type=hidden name=req value=r><input type=hidden name=approval value={value}></form>"
            )
        };
        let PageKind::DexApproval { approve } = kind(&format!("{}{}", form("rejected"), form("approve"))) else {
            panic!()
        };
        assert_eq!(approve.field("approval").unwrap().value, "approve");
        assert_eq!(approve.target.unwrap().query(), Some("x=1"));
    }

    #[test]
    fn pages_of_the_proxy() {
        let sign_in = kind("<form method=GET action='/oauth2/start'><input type=hidden name=rd value='/'></form>");
        assert!(matches!(sign_in, PageKind::ProxySignIn { .. }));
        let error = kind(
            "<div class=status-code>403</div><div id=more-info><div class=card-content><div class=content> Login \
             Failed: x </div><div class=content>Request ID: 1</div></div></div><form action='/oauth2/sign_in'></form>",
        );
        assert_eq!(
            error,
            PageKind::ProxyError {
                message: "Login Failed: x".into()
            }
        );
    }

    #[test]
    fn pages_of_dex_without_a_form() {
        let error = kind("<div class=theme-panel><h2 class=theme-heading>Bad Request</h2><p>Gone.</p></div>");
        assert_eq!(
            error,
            PageKind::DexError {
                message: "Gone.".into()
            }
        );
        assert_eq!(kind("<title>Kubeflow</title><h2>Welcome</h2>"), PageKind::Unknown);
        assert_eq!(kind(""), PageKind::Unknown);
    }
}
