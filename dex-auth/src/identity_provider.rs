//! Which identity providers a login may go to, and what each of them may be given.

use url::{Host, Url};

use crate::error::Error;
use crate::origin::{is_loopback, same_origin};

/// Where Entra ID logs people in, worldwide and in its national clouds.
const ENTRA_ID: [&str; 7] = [
    "https://login.microsoftonline.com",
    "https://login.microsoft.com",
    "https://login.windows.net",
    "https://device.login.microsoftonline.com",
    "https://login.microsoftonline.us",
    "https://login.partner.microsoftonline.cn",
    "https://login.chinacloudapi.cn",
];

/// An identity provider behind the gateway that the caller trusts.
///
/// A login goes to the gateway's own origin and to those named by
/// [`SessionBuilder::identity_provider`](crate::SessionBuilder::identity_provider), and to no other: a redirect or form
/// that leads elsewhere ends it. In a chain of providers each of them is named.
///
/// ```
/// use dex_auth::IdentityProvider;
///
/// // Entra ID, reached through a broker that must never see the password.
/// let providers = [
///     IdentityProvider::at("https://corp.auth.eu-west-1.amazoncognito.com")?.broker("AzureAD"),
///     IdentityProvider::entra_id(),
/// ];
/// # Ok::<(), dex_auth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    origins: Vec<Url>,
    takes_password: bool,
    own_users: bool,
    federated: Option<String>,
    parameters: Vec<(String, String)>,
}

impl IdentityProvider {
    /// The provider at this scheme, host and port, of whatever kind: Keycloak, Cognito's hosted UI, AD FS, Okta, or one
    /// that a [`PageHandler`](crate::PageHandler) of your own knows. For a host of Entra ID it is
    /// [`entra_id`](Self::entra_id).
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for anything but an `https` address; `http` is accepted for loopback only.
    pub fn at(url: &str) -> Result<Self, Error> {
        let unusable = |problem: &str| Error::Config {
            field: "identity_provider",
            problem: problem.to_owned(),
        };
        let url =
            Url::parse(url.trim()).map_err(|_| unusable("it is no absolute URL such as https://login.example.com"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(unusable("http would show the password to the network; use https")),
            _ => return Err(unusable("only https is spoken")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable("a user or password in the URL ends up in logs; leave it out"));
        }
        if let Some(Host::Domain(host)) = url.host()
            && ENTRA_ID
                .iter()
                .any(|known| known.strip_prefix("https://") == Some(host))
        {
            return Ok(Self::entra_id());
        }
        Ok(Self::of(vec![url]))
    }

    /// Microsoft Entra ID (Azure AD), worldwide and in its national clouds. One that hands logins on to a federated
    /// provider such as AD FS needs that provider named besides it.
    pub fn entra_id() -> Self {
        Self::of(ENTRA_ID.iter().filter_map(|origin| Url::parse(origin).ok()).collect())
    }

    fn of(origins: Vec<Url>) -> Self {
        Self {
            origins,
            takes_password: true,
            own_users: false,
            federated: None,
            parameters: Vec::new(),
        }
    }

    /// Only hands logins on, to the provider of this name: it never gets the password, and on its page the button of
    /// that name is followed. The name is what the provider calls it in addresses: Keycloak's alias, Cognito's provider
    /// name; the button's text will do.
    #[must_use]
    pub fn broker(mut self, federated: impl Into<String>) -> Self {
        self.takes_password = false;
        self.federated(federated)
    }

    /// On its page the button of this name is followed. Without it the only button is, and several are an
    /// [`Error::FederationChoice`].
    #[must_use]
    pub fn federated(mut self, name: impl Into<String>) -> Self {
        self.federated = Some(name.into());
        self
    }

    /// The credentials belong to this provider's own users: its form is filled in although buttons for other providers
    /// stand beside it. Without this such a form is never filled in, since the password usually belongs to the other
    /// provider.
    #[must_use]
    pub fn own_users(mut self) -> Self {
        self.own_users = true;
        self
    }

    /// Adds a parameter to the authorization request to this provider, as a hint that spares its page:
    /// `kc_idp_hint=<alias>` for Keycloak, `identity_provider=<name>` for Cognito.
    #[must_use]
    pub fn authorize_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    fn is_at(&self, url: &Url) -> bool {
        self.origins.iter().any(|origin| same_origin(origin, url))
    }
}

/// The providers that were named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Providers(Vec<IdentityProvider>);

impl Providers {
    pub(crate) fn add(&mut self, provider: IdentityProvider) {
        self.0.push(provider);
    }

    fn of(&self, url: &Url) -> Option<&IdentityProvider> {
        self.0.iter().find(|provider| provider.is_at(url))
    }

    pub(crate) fn knows(&self, url: &Url) -> bool {
        self.of(url).is_some()
    }

    pub(crate) fn takes_password(&self, url: &Url) -> bool {
        self.of(url).is_some_and(|provider| provider.takes_password)
    }

    pub(crate) fn own_users(&self, url: &Url) -> bool {
        self.of(url).is_some_and(|provider| provider.own_users)
    }

    pub(crate) fn federated(&self, url: &Url) -> Option<String> {
        self.of(url)?.federated.clone()
    }

    pub(crate) fn parameters(&self, url: &Url) -> &[(String, String)] {
        self.of(url).map_or(&[], |provider| &provider.parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_providers_are_taken() {
        assert!(IdentityProvider::at("http://login.example.com").is_err());
        assert!(IdentityProvider::at("login.example.com").is_err());
        assert!(IdentityProvider::at("https://me:secret@login.example.com").is_err());
        assert!(IdentityProvider::at("http://127.0.0.1:8081/realms/x").is_ok());
    }

    #[test]
    fn a_host_of_entra_id_stands_for_all_of_its_hosts() {
        let provider = IdentityProvider::at("https://login.microsoftonline.com/common").unwrap();
        assert!(provider.is_at(&Url::parse("https://login.windows.net/x").unwrap()));
        assert!(!provider.is_at(&Url::parse("https://login.microsoftonline.com.evil.test/").unwrap()));
    }

    #[test]
    fn a_broker_gets_no_password() {
        let mut providers = Providers::default();
        providers.add(IdentityProvider::at("https://broker.test").unwrap().broker("AzureAD"));
        providers.add(IdentityProvider::at("https://idp.test:8443").unwrap());
        let url = |text| Url::parse(text).unwrap();
        assert!(providers.knows(&url("https://broker.test/x")));
        assert!(!providers.takes_password(&url("https://broker.test/x")));
        assert!(providers.takes_password(&url("https://idp.test:8443/x")));
        assert!(!providers.knows(&url("https://idp.test/x")));
        assert_eq!(
            providers.federated(&url("https://broker.test/")).as_deref(),
            Some("AzureAD")
        );
    }
}
