use super::*;
use crate::identity_provider::IdentityProvider;
use crate::providers::built_in;

const GATEWAY: &str = "https://kubeflow.example.com/";
const AUTHORIZE: &str = "/dex/auth?client_id=c&prompt=none&redirect_uri=%2Foauth2%2Fcallback&response_type=code\
                         &scope=profile+email+groups+openid&state=abc%3A%2F";
const LOGIN_PAGE: &str = "<form method=post action='/dex/auth/local/login?back=&amp;state=s'><input name=login>\
                          <input name=password type=password></form>";

fn flow() -> Flow {
    connected(None)
}

fn plan() -> Plan {
    Plan {
        gateway: Url::parse(GATEWAY).unwrap(),
        connector: None,
        connector_directly: false,
        providers: Providers::default(),
        handlers: built_in().into(),
    }
}

fn of(plan: Plan) -> Flow {
    Flow::new(plan, &Credentials::new("user@example.com", "topsecret"))
}

fn connected(connector: Option<&str>) -> Flow {
    of(Plan {
        connector: connector.map(str::to_owned),
        ..plan()
    })
}

fn at(path: &str) -> Url {
    Url::parse(GATEWAY).unwrap().join(path).unwrap()
}

fn redirect(from: &str, to: &str) -> Incoming {
    Incoming {
        url: at(from),
        status: 302,
        location: Some(to.to_owned()),
        body: String::new(),
        is_html: true,
        is_json: false,
        sets_cookie: false,
        challenges: Vec::new(),
    }
}

fn html(from: &str, status: u16, body: &str) -> Incoming {
    Incoming {
        url: at(from),
        status,
        location: None,
        body: body.to_owned(),
        is_html: true,
        is_json: false,
        sets_cookie: false,
        challenges: Vec::new(),
    }
}

fn plain(from: &str, status: u16, body: &str) -> Incoming {
    Incoming {
        is_html: false,
        ..html(from, status, body)
    }
}

fn next(flow: &mut Flow, answer: &Incoming) -> String {
    match flow.advance(answer).unwrap() {
        Step::Send(outgoing) => outgoing.url.to_string(),
        Step::Done => "done".to_owned(),
    }
}

fn refused(flow: &mut Flow, answer: &Incoming) -> Error {
    flow.advance(answer).unwrap_err()
}

/// Up to the answer of the password form.
fn after_password() -> Flow {
    let mut flow = flow();
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    let Step::Send(post) = flow
        .advance(&html("/dex/auth/local/login?back=&state=s", 200, LOGIN_PAGE))
        .unwrap()
    else {
        panic!()
    };
    assert!(post.carries(&FieldValue::Password));
    flow
}

#[test]
fn a_login_of_kubeflow_1_11_step_by_step() {
    let mut flow = flow();
    assert_eq!(
        flow.start().url.as_str(),
        "https://kubeflow.example.com/oauth2/start?rd=%2F"
    );
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    next(
        &mut flow,
        &redirect(AUTHORIZE, &AUTHORIZE.replace("/dex/auth?", "/dex/auth/local?")),
    );
    next(
        &mut flow,
        &redirect("/dex/auth/local?x", "/dex/auth/local/login?back=&state=s"),
    );
    let Step::Send(post) = flow
        .advance(&html("/dex/auth/local/login?back=&state=s", 200, LOGIN_PAGE))
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(
        post.url.as_str(),
        "https://kubeflow.example.com/dex/auth/local/login?back=&state=s"
    );
    assert_eq!(
        post.fields(),
        [
            ("login".into(), FieldValue::Username),
            ("password".into(), FieldValue::Password)
        ]
    );
    next(
        &mut flow,
        &redirect("/dex/auth/local/login?x", "/oauth2/callback?code=k&state=abc%3A%2F"),
    );
    let mut last = redirect("/oauth2/callback?code=k", "/");
    last.sets_cookie = true;
    assert_eq!(next(&mut flow, &last), "done");
}

