use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::visitor::{Seen, Visitor};
use super::super::{DEX_CLIENT, Identity, SamlRequest, SamlSide, dex_callback};
use super::*;
use crate::testing::message::query;

const NAME: &str = "ada@corp.example";
const PASSWORD: &str = "correct horse";
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// The code of that secret at [`NOW`] (RFC 6238, appendix B).
const CODE: &str = "081804";
const NOW: i64 = 1_111_111_109;

fn clock() -> Clock {
    Clock::fixed(Timestamp::from_second(NOW).unwrap())
}

fn site(set_up: impl FnOnce(EntraIdBuilder) -> EntraIdBuilder) -> EntraSite {
    let builder = EntraId::builder().user(NAME, PASSWORD).clock(clock());
    EntraSite::new("http://entra.test".to_owned(), set_up(builder))
}

fn visitor(site: &EntraSite) -> Visitor<'_> {
    Visitor::new(site, &site.origin)
}

fn authorize(extra: &[(&str, &str)]) -> String {
    let callback = dex_callback();
    let mut pairs = vec![
        ("client_id", DEX_CLIENT),
        ("redirect_uri", callback.as_str()),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "s"),
    ];
    for (name, value) in extra {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    format!("/{TENANT}/oauth2/v2.0/authorize?{}", query(pairs))
}

fn config(seen: &Seen) -> Value {
    seen.page()
        .script_value("$Config=")
        .unwrap_or_else(|| panic!("{}", seen.reply.body_text()))
}

fn text<'v>(config: &'v Value, name: &str) -> &'v str {
    config[name].as_str().unwrap()
}

/// What the page's script would send, with a change.
fn send_password(visitor: &mut Visitor<'_>, config: &Value, password: &str, change: (&str, Option<&str>)) -> Seen {
    let mut fields = vec![
        ("login", NAME),
        ("loginfmt", NAME),
        ("passwd", password),
        ("ctx", text(config, "sCtx")),
        ("flowToken", text(config, "sFT")),
        ("canary", text(config, "canary")),
        ("hpgrequestid", text(config, "sessionId")),
    ];
    fields.retain(|(name, _)| *name != change.0);
    if let (name, Some(value)) = change {
        fields.push((name, value));
    }
    visitor.post(text(config, "urlPost"), &fields)
}

const AS_IS: (&str, Option<&str>) = ("", None);

fn code_of(seen: &Seen) -> String {
    let config = config(seen);
    format!("{} {}", text(&config, "pgid"), text(&config, "sErrorCode"))
}

#[test]
fn a_login_ends_with_a_code_for_its_user() {
    let site = site(|builder| builder);
    let mut visitor = visitor(&site);
    let first = config(&visitor.get(&authorize(&[])));
    assert_eq!(text(&first, "sErrorCode"), "50058");
    let stay = config(&send_password(&mut visitor, &first, PASSWORD, AS_IS));
    assert_eq!(text(&stay, "pgid"), "KmsiInterrupt");
    let fields = |options| {
        [
            ("flowToken", text(&stay, "sFT")),
            ("ctx", text(&stay, "sCtx")),
            ("LoginOptions", options),
        ]
    };
    assert_eq!(code_of(&visitor.post("/kmsi", &fields("yes"))), "ConvergedError 165000");
    let end = visitor.post("/kmsi", &fields("1"));
    assert_eq!(end.parameter("state").as_deref(), Some("s"));
    assert!(visitor.jar.contains_key("ESTSAUTHPERSISTENT"));
    let redeem = |code: &str| {
        site.codes.redeem(&Redemption {
            client_id: DEX_CLIENT,
            code,
            redirect_uri: &dex_callback(),
            code_verifier: None,
        })
    };
    let code = end.parameter("code").unwrap();
    assert_eq!(redeem(&code).unwrap().email, NAME);
    assert!(redeem(&code).is_err());

    // The session spares the password, unless it is asked for.
    assert!(visitor.get(&authorize(&[])).parameter("code").is_some());
    assert_eq!(
        code_of(&visitor.get(&authorize(&[("prompt", "login")]))),
        "ConvergedSignIn 50058"
    );
    visitor.jar.clear();
    assert_eq!(
        visitor
            .get(&authorize(&[("prompt", "none")]))
            .parameter("error")
            .as_deref(),
        Some("login_required")
    );
}

#[test]
fn what_does_not_belong_to_the_page_is_refused() {
    let site = site(|builder| builder);
    let changes: [((&str, Option<&str>), &str); 7] = [
        (("ctx", Some("other")), "ConvergedError 165000"),
        (("canary", Some("other")), "ConvergedError 165000"),
        (("hpgrequestid", Some("other")), "ConvergedError 165000"),
        (("flowToken", Some("other")), "ConvergedSignIn 50089"),
        (("flowToken", None), "ConvergedError 900144"),
        (("loginfmt", None), "ConvergedError 900144"),
        (("login", Some("nobody@corp.example")), "ConvergedSignIn 50034"),
    ];
    for (change, expected) in changes {
        let mut visitor = visitor(&site);
        let page = config(&visitor.get(&authorize(&[])));
        assert_eq!(
            code_of(&send_password(&mut visitor, &page, PASSWORD, change)),
            expected,
            "{change:?}"
        );
    }
    let mut visitor = visitor(&site);
    let page = config(&visitor.get(&authorize(&[])));
    visitor.jar.remove("esctx");
    assert_eq!(
        code_of(&send_password(&mut visitor, &page, PASSWORD, AS_IS)),
        "ConvergedError 165000"
    );
}

