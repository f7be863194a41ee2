use url::Url;

use super::*;

fn page(body: &str) -> Page {
    let url = Url::parse("https://adfs.test/adfs/ls/?SAMLRequest=x&RelayState=y").unwrap();
    Page::parse(&url, 200, body)
}

fn login_page(error: &str) -> Page {
    page(&format!(
        "<form method=post id=loginForm action='/adfs/ls/?SAMLRequest=x&amp;RelayState=y'><span id=errorText>{error}</span>\
         <input id=userNameInput name=UserName type=email><input name=Password type=password>\
         <input type=checkbox name=Kmsi value=true><input type=hidden name=AuthMethod value=FormsAuthentication></form>\
         <form id=options method=post action='/adfs/ls/'><input type=hidden name=UserName><input type=hidden \
         name=AuthMethod></form>"
    ))
}

fn factor_page(method: &str, fields: &str) -> Page {
    page(&format!(
        "<form method=post id=loginForm action='/adfs/ls/'><input type=hidden name=AuthMethod value={method}>\
         <input type=hidden name=Context value=c>{fields}</form>"
    ))
}

fn outcome(page: &Page, progress: &Progress) -> Result<Action, Error> {
    AdfsPages.handle(page, progress).unwrap().outcome
}

fn sent() -> Progress {
    Progress {
        password_sent: true,
        ..Progress::default()
    }
}

fn methods(page: &Page) -> Vec<String> {
    match outcome(page, &sent()) {
        Err(Error::SecondFactorRequired { methods, .. }) => methods,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_form_with_the_right_id_is_filled_in_and_keeps_its_query() {
    let Ok(Action::Submit(form)) = outcome(&login_page(""), &Progress::default()) else {
        panic!()
    };
    assert_eq!(
        form.target.as_str(),
        "https://adfs.test/adfs/ls/?SAMLRequest=x&RelayState=y"
    );
    assert_eq!(
        form.fields,
        [
            ("UserName".to_owned(), FieldValue::Username),
            ("Password".to_owned(), FieldValue::Password),
            ("AuthMethod".to_owned(), FORMS.into()),
        ]
    );
}

#[test]
fn the_form_again_is_a_refusal() {
    for text in ["Falsche Benutzer-ID oder falsches Kennwort.", ""] {
        assert!(matches!(
            outcome(&login_page(text), &sent()),
            Err(Error::WrongPassword { .. })
        ));
    }
    let expired = login_page("Abgelaufen. <a href='/adfs/portal/updatepassword/?username=a'>Neu</a>");
    assert!(matches!(
        outcome(&expired, &sent()),
        Err(Error::PasswordChangeRequired { .. })
    ));
}

#[test]
fn a_code_is_made_where_one_is_asked_for() {
    let codes = Progress {
        can_make_codes: true,
        ..sent()
    };
    for field in CODES {
        let page = factor_page(
            "AzureMfaAuthentication",
            &format!("<input name={field}><input type=submit name=Go value=1>"),
        );
        let Ok(Action::Submit(form)) = outcome(&page, &codes) else {
            panic!()
        };
        assert_eq!(
            form.fields,
            [
                ("AuthMethod".to_owned(), "AzureMfaAuthentication".into()),
                ("Context".to_owned(), "c".into()),
                (field.to_owned(), FieldValue::OneTimeCode),
                ("Go".to_owned(), "1".into()),
            ]
        );
        let refused = Progress {
            code_sent: true,
            ..codes.clone()
        };
        assert!(matches!(
            outcome(&page, &refused),
            Err(Error::SecondFactorRefused { .. })
        ));
        assert!(methods(&page)[0].contains("authenticator"));
    }
}

#[test]
fn other_factors_are_named() {
    let named = |method, fields| methods(&factor_page(method, fields)).remove(0);
    let push = "<p id=instructions>Approve</p><span id=validEntropyNumber>42</span>";
    assert_eq!(
        named("AzureMfaAuthentication", push),
        "approval in the Microsoft Authenticator app"
    );
    assert_eq!(
        named("VIPAuthenticationProviderUPN", "<input name=security_code>"),
        "Symantec VIP security code"
    );
    assert_eq!(
        named("Questions", "<input name=ChallengeQuestionAnswer>"),
        "answer to a challenge question"
    );
    assert_eq!(named("DuoAdfsAdapter", ""), "DuoAdfsAdapter");
}

#[test]
fn other_pages_are_left_to_others() {
    for html in [
        "<form id=loginForm method=post><input name=username><input name=password type=password></form>",
        "<form id=options method=post><input name=UserName><input name=AuthMethod></form>",
        "<p id=errorText>no</p>",
    ] {
        assert!(AdfsPages.handle(&page(html), &Progress::default()).is_none(), "{html}");
    }
}

#[test]
fn the_error_page_says_why() {
    let html = "<div id=errorArea><div id=openingMessage>An error occurred</div><div id=errorMessage>Contact your \
                administrator.</div></div>";
    let Err(Error::LoginRefused { message, .. }) = outcome(&page(html), &Progress::default()) else {
        panic!()
    };
    assert_eq!(message, "Contact your administrator.");
}