#[test]
fn a_base_path_is_asked_below_and_then_itself() {
    let mut flow = flow();
    flow.plan.gateway = Url::parse("https://example.com/kubeflow/").unwrap();
    assert_eq!(
        flow.start().url.as_str(),
        "https://example.com/kubeflow/oauth2/start?rd=%2Fkubeflow%2F"
    );
    let mut answer = plain("/", 404, "no");
    answer.url = flow.start().url;
    assert_eq!(next(&mut flow, &answer), "https://example.com/kubeflow/");
}

#[test]
fn something_without_a_login_is_no_gateway() {
    let mut flow = flow();
    assert_eq!(
        next(&mut flow, &html("/oauth2/start", 200, "<title>App</title>")),
        GATEWAY
    );
    let error = refused(&mut flow, &html("/", 200, "<title>App</title>"));
    assert!(matches!(error, Error::NotAGateway { status: 200, .. }), "{error}");
}

#[test]
fn the_in_cluster_issuer_is_reached_at_the_gateway() {
    let mut flow = flow();
    next(&mut flow, &redirect("/oauth2/start", AUTHORIZE));
    let to = "http://dex.auth.svc.cluster.local:5556/dex/callback?code=a&state=b";
    assert_eq!(
        next(&mut flow, &redirect("/dex/auth/x", to)),
        "https://kubeflow.example.com/dex/callback?code=a&state=b"
    );
}

#[test]
fn prompt_none_is_dropped_once() {
    let mut flow = flow();
    next(&mut flow, &redirect("/oauth2/start", AUTHORIZE));
    let refusal = redirect(
        "/dex/auth/local",
        "/oauth2/callback?error=login_required&state=abc%3A%2F",
    );
    let again = next(&mut flow, &refusal);
    assert!(
        again.contains("/dex/auth?client_id=c&") && !again.contains("prompt"),
        "{again}"
    );
    assert!(again.ends_with("state=abc%3A%2F"), "{again}");
    assert!(matches!(refused(&mut flow, &refusal), Error::LoginRefused { .. }));
}

#[test]
fn a_second_password_form_is_never_filled_in() {
    let page = LOGIN_PAGE.replace("</form>", "<div id=login-error>no</div></form>");
    for status in [200, 401] {
        let error = refused(&mut after_password(), &html("/dex/auth/local/login", status, &page));
        assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
    }
    // A lost state would be answered by one more login, and that one would send the password again.
    let error = refused(&mut after_password(), &html("/dex/auth/local/login", 200, LOGIN_PAGE));
    assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
}

#[test]
fn unsafe_redirects_are_refused_each_for_its_reason() {
    for (status, to, wanted) in [
        (303, "https://evil.example.com/", UnsafeReason::OtherOrigin),
        (303, "http://kubeflow.example.com/", UnsafeReason::Downgrade),
        (307, "/dex/auth/local/login", UnsafeReason::ResendsForm),
        (308, "/dex/auth/local/login", UnsafeReason::ResendsForm),
        (303, "javascript:alert(1)", UnsafeReason::Scheme),
    ] {
        let mut answer = redirect("/dex/auth/local/login", to);
        answer.status = status;
        let error = refused(&mut after_password(), &answer);
        assert!(
            matches!(&error, Error::UnsafeTarget { reason, .. } if *reason == wanted),
            "{to}: {error}"
        );
    }
}

#[test]
fn forms_that_lead_elsewhere_are_not_sent() {
    for (action, wanted) in [
        ("https://evil.example.com/", UnsafeReason::OtherOrigin),
        ("http://kubeflow.example.com/x", UnsafeReason::Downgrade),
        ("//evil.example.com/", UnsafeReason::OtherOrigin),
        ("javascript:alert(1)", UnsafeReason::Scheme),
        ("data:text/html,x", UnsafeReason::Scheme),
        ("https://kubeflow.example.com:444/", UnsafeReason::OtherOrigin),
    ] {
        let mut flow = flow();
        next(&mut flow, &redirect("/oauth2/start", AUTHORIZE));
        let page = LOGIN_PAGE.replace("/dex/auth/local/login?back=&amp;state=s", action);
        let error = refused(&mut flow, &html("/dex/auth/local/login", 200, &page));
        assert!(
            matches!(&error, Error::UnsafeTarget { reason, .. } if *reason == wanted),
            "{action}: {error}"
        );
    }
}

