//! The same with inputs that are made, not found.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Addresses as attributes and redirects hold them.
fn any_address() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            "#",
            "?a=b",
            "/oauth2/start",
            "/oauth2/callback?code=k&state=s",
            "/oauth2/callback?error=login_required",
            "/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=s",
            "/dex/auth/local/login?state=s",
            "https://idp.example.com/adfs/ls/?SAMLRequest=x",
            "https://idp.example.com/api/v1/authn",
            "https://broker.example.com/login",
            "https://evil.example.net/",
            "https://idp.example.com.evil.example.net/",
            "https://idp.example.com@evil.example.net/",
            "https://me:pw@kubeflow.example.com/",
            "http://kubeflow.example.com/",
            "http://dex.auth.svc.cluster.local:5556/dex/callback?code=i&state=s",
            "//evil.example.net/",
            "\\\\evil.example.net\\",
            "https:/\\evil.example.net",
            "javascript:alert(1)",
            "data:text/html,<form>",
            "&#104;ttps://evil.example.net",
            "java&Tab;script:1",
            "http://[::1",
            "https://kubeflow.example.com:0x1bb/",
        ])
        .prop_map(str::to_owned),
        "[a-z:/?#@&=%.\\\\\\[\\] ]{0,30}",
        "\\PC{0,20}",
    ]
}

/// Pages of a login whose forms go anywhere.
fn page_with(action: &str) -> Vec<String> {
    vec![
        format!("<form method=post action=\"{action}\"><input name=login><input name=password type=password></form>"),
        format!("<form method=post action=\"{action}\"><input name=user><input name=pw type=password></form>"),
        format!(
            "<form method=post id=loginForm action=\"{action}\"><input name=UserName><input name=Password type=password>\
             <input type=hidden name=AuthMethod value=FormsAuthentication></form>"
        ),
        format!(
            "<form method=post id=loginForm action=\"{action}\"><input name=OathCode><input type=hidden name=AuthMethod></form>"
        ),
        format!("<form method=post action=\"{action}\"><input type=hidden name=SAMLResponse value=x></form>"),
        format!("<form method=get action=\"{action}\"><input type=hidden name=rd value=x></form>"),
        format!("<form method=post action=\"{action}\"><input name=req><input name=approval value=approve></form>"),
        format!("<a href=\"{action}\"><button class=theme-btn-provider>x</button></a>"),
        format!("<meta http-equiv=refresh content=\"0;url={action}\">"),
        format!(
            "<base href=\"{action}\"><form method=post action=x><input name=login><input name=password type=password></form>"
        ),
        "<div id=okta-login-container></div>".to_owned(),
        format!(
            "<body data-page-id=login-login><form id=kc-form-login method=post action=\"{action}\"><input name=username>\
             <input name=password type=password></form><a id=social-corp href=\"{action}\">corp</a>"
        ),
        format!(
            "<form name=cognitoSignInForm method=post action=\"{action}\"><input type=hidden name=_csrf value=x>\
             <input name=username><input name=password type=password></form>"
        ),
        format!(
            "<script>$Config={{\"pgid\":\"ConvergedSignIn\",\"urlPost\":\"{action}\",\"sCtx\":\"c\",\"sFT\":\"f\",\
             \"sFTName\":\"flowToken\",\"canary\":\"k\"}};</script>"
        ),
    ]
}

fn login_page() -> impl Strategy<Value = String> {
    (any_address(), any::<prop::sample::Index>()).prop_map(|(action, index)| {
        let pages = page_with(&action);
        index.get(&pages).clone()
    })
}

