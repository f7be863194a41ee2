//! Dex's connectors: who may log in, and how they prove it.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::super::provider::{Identity, OpenIdSource, SamlSource};
use super::super::sealed::hex;
use super::upstream::{Protocol, Upstream, UpstreamConnector};

/// A connector of the fake Dex: one way to log in. With several, Dex lets the user choose.
#[derive(Clone)]
pub struct Connector {
    id: String,
    name: String,
    kind: Kind,
}

/// What a connector does is decided by its kind.
#[derive(Clone)]
pub(super) enum Kind {
    /// Dex's own password database.
    Local,
    /// A directory that Dex asks with the user's own credentials.
    Ldap(Directory),
    /// A provider that Dex sends the user to.
    Upstream(Upstream),
}

#[derive(Clone)]
pub(super) struct Directory {
    prompt: String,
    reachable: bool,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    login: String,
    password: String,
    email: Option<String>,
    groups: Vec<String>,
}

/// A user of Dex's password database.
pub(super) struct StaticUser {
    email: String,
    password: String,
}

impl StaticUser {
    pub(super) fn new(email: String, password: String) -> Self {
        Self { email, password }
    }
}

impl Connector {
    /// The connector of stock Kubeflow: id `local`, named `Email`, for the users of the password database.
    pub fn local() -> Self {
        Self {
            id: "local".to_owned(),
            name: "Email".to_owned(),
            kind: Kind::Local,
        }
    }

    /// An LDAP directory without entries yet. `name` is what the chooser shows.
    pub fn ldap(id: impl Into<String>, name: impl Into<String>) -> LdapConnector {
        let directory = Directory {
            prompt: "Username".to_owned(),
            reachable: true,
            entries: Vec::new(),
        };
        LdapConnector {
            id: id.into(),
            name: name.into(),
            directory,
        }
    }

    /// Another OpenID provider: a reference to one of this module's providers. `name` is what the chooser shows.
    pub fn oidc(
        id: impl Into<String>,
        name: impl Into<String>,
        provider: impl Into<OpenIdSource>,
    ) -> UpstreamConnector {
        UpstreamConnector::new(id.into(), name.into(), Protocol::OpenId(provider.into()))
    }

    /// A SAML identity provider: a reference to one of this module's providers. `name` is what the chooser shows.
    pub fn saml(id: impl Into<String>, name: impl Into<String>, provider: impl Into<SamlSource>) -> UpstreamConnector {
        UpstreamConnector::new(id.into(), name.into(), Protocol::Saml(provider.into()))
    }

    pub(super) fn of(id: String, name: String, kind: Kind) -> Self {
        Self { id, name, kind }
    }

    /// The same connector under another id: free text in real installations.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The type that the chooser's icon tells.
    pub(super) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Local => "local",
            Kind::Ldap(_) => "ldap",
            Kind::Upstream(upstream) => upstream.type_name(),
        }
    }

    pub(super) fn upstream(&self) -> Option<&Upstream> {
        match &self.kind {
            Kind::Upstream(upstream) => Some(upstream),
            Kind::Local | Kind::Ldap(_) => None,
        }
    }

    /// Whether a login by it may be renewed later without the user.
    pub(super) fn refreshes(&self) -> bool {
        !matches!(&self.kind, Kind::Upstream(upstream) if upstream.is_saml())
    }

    /// What the password page calls the user's name.
    pub(super) fn prompt(&self) -> &str {
        match &self.kind {
            Kind::Local | Kind::Upstream(_) => "Email Address",
            Kind::Ldap(directory) => &directory.prompt,
        }
    }

    /// Checks a password. `None`: it is wrong, or there is no such user. An error is the connector's own text.
    pub(super) fn login(&self, users: &[StaticUser], login: &str, password: &str) -> Result<Option<Identity>, String> {
        match &self.kind {
            Kind::Local => Ok(self.local_login(users, login, password)),
            Kind::Ldap(directory) => self.ldap_login(directory, login, password),
            Kind::Upstream(_) => Ok(None),
        }
    }

    fn local_login(&self, users: &[StaticUser], login: &str, password: &str) -> Option<Identity> {
        // bcrypt, which Dex keeps passwords with, refuses longer ones.
        if password.len() > 72 {
            return None;
        }
        let email = login.to_lowercase();
        let user = users
            .iter()
            .find(|user| user.email.to_lowercase() == email && user.password == password)?;
        let name = user.email.split('@').next().unwrap_or_default().to_owned();
        Some(Identity {
            subject: self.subject(&stable_id(&user.email)),
            name,
            email: user.email.clone(),
            groups: Vec::new(),
        })
    }

    fn ldap_login(&self, directory: &Directory, login: &str, password: &str) -> Result<Option<Identity>, String> {
        // Dex does not ask the directory for an empty password: many accept it as an anonymous bind.
        if password.is_empty() {
            return Ok(None);
        }
        if !directory.reachable {
            return Err(
                "failed to connect: LDAP Result Code 200 \"Network Error\": dial tcp: connection refused".to_owned(),
            );
        }
        let Some(entry) = directory
            .entries
            .iter()
            .find(|entry| entry.login == login && entry.password == password)
        else {
            return Ok(None);
        };
        let Some(email) = &entry.email else {
            return Err(format!(
                "ldap: entry \"cn={login}\" missing following required attribute(s): [\"mail\"]"
            ));
        };
        Ok(Some(Identity {
            subject: self.subject(&format!("cn={login}")),
            name: login.to_owned(),
            email: email.clone(),
            groups: entry.groups.clone(),
        }))
    }

    /// Dex's opaque subject: user and connector as a small protocol buffer.
    pub(super) fn subject(&self, user: &str) -> String {
        two_texts(user, &self.id)
    }
}