#[test]
fn another_state_at_the_end_stops_the_login() {
    let error = refused(
        &mut after_password(),
        &redirect("/dex/x", "/oauth2/callback?code=k&state=other"),
    );
    assert!(matches!(error, Error::StateMismatch));
}

#[test]
fn circles_end() {
    let mut flow = flow();
    let error = (0..100)
        .find_map(|_| flow.advance(&redirect("/a", "/a")).err())
        .unwrap();
    assert!(matches!(error, Error::TooManyRedirects { limit: 20 }));
    let mut flow = self::flow();
    let sign_in = "<form method=get action='/oauth2/start'><input type=hidden name=rd value=/></form>";
    let error = (0..100)
        .find_map(|_| flow.advance(&html("/oauth2/start", 403, sign_in)).err())
        .unwrap();
    assert!(matches!(error, Error::TooManyPages { limit: 10 }));
}

#[test]
fn connectors_are_chosen_by_id_and_listed_when_unknown() {
    let link = |id: &str| format!("<a href='/dex/auth/{id}?a=b'><button class=theme-btn-provider>x</button></a>");
    let page = html("/dex/auth?a=b", 200, &format!("{}{}", link("local"), link("ldap")));
    let ready = |connector: Option<&str>| {
        let mut flow = connected(connector);
        next(&mut flow, &redirect("/oauth2/start", AUTHORIZE));
        flow
    };
    assert_eq!(
        next(&mut ready(Some("ldap")), &page),
        "https://kubeflow.example.com/dex/auth/ldap?a=b"
    );
    let ids = |error: &Error| match error {
        Error::ConnectorUnknown { available, .. } | Error::ConnectorRequired { available } => available
            .iter()
            .map(|connector| connector.id.clone())
            .collect::<Vec<_>>(),
        _ => panic!("{error}"),
    };
    assert_eq!(ids(&refused(&mut ready(Some("saml")), &page)), ["local", "ldap"]);
    assert_eq!(ids(&refused(&mut ready(None), &page)), ["local", "ldap"]);
    let only = redirect("/dex/auth?a=b", "/dex/auth/local?a=b");
    assert_eq!(ids(&refused(&mut ready(Some("ldap")), &only)), ["local"]);
    next(&mut ready(Some("local")), &only);
}

#[test]
fn approval_is_given_for_the_scopes_of_a_login_only() {
    let page = "<form method=post><input type=hidden name=req value=r><input type=hidden name=approval \
                value=approve></form>";
    let approval = html("/dex/approval?req=r&hmac=h", 200, page);
    assert_eq!(
        next(&mut after_password(), &approval),
        "https://kubeflow.example.com/dex/approval?req=r&hmac=h"
    );
    let mut flow = after_password();
    flow.progress.scopes.push("audience:server:client_id:other".into());
    let error = refused(&mut flow, &approval);
    assert!(
        matches!(&error, Error::ApprovalRefused { scopes } if scopes.len() == 1),
        "{error}"
    );
}

