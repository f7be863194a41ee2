use super::*;

fn page(url: &str, status: u16, html: &str) -> Page {
    Page::parse(&Url::parse("https://a.test/").unwrap().join(url).unwrap(), status, html)
}

fn decide(html: &str, progress: &Progress) -> Decision {
    DexPages.handle(&page("/dex/auth?x=1", 200, html), progress).unwrap()
}

fn sent_password() -> Progress {
    Progress {
        password_sent: true,
        ..Progress::default()
    }
}

fn with_connector(wanted: &str) -> Progress {
    Progress {
        connector: Some(wanted.to_owned()),
        ..Progress::default()
    }
}

fn password_page(extra: &str) -> String {
    format!(
        "<form method=post action='/dex/auth/local/login?back=&amp;state=s'><input name=login type=text>\
         <input name=password type=password>{extra}<button>Login</button></form>"
    )
}

#[test]
fn the_password_page_is_filled_in_once() {
    let Ok(Action::Submit(form)) = decide(&password_page(""), &Progress::default()).outcome else {
        panic!()
    };
    assert_eq!(form.target.query(), Some("back=&state=s"));
    let refused = password_page("<div id=login-error class=dex-error-box>Irgendwas stimmt nicht.</div>");
    assert!(matches!(
        decide(&refused, &sent_password()).outcome,
        Err(Error::WrongPassword { .. })
    ));
    // Without a word of refusal it is not sent again either.
    assert!(matches!(
        decide(&password_page(""), &sent_password()).outcome,
        Err(Error::WrongPassword { .. })
    ));
}

#[test]
fn a_form_of_the_same_fields_elsewhere_is_not_dex() {
    let form =
        "<form method=post action='/interaction/x/login'><input name=login><input name=password type=password></form>";
    assert!(
        DexPages
            .handle(&page("/interaction/x", 200, form), &Progress::default())
            .is_none()
    );
}

#[test]
fn two_password_forms_are_no_choice_to_make() {
    let form = "<form method=post><input name=login><input name=password type=password></form>";
    assert!(
        DexPages
            .handle(&page("/x", 200, &format!("{form}{form}")), &Progress::default())
            .is_none()
    );
}

const CHOOSER: &str = "<a href='/dex/auth/my%20ldap%2Fx?scope=profile&#43;email'><button class='dex-btn \
     theme-btn-provider'><span class='dex-btn-icon dex-btn-icon--ldap'></span><span class=dex-btn-text>Log in with \
     Staff</span></button></a><a class='dex-btn theme-btn-provider' href='/dex/auth/local?a=b'>Log in with Email</a>\
     <a href='/dex/auth/other'>no button</a>";

#[test]
fn connectors_are_chosen_by_id_name_or_type_in_both_layouts() {
    for (wanted, query) in [
        ("my ldap/x", "scope=profile+email"),
        ("Staff", "scope=profile+email"),
        ("ldap", "scope=profile+email"),
        ("local", "a=b"),
        ("Email", "a=b"),
    ] {
        let Ok(Action::Follow(target)) = decide(CHOOSER, &with_connector(wanted)).outcome else {
            panic!("{wanted}")
        };
        assert_eq!(target.query(), Some(query), "{wanted}");
    }
    let Err(Error::ConnectorUnknown { requested, available }) = decide(CHOOSER, &with_connector("saml")).outcome else {
        panic!()
    };
    assert_eq!(requested, "saml");
    assert_eq!(available[0].id, "my ldap/x");
    assert_eq!(available[0].kind, "ldap");
    assert_eq!(available[0].label, "Log in with Staff");
    let unchosen = decide(CHOOSER, &Progress::default());
    assert!(matches!(unchosen.outcome, Err(Error::ConnectorRequired { .. })));
    assert!(
        unchosen.is_step,
        "it stands where data should be when nobody is logged in"
    );
}

#[test]
fn two_connectors_of_the_wanted_type_are_no_choice_to_make() {
    let link = |id: &str| {
        format!(
            "<a href='/dex/auth/{id}'><button class=theme-btn-provider><span class=dex-btn-icon--ldap></span>\
             <span>Log in with {id}</span></button></a>"
        )
    };
    let html = format!("{}{}", link("a"), link("b"));
    assert!(matches!(
        decide(&html, &with_connector("ldap")).outcome,
        Err(Error::ConnectorRequired { .. })
    ));
}

#[test]
fn approval_takes_the_approving_form_and_no_unexpected_scope() {
    let form = |value: &str| {
        format!(
            "<form method=post><input type=hidden name=req value=r><input type=hidden name=approval value={value}></form>"
        )
    };
    let html = format!("{}{}", form("rejected"), form("approve"));
    let Ok(Action::Submit(form)) = decide(&html, &Progress::default()).outcome else {
        panic!()
    };
    assert!(form.fields.contains(&("approval".to_owned(), "approve".into())));
    assert_eq!(form.target.query(), Some("x=1"));
    let progress = Progress {
        scopes: vec!["openid".to_owned(), "audience:server:client_id:other".to_owned()],
        ..Progress::default()
    };
    assert!(matches!(
        decide(&html, &progress).outcome,
        Err(Error::ApprovalRefused { .. })
    ));
}

#[test]
fn a_new_authenticator_is_never_enrolled() {
    let html = "<img src='data:image/png;base64,AA=='><form method=post><input name=totp></form>";
    let decision = DexPages
        .handle(&page("/dex/mfa/totp?req=1", 200, html), &Progress::default())
        .unwrap();
    assert!(matches!(decision.outcome, Err(Error::EnrolmentRequired { .. })));
}

#[test]
fn errors_are_told_apart() {
    let error = |status: u16, message: &str| {
        let html = format!("<div class=theme-panel><h2 class=theme-heading>Bad Request</h2><p>{message}</p></div>");
        let decision = DexPages.handle(&page("/dex/auth", status, &html), &Progress::default());
        decision.unwrap().outcome.unwrap_err()
    };
    assert!(matches!(
        error(400, "User session has expired."),
        Error::LoginStateLost { .. }
    ));
    assert!(matches!(
        error(400, "Unregistered redirect_uri (\"/oauth2/callback\")."),
        Error::Misconfigured { .. }
    ));
    assert!(matches!(error(400, "Gone."), Error::LoginRefused { status: 400, .. }));
    assert!(matches!(error(500, "Login error."), Error::ProviderUnavailable { .. }));
}
