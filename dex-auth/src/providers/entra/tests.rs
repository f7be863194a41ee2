use serde_json::json;
use url::Url;

use super::*;
use crate::handler::Submission;
use crate::providers::built_in;

const AT: &str = "https://login.microsoftonline.com/contoso/saml2?SAMLRequest=x";

fn shell(config: &Value) -> String {
    // As the real pages do it: more script behind the object, and a line break in between.
    format!(
        "<html><head><title>Sign in to your account</title><script type='text/javascript'>//<![CDATA[\n$Config={config};\n\
         $Debug={{\"a\":1}};\n//]]></script></head><body><div></div></body></html>"
    )
}

fn html(config: &Value) -> Page {
    Page::parse(&Url::parse(AT).unwrap(), 200, &shell(config))
}

/// The decision of the one handler that knows the page.
fn decide(page: &Page, progress: &Progress) -> Decision {
    let mut known: Vec<_> = built_in()
        .iter()
        .filter_map(|handler| handler.handle(page, progress))
        .collect();
    assert_eq!(known.len(), 1, "{known:?}");
    known.remove(0)
}

fn refused(config: &Value) -> Error {
    decide(&html(config), &Progress::default()).outcome.unwrap_err()
}

fn sign_in_page() -> Value {
    json!({
        "pgid": "ConvergedSignIn", "urlPost": "/contoso/login", "sFTName": "flowToken", "sFT": "token", "sCtx": "ctx",
        "canary": "form-canary", "apiCanary": "api-canary", "correlationId": "correlation", "sessionId": "session",
        "hpgact": 1800, "hpgid": 1104, "sErrorCode": "50058",
        "urlGetCredentialType": "https://login.microsoftonline.com/common/GetCredentialType?mkt=en-US"
    })
}

fn with(mut config: Value, name: &str, value: impl Into<Value>) -> Value {
    config[name] = value.into();
    config
}

/// The call that a page makes, and what is known when its answer comes.
fn call(config: &Value, progress: &Progress) -> (JsonCall, Progress) {
    let decision = decide(&html(config), progress);
    let Ok(Action::Call(call)) = decision.outcome else {
        panic!("{:?}", decision.outcome)
    };
    let mut later = progress.clone();
    later.notes.extend(decision.notes);
    (call, later)
}

fn answer_to(call: &JsonCall, json: Value, progress: &Progress) -> Decision {
    decide(&Page::of_json(&call.target, 200, json), progress)
}