#[test]
fn failures_are_told_apart() {
    let dex = |text: &str| format!("<div class=theme-panel><h2 class=theme-heading>Bad</h2><p>{text}</p></div>");
    let proxy = |text: &str| {
        format!(
            "<div class=status-code>1</div><div id=more-info><div class=card-content><div class=content>{text}</div>\
             </div></div>"
        )
    };
    let after = |answer: &Incoming| refused(&mut after_password(), answer);
    assert!(matches!(
        after(&html("/x", 400, &dex("User session has expired."))),
        Error::LoginStateLost { .. }
    ));
    assert!(matches!(
        after(&html("/x", 404, &dex("Invalid client_id."))),
        Error::Misconfigured { .. }
    ));
    assert!(matches!(
        after(&html("/x", 500, &dex("Login error."))),
        Error::ProviderUnavailable { status: 500, .. }
    ));
    assert!(matches!(
        after(&html("/x", 403, &proxy("No valid CSRF token."))),
        Error::LoginStateLost { .. }
    ));
    assert!(matches!(
        after(&html("/x", 500, &proxy("Oops!"))),
        Error::LoginStateLost { .. }
    ));
    assert!(matches!(
        after(&html("/x", 403, &proxy("No permission."))),
        Error::LoginRefused { status: 403, .. }
    ));
    assert!(matches!(
        after(&plain("/x", 403, "")),
        Error::AuthServiceUnavailable { .. }
    ));
    assert!(matches!(
        after(&plain("/x", 403, "RBAC: access denied")),
        Error::PermissionDenied { .. }
    ));
    assert!(matches!(
        after(&plain("/x", 400, "CSRF check failed. Again.")),
        Error::LoginStateLost { .. }
    ));
    assert!(matches!(
        after(&plain("/x", 503, "no healthy upstream")),
        Error::ProviderUnavailable { .. }
    ));
    let unknown = after(&html(
        "/x?secret=1",
        200,
        "<title>MFA</title><form><input name=otp></form>",
    ));
    assert_eq!(
        unknown.to_string(),
        "the login led to an unknown page at https://kubeflow.example.com/x (status 200, title `MFA`, form fields: otp)"
    );
}

const IDP: &str = "https://idp.example.com/authorize?client_id=k&redirect_uri=http%3A%2F%2Fdex.auth.svc.cluster.local%3A\
                   5556%2Fdex%2Fcallback&response_type=code&state=inner";
const IDP_FORM: &str = "<form method=post action='/submit'><input name=username><input name=pw type=password></form>";

fn with_provider(provider: IdentityProvider) -> Flow {
    let mut providers = Providers::default();
    providers.add(provider);
    of(Plan { providers, ..plan() })
}

fn from_idp(answer: Incoming, url: &str) -> Incoming {
    Incoming {
        url: Url::parse(url).unwrap(),
        ..answer
    }
}

#[test]
fn a_provider_that_was_named_gets_the_password_and_leads_back() {
    let mut flow = with_provider(IdentityProvider::at("https://idp.example.com").unwrap());
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    assert_eq!(next(&mut flow, &redirect("/dex/auth/corp?x", IDP)), IDP);
    let post = next(&mut flow, &from_idp(html("/", 200, IDP_FORM), IDP));
    assert_eq!(post, "https://idp.example.com/submit");
    // Back at Dex, under a name that only resolves inside the cluster, and with the state of the inner login.
    let back = "http://dex.auth.svc.cluster.local:5556/dex/callback?code=i&state=inner";
    let target = next(
        &mut flow,
        &from_idp(redirect("/", back), "https://idp.example.com/submit"),
    );
    assert_eq!(target, "https://kubeflow.example.com/dex/callback?code=i&state=inner");
    next(
        &mut flow,
        &redirect("/dex/callback?x", "/oauth2/callback?code=k&state=abc%3A%2F"),
    );
    let mut last = redirect("/oauth2/callback?code=k", "/");
    last.sets_cookie = true;
    assert_eq!(next(&mut flow, &last), "done");
}

#[test]
fn a_provider_that_was_not_named_is_not_visited() {
    let mut flow = flow();
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    let error = refused(&mut flow, &redirect("/dex/auth/corp?x", IDP));
    let Error::UnsafeTarget { origin, reason } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (origin.as_str(), *reason),
        ("https://idp.example.com", UnsafeReason::OtherOrigin)
    );
    assert!(error.to_string().contains("SessionBuilder::identity_provider"));
}

#[test]
fn a_broker_gets_no_password_whatever_its_page_wants() {
    let mut flow = with_provider(
        IdentityProvider::at("https://idp.example.com")
            .unwrap()
            .broker("AzureAD"),
    );
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    next(&mut flow, &redirect("/dex/auth/corp?x", IDP));
    let error = refused(&mut flow, &from_idp(html("/", 200, IDP_FORM), IDP));
    assert!(matches!(
        error,
        Error::UnsafeTarget {
            reason: UnsafeReason::NoPassword,
            ..
        }
    ));
}