/// Tags, attributes, entities and text in any order.
fn soup() -> impl Strategy<Value = String> {
    let tag = select(vec![
        "form",
        "input",
        "button",
        "select",
        "textarea",
        "a",
        "base",
        "meta",
        "script",
        "style",
        "title",
        "table",
        "tr",
        "td",
        "p",
        "b",
        "template",
        "svg",
        "math",
        "iframe",
        "noscript",
        "plaintext",
        "frameset",
        "body",
        "html",
        "head",
    ]);
    let attribute = (
        select(vec![
            "id",
            "name",
            "type",
            "value",
            "href",
            "action",
            "method",
            "class",
            "content",
            "http-equiv",
            "data-page-id",
            "",
        ]),
        any_address(),
    )
        .prop_map(|(name, value)| format!(" {name}=\"{value}\""));
    let element = (tag, vec(attribute, 0..4), any::<bool>()).prop_map(|(tag, attributes, ends)| {
        let slash = if ends { "/" } else { "" };
        format!("<{slash}{tag}{}>", attributes.concat())
    });
    let piece = prop_oneof![
        4 => element,
        1 => login_page(),
        1 => "[<>/=\"'&;!\\-a-z# ]{0,12}",
        1 => "\\PC{0,12}",
        1 => select(vec!["<!--", "-->", "<![CDATA[", "]]>", "&#0;", "&#x110000;", "&nosuch;", "\0", "$Config={\"a\":[", "</form>"])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn answer() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (select(vec!["R", "R", "R", "C", "7"]), any_address()).prop_map(|(kind, to)| format!("{kind}{to}")),
        4 => (select(vec!["H", "H", "H", "F", "U", "E"]), login_page()).prop_map(|(kind, page)| format!("{kind}{page}")),
        1 => (select(vec!["H", "F", "P", "N"]), soup()).prop_map(|(kind, page)| format!("{kind}{page}")),
        2 => select(vec![
            "J{\"status\":\"SUCCESS\",\"sessionToken\":\"t\"}",
            "J{\"status\":\"MFA_REQUIRED\",\"_embedded\":{\"factors\":[{\"factorType\":\"token:software:totp\",\"_links\":\
             {\"verify\":{\"href\":\"/api/v1/authn/verify\"}}}]}}",
            "J{\"status\":\"MFA_REQUIRED\",\"_embedded\":{\"factors\":[{\"factorType\":\"token:software:totp\",\"_links\":\
             {\"verify\":{\"href\":\"https://evil.example.net/api/v1/authn/verify\"}}}]}}",
            "J[[[[",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_page_is_read(html in soup()) {
        page(&html);
    }

    #[test]
    fn any_text_is_read(html in "\\PC{0,200}") {
        page(&html);
    }

    #[test]
    fn any_answers_end_a_login(answers in vec(answer(), 1..12)) {
        flow(&answers.join("\u{1e}"));
    }

    #[test]
    fn any_answers_after_an_honest_beginning_end_a_login(answers in vec(answer(), 1..8)) {
        let start = "R/dex/auth?client_id=c&response_type=code&redirect_uri=%2Foauth2%2Fcallback&state=s";
        flow(&format!("{start}\u{1e}{}", answers.join("\u{1e}")));
        flow(&format!("{start}\u{1e}Rhttps://idp.example.com/\u{1e}{}", answers.join("\u{1e}")));
    }

    #[test]
    fn any_cookie_stays_at_home(
        name in "[a-z_=; \\PC]{0,10}",
        value in "[ -~]{0,20}",
        domain in select(vec!["", "example.com", ".example.com", "com", "example.net", "kubeflow.example.net", "."]),
        path in any_address(),
    ) {
        set_cookie(&format!("{name}={value}; Domain={domain}; Path={path}; Max-Age=9\nb=c; domain={domain}"));
    }

    #[test]
    fn a_page_belongs_to_one_provider(noise in vec("[a-z<>/= ]{0,20}", 2)) {
        for (url, html, name) in known() {
            let html = format!("<p>{}</p>{html}<!-- {} -->", noise[0].replace(['<', '>'], ""), noise[1]);
            prop_assert_eq!(claims(url, &html), [name]);
        }
    }
}

proptest! {
    // Each of these costs as much as a hundred of the others.
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_number_of_things_is_read(count in 0_usize..3000, inner in soup()) {
        let mut html = String::new();
        for number in 0..count {
            let _ = write!(html, "<form id=f{number}><input name=n{number}><a href=l{number} class='c{number} d'>x</a>");
        }
        page(&(html + &inner));
    }
}

/// One page of each provider, as short as it can be.
fn known() -> [(&'static str, String, &'static str); 8] {
    let mut pages = page_with("/dex/auth/local/login").into_iter();
    let [dex, _, adfs, code, saml] = std::array::from_fn(|_| pages.next().unwrap());
    let at = "https://idp.example.com/login";
    [
        (at, dex, "Dex: password form"),
        (at, adfs, "AD FS: login form"),
        (at, code, "AD FS: one-time code form"),
        (at, saml, "SAML: response on its way back"),
        (
            at,
            "<div id=okta-login-container></div>".to_owned(),
            "Okta: sign-in page",
        ),
        (
            at,
            "<form method=post action=/login/do-login><input name=username><input name=password type=password></form>"
                .to_owned(),
            "Okta: classic login form",
        ),
        (
            at,
            "<form action=/oauth2/start></form>".to_owned(),
            "oauth2-proxy: sign-in page",
        ),
        (
            at,
            "<h2 class=theme-heading>Bad Request</h2>".to_owned(),
            "Dex: error page",
        ),
    ]
}

#[test]
fn a_page_can_be_nested_without_end() {
    page(&"<div>".repeat(100_000));
    page(&"<form><div></form>".repeat(20_000));
    page(&"<a href=x><table><tr><td>".repeat(20_000));
    page(&format!("<script>$Config={}</script>", "[".repeat(100_000)));
    flow(&format!("J{}", "[".repeat(100_000)));
}