#[test]
fn a_token_works_once_and_for_an_hour() {
    let clock = clock();
    let site = site(|builder| builder.clock(clock.clone()));
    let mut visitor = visitor(&site);
    let page = config(&visitor.get(&authorize(&[])));
    let again = send_password(&mut visitor, &page, "wrong", AS_IS);
    assert_eq!(code_of(&again), "ConvergedSignIn 50126");
    assert_eq!(
        code_of(&send_password(&mut visitor, &page, PASSWORD, AS_IS)),
        "ConvergedSignIn 50089"
    );
    let page = config(&visitor.get(&authorize(&[])));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        code_of(&send_password(&mut visitor, &page, PASSWORD, AS_IS)),
        "ConvergedSignIn 50089"
    );
    assert_eq!(site.attempts.load(Ordering::Relaxed), 1);
}

#[test]
fn an_account_is_locked_after_wrong_passwords() {
    let site = site(|builder| builder.lockout_after(2));
    let mut visitor = visitor(&site);
    let mut page = visitor.get(&authorize(&[]));
    for (password, expected) in [("a", "50126"), ("b", "50126"), (PASSWORD, "50053")] {
        page = send_password(&mut visitor, &config(&page), password, AS_IS);
        assert_eq!(code_of(&page), format!("ConvergedSignIn {expected}"));
    }
}

#[test]
fn the_kind_of_an_account_is_told_to_the_page_only() {
    let federated = "https://adfs.example/adfs/ls/";
    let site = site(|builder| builder.account(EntraUser::new("eve@corp.example", "x").federated(federated)));
    let mut visitor = visitor(&site);
    let page = config(&visitor.get(&authorize(&[])));
    let ask = |visitor: &mut Visitor<'_>, name: &str, left_out: &str| {
        let (act, id) = (page["hpgact"].to_string(), page["hpgid"].to_string());
        let mut headers = vec![
            ("canary", text(&page, "apiCanary")),
            ("client-request-id", text(&page, "correlationId")),
            ("hpgact", act.as_str()),
            ("hpgid", id.as_str()),
            ("hpgrequestid", text(&page, "sessionId")),
            ("referer", "http://entra.test/x"),
        ];
        headers.retain(|(header, _)| *header != left_out);
        let body = json!({"username": name, "originalRequest": page["sCtx"], "flowToken": page["sFT"]});
        visitor.post_json("/common/GetCredentialType", &headers, &body)
    };
    assert_eq!(ask(&mut visitor, NAME, "")["IfExistsResult"], 0);
    assert_eq!(ask(&mut visitor, "nobody@corp.example", "")["IfExistsResult"], 1);
    let other = ask(&mut visitor, "EVE@corp.example", "");
    assert_eq!(other["Credentials"]["FederationRedirectUrl"], federated);
    for header in [
        "canary",
        "client-request-id",
        "hpgact",
        "hpgid",
        "hpgrequestid",
        "referer",
    ] {
        assert!(ask(&mut visitor, NAME, header)["error"].is_object(), "{header}");
    }
    assert_eq!(site.lookups.load(Ordering::Relaxed), 3);
    site.throttles.store(true, Ordering::Relaxed);
    assert_eq!(ask(&mut visitor, NAME, "")["ThrottleStatus"], 1);
}