#[test]
fn a_hint_for_the_provider_is_added_to_its_request() {
    let provider = IdentityProvider::at("https://idp.example.com").unwrap();
    let mut flow = with_provider(provider.authorize_parameter("kc_idp_hint", "AzureAD"));
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    let target = next(&mut flow, &redirect("/dex/auth/corp?x", IDP));
    assert_eq!(target, format!("{IDP}&kc_idp_hint=AzureAD"));
}

#[test]
fn a_connector_can_be_asked_for_in_the_address() {
    let mut flow = of(Plan {
        connector: Some("corp".to_owned()),
        connector_directly: true,
        ..plan()
    });
    let target = next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    assert!(target.ends_with("&connector_id=corp"), "{target}");
}

#[test]
fn a_gateway_that_takes_only_tokens_says_so() {
    let mut flow = flow();
    next(&mut flow, &plain("/oauth2/start", 403, "RBAC: access denied"));
    assert!(matches!(
        refused(&mut flow, &plain("/", 403, "RBAC: access denied")),
        Error::TokenRequired { .. }
    ));
}

/// Asks an API forever.
#[derive(Debug)]
struct Insatiable;

impl PageHandler for Insatiable {
    fn handle(&self, page: &Page, _progress: &Progress) -> Option<Decision> {
        let target = page.join("/api")?;
        Some(Decision::step("asks", Ok(Action::Call(JsonCall::post(target)))))
    }
}

#[test]
fn answers_to_calls_are_no_pages_and_end_too() {
    let mut flow = of(Plan {
        handlers: vec![Arc::new(Insatiable) as Arc<dyn PageHandler>].into(),
        ..plan()
    });
    next(&mut flow, &html("/page", 200, "<p>x"));
    let answer = Incoming {
        is_json: true,
        ..plain("/api", 200, "{}")
    };
    for _ in 0..MAX_CALLS {
        next(&mut flow, &answer);
    }
    assert!(matches!(
        refused(&mut flow, &answer),
        Error::TooManyPages { limit: MAX_CALLS }
    ));
}

#[test]
fn a_provider_that_wants_the_machines_own_sign_in_says_so() {
    let mut answer = plain("/adfs/ls/wia?SAMLRequest=secret", 401, "");
    answer.challenges = vec!["Negotiate".to_owned(), "NTLM".to_owned()];
    let mut flow = flow();
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    let error = refused(&mut flow, &answer);
    assert!(matches!(error, Error::IntegratedSignIn { .. }), "{error}");
    assert_eq!(error.status(), Some(401));
    assert!(error.to_string().contains("Negotiate, NTLM") && !error.to_string().contains("secret"));
    // Basic is what some gateways answer besides their pages.
    answer.challenges = vec!["Basic".to_owned()];
    let mut flow = self::flow();
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    assert!(matches!(
        refused(&mut flow, &answer),
        Error::LoginRefused { status: 401, .. }
    ));
}

/// A handler that never looks at what was done before.
#[derive(Debug)]
struct Forgetful;

impl PageHandler for Forgetful {
    fn handle(&self, page: &Page, _progress: &Progress) -> Option<Decision> {
        let filled = Submission::post(page.url().clone()).with("p", FieldValue::Password);
        Some(Decision::step("any page", Ok(Action::Submit(filled))))
    }
}

#[test]
fn no_handler_sends_the_password_twice() {
    let mut flow = of(Plan {
        handlers: Arc::from([Arc::new(Forgetful) as Arc<dyn PageHandler>]),
        ..plan()
    });
    next(&mut flow, &redirect("/oauth2/start?rd=%2F", AUTHORIZE));
    next(&mut flow, &html("/dex/auth", 200, "<p>"));
    assert!(matches!(
        refused(&mut flow, &html("/dex/auth", 200, "<p>")),
        Error::WrongPassword { .. }
    ));
}