fn form(decision: Decision) -> Submission {
    match decision.outcome {
        Ok(Action::Submit(form)) => form,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_account_is_asked_for_before_the_password_is_given() {
    let (call, later) = call(&sign_in_page(), &Progress::default());
    assert_eq!(call.target.path(), "/common/GetCredentialType");
    assert_eq!(call.fields, [("username".to_owned(), FieldValue::Username)]);
    assert_eq!(call.body["originalRequest"], "ctx");
    assert_eq!(call.body["flowToken"], "token");
    let expected = [
        ("canary", "api-canary"),
        ("client-request-id", "correlation"),
        ("hpgact", "1800"),
        ("hpgid", "1104"),
        ("hpgrequestid", "session"),
        ("referer", AT),
    ];
    assert_eq!(
        call.headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );

    let known = json!({"IfExistsResult": 0, "ThrottleStatus": 0, "Credentials": {"HasPassword": true}});
    let form = form(answer_to(&call, known, &later));
    assert_eq!(form.target.as_str(), "https://login.microsoftonline.com/contoso/login");
    assert_eq!(
        form.fields,
        [
            ("login".to_owned(), FieldValue::Username),
            ("loginfmt".to_owned(), FieldValue::Username),
            ("passwd".to_owned(), FieldValue::Password),
            ("ctx".to_owned(), "ctx".into()),
            ("flowToken".to_owned(), "token".into()),
            ("canary".to_owned(), "form-canary".into()),
            ("hpgrequestid".to_owned(), "session".into()),
        ]
    );
}

#[test]
fn a_page_without_the_question_gets_the_password_at_once() {
    let mut config = sign_in_page();
    config.as_object_mut().unwrap().remove("urlGetCredentialType");
    let form = form(decide(&html(&config), &Progress::default()));
    assert_eq!(form.target.path(), "/contoso/login");
}

#[test]
fn the_answer_says_what_kind_of_account_it_is() {
    let (call, later) = call(&sign_in_page(), &Progress::default());
    let outcome = |json| answer_to(&call, json, &later).outcome;
    let unknown = json!({"IfExistsResult": 1, "ThrottleStatus": 0, "Credentials": {"HasPassword": true}});
    assert!(matches!(outcome(unknown), Err(Error::UnknownUser { .. })));
    let throttled = json!({"IfExistsResult": 1, "ThrottleStatus": 1});
    assert!(matches!(outcome(throttled), Err(Error::ProviderUnavailable { .. })));
    let no_password = json!({"IfExistsResult": 0, "Credentials": {"HasPassword": false}});
    assert!(matches!(outcome(no_password), Err(Error::LoginRefused { .. })));
    let federated =
        json!({"IfExistsResult": 0, "Credentials": {"FederationRedirectUrl": "https://adfs.test/adfs/ls/?x=1"}});
    let Ok(Action::Follow(target)) = outcome(federated) else {
        panic!()
    };
    assert_eq!(target.as_str(), "https://adfs.test/adfs/ls/?x=1");
    assert!(matches!(
        outcome(json!({"error": {"code": "6001"}})),
        Ok(Action::Submit(_))
    ));
}

#[test]
fn an_answer_that_was_not_awaited_is_someone_elses() {
    let json = || json!({"IfExistsResult": 0});
    let (call, later) = call(&sign_in_page(), &Progress::default());
    let elsewhere = Url::parse("https://other.test/api/v1/authn").unwrap();
    assert!(
        EntraIdPages
            .handle(&Page::of_json(&elsewhere, 200, json()), &later)
            .is_none()
    );
    let nothing = Progress::default();
    assert!(
        EntraIdPages
            .handle(&Page::of_json(&call.target, 200, json()), &nothing)
            .is_none()
    );
    // And it is awaited once.
    let mut after = later.clone();
    after.notes.extend(answer_to(&call, json(), &later).notes);
    assert!(
        EntraIdPages
            .handle(&Page::of_json(&call.target, 200, json()), &after)
            .is_none()
    );
}

#[test]
fn each_code_has_its_error() {
    type Check = fn(&Error) -> bool;
    let denied: Check = |error| matches!(error, Error::AccessDenied { .. });
    let consent: Check = |error| matches!(error, Error::ConsentRequired { .. });
    let enrol: Check = |error| matches!(error, Error::EnrolmentRequired { .. });
    let factor: Check = |error| matches!(error, Error::SecondFactorRequired { .. });
    let setup: Check = |error| matches!(error, Error::Misconfigured { .. });
    let lost: Check = |error| matches!(error, Error::LoginStateLost { .. });
    let table: [(u32, Check); 26] = [
        (50126, |error| matches!(error, Error::WrongPassword { .. })),
        (50034, |error| matches!(error, Error::UnknownUser { .. })),
        (50053, |error| matches!(error, Error::AccountLocked { .. })),
        (50055, |error| matches!(error, Error::PasswordChangeRequired { .. })),
        (50056, |error| matches!(error, Error::ActionRequired { .. })),
        (50057, |error| matches!(error, Error::AccountDisabled { .. })),
        (50072, enrol),
        (50079, enrol),
        (50074, factor),
        (50076, factor),
        (500_121, |error| matches!(error, Error::SecondFactorRefused { .. })),
        (50089, lost),
        (165_000, lost),
        (50005, denied),
        (50105, denied),
        (50158, denied),
        (53000, denied),
        (53001, denied),
        (53002, denied),
        (53003, denied),
        (53004, denied),
        (65001, consent),
        (90094, consent),
        (700_016, setup),
        (50011, setup),
        (90_072, |error| matches!(error, Error::LoginRefused { .. })),
    ];
    for (code, check) in table {
        for pgid in ["ConvergedSignIn", "ConvergedError"] {
            let config = with(sign_in_page(), "pgid", pgid);
            let config = with(config, "strServiceExceptionMessage", "Told so.");
            for value in [Value::from(code.to_string()), Value::from(code)] {
                let error = refused(&with(config.clone(), "sErrorCode", value));
                assert!(check(&error), "{code} on {pgid}: {error}");
                let shown = format!("{error}");
                // Where the variant has room for words of the page, the code is among them.
                let bare = !shown.contains("Told so.");
                assert!(bare || shown.contains(&format!("AADSTS{code}")), "{shown}");
            }
        }
    }
}

#[test]
fn no_session_yet_is_no_error() {
    for code in ["", "0", "50058"] {
        let config = with(sign_in_page(), "sErrorCode", code);
        assert!(matches!(
            decide(&html(&config), &Progress::default()).outcome,
            Ok(Action::Call(_))
        ));
    }
}

#[test]
fn the_page_that_comes_back_is_not_filled_in_again() {
    let sent = Progress {
        password_sent: true,
        ..Progress::default()
    };
    for config in [sign_in_page(), with(sign_in_page(), "sErrorCode", "")] {
        assert!(matches!(
            decide(&html(&config), &sent).outcome,
            Err(Error::WrongPassword { .. })
        ));
    }
    // Nor is the login begun anew, as it would be before the password.
    for code in [50_089, 165_000] {
        let config = with(sign_in_page(), "sErrorCode", code);
        assert!(matches!(
            decide(&html(&config), &sent).outcome,
            Err(Error::LoginRefused { .. })
        ));
    }
}

#[test]
fn the_session_may_stay() {
    let config = with(sign_in_page(), "pgid", "KmsiInterrupt");
    let form = form(decide(&html(&with(config, "urlPost", "/kmsi")), &Progress::default()));
    assert_eq!(form.target.path(), "/kmsi");
    assert_eq!(
        form.fields,
        [
            ("flowToken".to_owned(), "token".into()),
            ("ctx".to_owned(), "ctx".into()),
            ("LoginOptions".to_owned(), "1".into()),
        ]
    );
}

fn second_factor_page(methods: &[&str]) -> Value {
    let proofs: Vec<_> = methods.iter().map(|method| json!({"authMethodId": method})).collect();
    json!({
        "pgid": "ConvergedTFA", "urlPost": "/common/SAS/ProcessAuth", "sFTName": "flowToken", "sFT": "t0", "sCtx": "c0",
        "sPOST_Username": "ada@corp.test", "arrUserProofs": proofs,
        "urlBeginAuth": "/common/SAS/BeginAuth", "urlEndAuth": "/common/SAS/EndAuth"
    })
}

fn with_codes() -> Progress {
    Progress {
        can_make_codes: true,
        ..Progress::default()
    }
}

#[test]
fn a_code_of_the_authenticator_is_given_once() {
    let config = second_factor_page(&["PhoneAppNotification", "PhoneAppOTP"]);
    let (begin, later) = call(&config, &with_codes());
    assert_eq!(begin.target.path(), "/common/SAS/BeginAuth");
    assert_eq!(
        (&begin.body["Ctx"], &begin.body["FlowToken"]),
        (&"c0".into(), &"t0".into())
    );
    let accepted = json!({"Success": true, "Ctx": "c1", "FlowToken": "t1", "SessionId": "s1"});
    let decision = answer_to(&begin, accepted, &later);
    let Ok(Action::Call(end)) = &decision.outcome else {
        panic!()
    };
    assert_eq!(end.target.path(), "/common/SAS/EndAuth");
    assert_eq!(end.fields, [("AdditionalAuthData".to_owned(), FieldValue::OneTimeCode)]);
    assert_eq!(end.body["SessionId"], "s1");
    let mut last = later.clone();
    last.code_sent = true;
    last.notes.extend(decision.notes.iter().cloned());
    let accepted = json!({"Success": true, "Ctx": "c2", "FlowToken": "t2"});
    let form = form(answer_to(end, accepted, &last));
    assert_eq!(
        form.target.as_str(),
        "https://login.microsoftonline.com/common/SAS/ProcessAuth"
    );
    assert_eq!(
        form.fields,
        [
            ("flowToken".to_owned(), "t2".into()),
            ("request".to_owned(), "c2".into()),
            ("login".to_owned(), "ada@corp.test".into()),
        ]
    );
    let wrong = json!({"Success": false, "ErrCode": 500_121, "Retry": false});
    assert!(matches!(
        answer_to(end, wrong, &last).outcome,
        Err(Error::SecondFactorRefused { .. })
    ));
    assert!(matches!(
        decide(&html(&config), &last).outcome,
        Err(Error::SecondFactorRefused { .. })
    ));
    let failed = json!({"Success": false, "ResultValue": "AuthenticationThrottled"});
    let error = answer_to(&begin, failed, &later).outcome.unwrap_err().to_string();
    assert!(error.contains("AuthenticationThrottled"), "{error}");
}

#[test]
fn other_second_factors_are_named() {
    let offered = |config: &Value, progress: &Progress| match decide(&html(config), progress).outcome {
        Err(Error::SecondFactorRequired { methods, .. }) => methods,
        other => panic!("{other:?}"),
    };
    let push = second_factor_page(&["PhoneAppNotification", "OneWaySMS"]);
    assert_eq!(offered(&push, &with_codes()), ["PhoneAppNotification", "OneWaySMS"]);
    let code = second_factor_page(&["PhoneAppOTP"]);
    assert_eq!(offered(&code, &Progress::default()), ["PhoneAppOTP"]);
}

#[test]
fn enrolment_is_put_off_only_where_the_page_offers_it() {
    let config = json!({"pgid": "ConvergedProofUpRedirect", "urlSkipMfaRegistration": ""});
    assert!(matches!(refused(&config), Error::EnrolmentRequired { .. }));
    let config = with(config, "urlSkipMfaRegistration", "/contoso/skip?ctx=1");
    let Ok(Action::Follow(target)) = decide(&html(&config), &Progress::default()).outcome else {
        panic!()
    };
    assert_eq!(target.as_str(), "https://login.microsoftonline.com/contoso/skip?ctx=1");
}

#[test]
fn pages_that_need_a_person_say_for_what() {
    let page = |pgid: &str| refused(&json!({"pgid": pgid, "sErrTxt": "Some words."}));
    let Error::AccessDenied {
        code: None, message, ..
    } = page("ConvergedConditionalAccess")
    else {
        panic!()
    };
    assert_eq!(message, "Some words.");
    assert!(matches!(page("ConvergedConsent"), Error::ConsentRequired { .. }));
    assert!(matches!(
        page("ConvergedChangePassword"),
        Error::PasswordChangeRequired { .. }
    ));
    assert!(matches!(
        page("ConvergedPasskeyInterrupt"),
        Error::ActionRequired { .. }
    ));
    assert!(matches!(page("ConvergedError"), Error::LoginRefused { .. }));
    let error = page("ConvergedNobodyKnows").to_string();
    assert!(
        error.contains("ConvergedNobodyKnows") && error.contains("browser"),
        "{error}"
    );
}

#[test]
fn the_error_page_may_give_its_code_in_words() {
    let config =
        json!({"pgid": "ConvergedError", "strServiceExceptionMessage": "AADSTS700016: Application was not found."});
    assert!(matches!(refused(&config), Error::Misconfigured { .. }));
}

#[test]
fn forms_that_send_themselves_have_one_handler_each() {
    let page = |fields: &str| {
        let html = format!(
            "<html><head><title>Working...</title></head><body><form method=\"POST\" name=\"hiddenform\" \
             action=\"https://device.login.microsoftonline.com/?x\">{fields}<noscript><input type=\"submit\" \
             value=\"Submit\"/></noscript></form><script>document.forms[0].submit();</script></body></html>"
        );
        Page::parse(&Url::parse(AT).unwrap(), 200, &html)
    };
    let hidden = |names: &[&str]| {
        let inputs = names
            .iter()
            .map(|name| format!("<input type=\"hidden\" name=\"{name}\" value=\"v\"/>"));
        inputs.collect::<Vec<_>>().concat()
    };
    for (names, wanted) in [
        (&["SAMLResponse", "RelayState"][..], "SAML: response on its way back"),
        (
            &["code", "id_token", "state", "session_state"],
            "OpenID Connect: response on its way back",
        ),
        (&["ctx", "flowToken"], "Entra ID: form that sends itself"),
    ] {
        let decision = decide(&page(&hidden(names)), &Progress::default());
        assert_eq!(decision.page, wanted);
        assert_eq!(form(decision).fields.len(), names.len());
    }
    let asking = page("<input type=hidden name=ctx value=v><input type=text name=x>");
    assert!(EntraIdPages.handle(&asking, &Progress::default()).is_none());
}

#[test]
fn a_target_that_is_none_is_refused() {
    for target in ["", "https://["] {
        let config = with(with(sign_in_page(), "pgid", "KmsiInterrupt"), "urlPost", target);
        assert!(matches!(refused(&config), Error::UnsafeTarget { .. }));
    }
}