#[test]
fn a_second_factor_goes_from_call_to_call() {
    let site = site(|builder| builder.account(EntraUser::new("bob@corp.example", PASSWORD).totp_secret(SECRET)));
    let mut visitor = visitor(&site);
    let page = config(&visitor.get(&authorize(&[])));
    let factor = config(&send_password(
        &mut visitor,
        &page,
        PASSWORD,
        ("login", Some("bob@corp.example")),
    ));
    assert_eq!(text(&factor, "pgid"), "ConvergedTFA");
    assert_eq!(factor["arrUserProofs"][1]["authMethodId"], "PhoneAppOTP");
    let begin = json!({
        "AuthMethodId": "PhoneAppOTP", "Method": "BeginAuth", "Ctx": factor["sCtx"], "FlowToken": factor["sFT"],
    });
    let mut other = begin.clone();
    other["AuthMethodId"] = "OneWaySMS".into();
    assert_eq!(
        visitor.post_json("/common/SAS/BeginAuth", &[], &other)["ResultValue"],
        "AuthMethodNotAllowed"
    );
    let answer = visitor.post_json("/common/SAS/BeginAuth", &[], &begin);
    assert_eq!(answer["Success"], true);
    assert_eq!(
        visitor.post_json("/common/SAS/BeginAuth", &[], &begin)["ResultValue"],
        "InvalidSession"
    );
    let end = |answer: &Value, code: &str| {
        json!({
            "AuthMethodId": "PhoneAppOTP", "Method": "EndAuth", "Ctx": answer["Ctx"], "FlowToken": answer["FlowToken"],
            "SessionId": answer["SessionId"], "AdditionalAuthData": code,
        })
    };
    let mut other = end(&answer, CODE);
    other["SessionId"] = "other".into();
    for (call, expected) in [(other, "InvalidSession"), (end(&answer, "000000"), "OathCodeIncorrect")] {
        assert_eq!(
            visitor.post_json("/common/SAS/EndAuth", &[], &call)["ResultValue"],
            expected
        );
    }
    let accepted = visitor.post_json("/common/SAS/EndAuth", &[], &end(&answer, CODE));
    assert_eq!(accepted["Success"], true);
    let fields = |login| {
        [
            ("flowToken", text(&accepted, "FlowToken")),
            ("request", text(&accepted, "Ctx")),
            ("login", login),
        ]
    };
    assert_eq!(
        code_of(&visitor.post("/common/SAS/ProcessAuth", &fields(NAME))),
        "ConvergedError 165000"
    );
    let stay = visitor.post("/common/SAS/ProcessAuth", &fields("bob@corp.example"));
    assert_eq!(code_of(&stay), "KmsiInterrupt ");
}

#[test]
fn assertions_are_for_the_request_in_either_binding() {
    let site = site(|builder| builder.stay_signed_in(false));
    for post in [false, true] {
        let mut visitor = visitor(&site);
        let asked = SamlRequest::new("sp", "http://sp.test/acs");
        let path = format!("/{TENANT}/saml2");
        let page = if post {
            visitor.post(&path, &[("SAMLRequest", &asked.for_post()), ("RelayState", "r+/=")])
        } else {
            let pairs = query([("SAMLRequest", asked.for_redirect().as_str()), ("RelayState", "r+/=")]);
            visitor.get(&format!("{path}?{pairs}"))
        };
        let end = send_password(&mut visitor, &config(&page), PASSWORD, AS_IS);
        assert_eq!(end.page().title(), "Working...");
        let fields = end.fields();
        assert_eq!(fields[1], ("RelayState".to_owned(), "r+/=".to_owned()));
        let expected = SamlSide {
            acs_url: "http://sp.test/acs",
            in_response_to: &asked.id,
        };
        let Identity { email, .. } = site.saml.accept(&fields[0].1, expected).unwrap();
        assert_eq!(email, NAME);
    }
    let bad = visitor(&site).get(&format!("/{TENANT}/saml2?SAMLRequest=x"));
    assert_eq!(code_of(&bad), "ConvergedError 750054");
}

#[test]
fn applications_that_are_not_known_get_nothing() {
    let site = site(|builder| builder);
    let mut visitor = visitor(&site);
    let mut code = |extra| code_of(&visitor.get(&authorize(&[extra])));
    assert_eq!(code(("client_id", "other")), "ConvergedError 700016");
    assert_eq!(code(("redirect_uri", "http://other.test/")), "ConvergedError 50011");
    assert_eq!(
        visitor
            .get(&authorize(&[("scope", "email")]))
            .parameter("error")
            .as_deref(),
        Some("invalid_scope")
    );
    assert_eq!(visitor.get("/elsewhere").reply.status, 404);
}

#[test]
fn an_answer_may_be_a_form() {
    let site = site(|builder| builder.stay_signed_in(false).device_check());
    let mut visitor = visitor(&site);
    let check = visitor.get(&authorize(&[("response_mode", "form_post")]));
    let fields = check.fields();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let page = config(&visitor.post(&format!("/{TENANT}/DeviceAuthTls/reprocess"), &fields));
    let end = send_password(&mut visitor, &page, PASSWORD, AS_IS);
    let names: Vec<_> = end.fields().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["code", "state", "session_state"]);
}

#[test]
fn enrolment_that_cannot_wait_is_not_skipped() {
    for (user, expected) in [
        (
            EntraUser::new("bob@corp.example", PASSWORD).may_enrol_later(),
            "KmsiInterrupt ",
        ),
        (
            EntraUser::new("bob@corp.example", PASSWORD).must_enrol(),
            "ConvergedError 165000",
        ),
    ] {
        let site = site(|builder| builder.account(user));
        let mut visitor = visitor(&site);
        let page = config(&visitor.get(&authorize(&[])));
        let page = config(&send_password(
            &mut visitor,
            &page,
            PASSWORD,
            ("login", Some("bob@corp.example")),
        ));
        assert_eq!(text(&page, "pgid"), "ConvergedProofUpRedirect");
        let skip = format!(
            "/{TENANT}/SkipMfaRegistration?{}",
            query([("ctx", text(&page, "sCtx")), ("flowToken", text(&page, "sFT"))])
        );
        assert_eq!(code_of(&visitor.get(&skip)), expected);
    }
}
