//! What holds for every page, answer and cookie whatever a server sends: the bodies of the fuzz targets and of the
//! property tests. Each returns, or panics where something does not hold.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::flow::{Flow, Incoming, Outgoing, Plan, Step};
use crate::handler::{FieldValue, Progress};
use crate::identity_provider::{IdentityProvider, Providers};
use crate::login::{Settings, cookies_after};
use crate::origin::origin;
use crate::page::Page;
use crate::providers::{built_in, specific};

const GATEWAY: &str = "https://kubeflow.example.com/";
const PROVIDER: &str = "https://idp.example.com";
const BROKER: &str = "https://broker.example.com";
/// Ends one answer of [`flow`] and begins the next.
const SEPARATOR: char = '\u{1e}';
/// Redirects, pages and calls that a login may take, and the first request.
const MAX_REQUESTS: usize = 51;

fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok()
}

/// Any page can be read and asked, and what it holds stays within limits.
pub fn page(html: &str) {
    let Some(url) = address("https://idp.example.com/a/b?c=d#e") else {
        return;
    };
    let page = Page::parse(&url, 200, html);
    assert!(page.forms().len() <= 20);
    assert!(page.links().len() <= 500);
    for form in page.forms() {
        assert!(form.fields.len() <= 200);
        assert!(form.fields.iter().all(|field| field.name.len() <= html.len() * 3));
    }
    for link in page.links() {
        assert!(link.text.len() <= 1000 && link.classes.len() <= 50);
    }
    assert!(page.title().chars().count() <= 300);
    for progress in progresses() {
        for handler in built_in() {
            if let Some(decision) = handler.handle(&page, &progress) {
                assert!(!format!("{decision:?}").is_empty());
            }
        }
    }
    for selector in ["*", "a [", "", html] {
        assert!(page.texts(selector).len() <= page.attributes("*", "id").len() + html.len());
    }
    assert!(
        page.script_value("=")
            .is_none_or(|value| value.to_string().len() <= html.len() * 6 + 100)
    );
    assert!(page.join(html).is_none_or(|target| !target.scheme().is_empty()));
}

fn progresses() -> [Progress; 3] {
    let nothing = Progress::default();
    let sent = Progress {
        username_sent: true,
        password_sent: true,
        ..Progress::default()
    };
    let all = Progress {
        code_sent: true,
        can_make_codes: true,
        connector: Some("local".to_owned()),
        own_users: true,
        ..sent.clone()
    };
    [nothing, sent, all]
}

/// The names that handlers with marks of their own give to a page.
pub fn claims(url: &str, html: &str) -> Vec<String> {
    let Some(url) = address(url) else {
        return Vec::new();
    };
    let page = Page::parse(&url, 200, html);
    specific()
        .iter()
        .filter_map(|handler| handler.handle(&page, &Progress::default()))
        .map(|decision| decision.page.into_owned())
        .collect()
}

fn plan() -> Option<Plan> {
    let mut providers = Providers::default();
    providers.add(IdentityProvider::at(PROVIDER).ok()?);
    providers.add(IdentityProvider::at(BROKER).ok()?.broker("corp"));
    Some(Plan {
        gateway: address(GATEWAY)?,
        connector: None,
        connector_directly: false,
        providers,
        handlers: built_in().into(),
    })
}

/// A login ends within its limits whatever is answered, goes only to origins that were named, and sends the password to
/// no other than those that may have it, and once.
///
/// `script` holds the answers; they begin again when they are used up. The first letter of each is its kind, the rest
/// the address of a redirect or the body.
pub fn flow(script: &str) {
    let Some(plan) = plan() else { return };
    let credentials = Credentials::new("user@example.com", "topsecret").totp_secret("JBSWY3DPEHPK3PXP");
    let mut flow = Flow::new(plan, &credentials);
    let mut next = flow.start();
    let mut passwords = 0;
    for (number, answer) in script.split(SEPARATOR).cycle().enumerate() {
        assert!(number <= MAX_REQUESTS, "a login of {number} requests");
        passwords += usize::from(is_allowed(&next));
        assert!(passwords <= 1, "the password was sent again");
        let decided = flow.advance(&incoming(next.url.clone(), answer));
        let (page, unknown) = flow.last_page();
        assert!(page.is_none() || unknown.is_none());
        match decided {
            Ok(Step::Send(outgoing)) => next = outgoing,
            Ok(Step::Done) => return,
            Err(error) => return assert!(!error.to_string().contains('\n')),
        }
    }
}

/// Whether it holds the password.
fn is_allowed(outgoing: &Outgoing) -> bool {
    let to = origin(&outgoing.url);
    let gateway = GATEWAY.trim_end_matches('/');
    assert!([gateway, PROVIDER, BROKER].contains(&to.as_str()), "a request to {to}");
    let secret = outgoing.carries(&FieldValue::Password) || outgoing.carries(&FieldValue::OneTimeCode);
    assert!(!secret || to != BROKER, "a secret for the broker");
    outgoing.carries(&FieldValue::Password)
}

fn incoming(url: Url, answer: &str) -> Incoming {
    let mut letters = answer.chars();
    let kind = letters.next().unwrap_or('P');
    let rest = letters.as_str();
    let status = match kind {
        'R' | 'C' => 302,
        '7' => 307,
        'F' => 403,
        'U' | 'N' => 401,
        'E' => 500,
        _ => 200,
    };
    let redirects = (300..400).contains(&status);
    Incoming {
        url,
        status,
        location: redirects.then(|| rest.to_owned()),
        body: if redirects { String::new() } else { rest.to_owned() },
        is_html: matches!(kind, 'H' | 'F' | 'U' | 'E'),
        is_json: kind == 'J',
        sets_cookie: kind == 'C',
        challenges: if kind == 'N' {
            vec!["NTLM".to_owned()]
        } else {
            Vec::new()
        },
    }
}

fn settings() -> Option<Settings> {
    static HTTP: LazyLock<Option<reqwest::Client>> =
        LazyLock::new(|| reqwest::Client::builder().no_proxy().build().ok());
    Some(Settings {
        plan: plan()?,
        http: HTTP.clone()?,
        deadline: Duration::from_secs(1),
        max_page_bytes: 1024,
        clock: Arc::new(|| Timestamp::UNIX_EPOCH),
    })
}

/// No line of `Set-Cookie` makes a cookie that another site gets or that no header can carry.
pub fn set_cookie(lines: &str) {
    let (Some(settings), Some(url), Some(elsewhere)) =
        (settings(), address(GATEWAY), address("https://kubeflow.example.net/"))
    else {
        return;
    };
    let lines: Vec<_> = lines.lines().collect();
    for asked in [&url, &elsewhere] {
        match cookies_after(&settings, &url, &lines, asked) {
            Ok((header, names)) => {
                assert!(header.is_none() || *asked != elsewhere, "a cookie for another site");
                assert!(header.is_none_or(|header| header.is_sensitive()));
                assert!(names.iter().all(|name| !name.contains(char::is_control)));
            }
            Err(Error::ForeignCookie { name, .. }) => assert!(!name.contains(char::is_control)),
            Err(other) => assert!(other.to_string().is_empty(), "{other}"),
        }
    }
}

#[cfg(test)]
mod tests;
