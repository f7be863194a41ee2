//! What the pages say, in two languages. No program may depend on it.

/// The language of a realm's pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeycloakLanguage {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    SignIn,
    WrongPassword,
    Disabled,
    TimedOut,
    ActionExpired,
    ReAuthenticate,
    WrongCode,
    NewPassword,
    NewDevice,
    FieldMissing,
    AccountExists,
    CookieNotFound,
    ClientNotFound,
    BadRedirect,
    BadRequest,
    MailFailed,
    BrokerFailed,
    BrokerSignature,
    AlreadyLoggedIn,
}

impl KeycloakLanguage {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    pub(super) fn of_code(code: &str) -> Option<Self> {
        [Self::English, Self::German]
            .into_iter()
            .find(|language| language.code() == code)
    }

    pub(super) fn say(self, text: Text) -> &'static str {
        let (english, german) = match text {
            Text::SignIn => ("Sign in to your account", "Anmeldung"),
            Text::WrongPassword => (
                "Invalid username or password.",
                "Ungültiger Benutzername oder Passwort.",
            ),
            Text::Disabled => (
                "Account is disabled, contact your administrator.",
                "Das Konto ist abgeschaltet.",
            ),
            Text::TimedOut => (
                "Your login attempt timed out. Login will start from the beginning.",
                "Die Anmeldung hat zu lange gedauert und beginnt von vorn.",
            ),
            Text::ActionExpired => (
                "Action expired. Please continue with login now.",
                "Der Vorgang ist abgelaufen.",
            ),
            Text::ReAuthenticate => ("Please re-authenticate to continue", "Bitte noch einmal anmelden"),
            Text::WrongCode => ("Invalid authenticator code.", "Der Code stimmt nicht."),
            Text::NewPassword => (
                "You need to change your password to activate your account.",
                "Das Passwort muss geändert werden.",
            ),
            Text::NewDevice => (
                "You need to set up Mobile Authenticator to activate your account.",
                "Ein Gerät muss eingerichtet werden.",
            ),
            Text::FieldMissing => ("Please specify this field.", "Dieses Feld fehlt."),
            Text::AccountExists => (
                "An account with this email exists already. How do you want to continue?",
                "Ein Konto mit dieser Adresse gibt es schon.",
            ),
            Text::CookieNotFound => (
                "Restart login cookie not found. It may have expired; it may have been deleted or cookies are disabled in \
                 your browser. If cookies are disabled then enable them. Click Back to Application to login again.",
                "Das Cookie für den Neubeginn fehlt.",
            ),
            Text::ClientNotFound => ("Client not found.", "Client nicht gefunden."),
            Text::BadRedirect => ("Invalid parameter: redirect_uri", "Ungültiger Parameter: redirect_uri"),
            Text::BadRequest => ("Invalid Request", "Ungültige Anfrage"),
            Text::MailFailed => (
                "Failed to send email, please try again later.",
                "Die E-Mail ließ sich nicht senden.",
            ),
            Text::BrokerFailed => (
                "Unexpected error when authenticating with identity provider",
                "Unerwarteter Fehler beim Identitätsanbieter",
            ),
            Text::BrokerSignature => (
                "Invalid signature in response from identity provider.",
                "Die Signatur der Antwort stimmt nicht.",
            ),
            Text::AlreadyLoggedIn => ("You are already logged in.", "Sie sind schon angemeldet."),
        };
        match self {
            Self::English => english,
            Self::German => german,
        }
    }
}