/// Two texts as a protocol buffer in base64: Dex's subjects, refresh tokens and session cookies.
pub(super) fn two_texts(first: &str, second: &str) -> String {
    let mut bytes = Vec::new();
    for (tag, text) in [(0x0a, first), (0x12, second)] {
        let text = text.as_bytes().get(..text.len().min(127)).unwrap_or_default();
        bytes.push(tag);
        bytes.push(u8::try_from(text.len()).unwrap_or(127));
        bytes.extend_from_slice(text);
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The first of [`two_texts`].
pub(super) fn first_text(encoded: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let (length, text) = bytes.strip_prefix(&[0x0a])?.split_first()?;
    String::from_utf8(text.get(..usize::from(*length))?.to_vec()).ok()
}

/// The same user has the same id in each fake.
fn stable_id(email: &str) -> String {
    let hash = digest::digest(&digest::SHA256, email.to_lowercase().as_bytes());
    hex(hash.as_ref().get(..10).unwrap_or_default())
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("id", &self.id)
            .field("type", &self.type_name())
            .finish_non_exhaustive()
    }
}

/// An LDAP directory behind Dex, being filled.
///
/// ```
/// use dex_auth::testing::{Connector, Gateway};
///
/// let builder = Gateway::builder()
///     .connector(Connector::local())
///     .connector(Connector::ldap("company", "Company LDAP").prompt("Company user").user("jane", "secret", "jane@example.org"));
/// ```
#[derive(Clone)]
pub struct LdapConnector {
    id: String,
    name: String,
    directory: Directory,
}

impl LdapConnector {
    /// What the password page calls the user's name; `Username` if not given.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.directory.prompt = prompt.into();
        self
    }

    /// Adds a user without groups.
    #[must_use]
    pub fn user(self, login: impl Into<String>, password: impl Into<String>, email: impl Into<String>) -> Self {
        self.user_in_groups(login, password, email, Vec::<String>::new())
    }

    /// Adds a user with groups. About a hundred of them make a session that oauth2-proxy splits into several cookies.
    #[must_use]
    pub fn user_in_groups(
        self,
        login: impl Into<String>,
        password: impl Into<String>,
        email: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let groups = groups.into_iter().map(Into::into).collect();
        self.entry(login.into(), password.into(), Some(email.into()), groups)
    }

    /// Adds a user whose entry lacks the mail attribute: Dex answers the right password with an error page.
    #[must_use]
    pub fn user_without_email(self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.entry(login.into(), password.into(), None, Vec::new())
    }

    /// Makes the directory unreachable: Dex answers every password with an error page.
    #[must_use]
    pub fn unreachable(mut self) -> Self {
        self.directory.reachable = false;
        self
    }

    fn entry(mut self, login: String, password: String, email: Option<String>, groups: Vec<String>) -> Self {
        self.directory.entries.push(Entry {
            login,
            password,
            email,
            groups,
        });
        self
    }
}

impl From<LdapConnector> for Connector {
    fn from(ldap: LdapConnector) -> Self {
        Self {
            id: ldap.id,
            name: ldap.name,
            kind: Kind::Ldap(ldap.directory),
        }
    }
}

impl fmt::Debug for LdapConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LdapConnector")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
