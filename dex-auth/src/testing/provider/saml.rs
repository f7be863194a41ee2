//! SAML messages between fakes: real shapes on the wire, one shared key in place of XML signatures.
//!
//! A client passes these on and must not change a byte. What a service provider checks is what Dex and the brokers check:
//! signature, `InResponseTo`, `Destination`, time, and that a response comes once.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::clock::Clock;
use super::super::sealed::{hex, random_bytes};
use super::Identity;

/// Assertions live about a minute (Keycloak 26).
const RESPONSE_SECONDS: i64 = 60;

/// A request of a service provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testing) struct SamlRequest {
    /// What the response must name in `InResponseTo`.
    pub(in crate::testing) id: String,
    /// Entity id of the service provider.
    pub(in crate::testing) issuer: String,
    /// Where the response goes.
    pub(in crate::testing) acs_url: String,
}

impl SamlRequest {
    pub(in crate::testing) fn new(issuer: impl Into<String>, acs_url: impl Into<String>) -> Self {
        Self {
            id: format!("_{}", hex(&random_bytes::<16>())),
            issuer: issuer.into(),
            acs_url: acs_url.into(),
        }
    }

    fn xml(&self) -> String {
        format!(
            "<samlp:AuthnRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"{}\" Version=\"2.0\" \
             AssertionConsumerServiceURL=\"{}\" ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\">\
             <saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{}</saml:Issuer></samlp:AuthnRequest>",
            escape(&self.id),
            escape(&self.acs_url),
            escape(&self.issuer)
        )
    }

    /// For the HTTP-POST binding: plain base64.
    pub(in crate::testing) fn for_post(&self) -> String {
        BASE64_STANDARD.encode(self.xml())
    }

    /// For the HTTP-Redirect binding: deflated, then base64.
    pub(in crate::testing) fn for_redirect(&self) -> String {
        let xml = self.xml();
        let length = u16::try_from(xml.len()).unwrap_or(u16::MAX);
        // One stored block of DEFLATE: final bit, length, its complement, the bytes as they are.
        let mut bytes = vec![1];
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&(!length).to_le_bytes());
        bytes.extend_from_slice(xml.as_bytes());
        BASE64_STANDARD.encode(bytes)
    }

    /// Reads either form; `None` for anything that a client changed or made up.
    pub(in crate::testing) fn read(encoded: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(encoded).ok()?;
        let xml = match bytes.split_first()? {
            (1, rest) => rest.get(4..)?.to_vec(),
            _ => bytes,
        };
        let xml = String::from_utf8(xml).ok()?;
        Some(Self {
            id: attribute(&xml, " ID=\"")?,
            acs_url: attribute(&xml, "AssertionConsumerServiceURL=\"")?,
            issuer: between(&xml, "assertion\">", "</saml:Issuer>")?,
        })
    }
}

/// Why a response is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) enum SamlError {
    /// Not base64, not the XML, or not signed by the provider.
    Signature,
    /// For another request or another place.
    Unexpected,
    Expired,
    /// It came before.
    Replayed,
    /// The provider says that the login failed.
    Denied,
}

/// What a response must fit to.
#[derive(Clone, Copy, Debug)]
pub(in crate::testing) struct SamlSide<'a> {
    pub(in crate::testing) acs_url: &'a str,
    pub(in crate::testing) in_response_to: &'a str,
}

/// Makes a provider's responses, and checks them for the service providers that trust it.
#[derive(Debug)]
pub(in crate::testing) struct SamlIssuer {
    key: hmac::Key,
    clock: Clock,
    seen: Mutex<HashSet<String>>,
}

impl SamlIssuer {
    pub(in crate::testing) fn new(clock: Clock) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
            clock,
            seen: Mutex::default(),
        }
    }

    /// A response of success, as plain base64 for the HTTP-POST binding.
    pub(in crate::testing) fn response(&self, request: &SamlRequest, identity: &Identity) -> String {
        let mut groups = String::new();
        for group in &identity.groups {
            let _ = write!(groups, "<saml:Group>{}</saml:Group>", escape(group));
        }
        let assertion = format!(
            "<saml:Subject>{}</saml:Subject><saml:Email>{}</saml:Email><saml:Name>{}</saml:Name>{groups}",
            escape(&identity.subject),
            escape(&identity.email),
            escape(&identity.name)
        );
        self.signed(request, "urn:oasis:names:tc:SAML:2.0:status:Success", &assertion)
    }

    /// A response that says that the user declined.
    pub(in crate::testing) fn denial(&self, request: &SamlRequest) -> String {
        self.signed(request, "urn:oasis:names:tc:SAML:2.0:status:Responder", "")
    }

    fn signed(&self, request: &SamlRequest, status: &str, assertion: &str) -> String {
        let id = format!("ID_{}", hex(&random_bytes::<16>()));
        let ends = self.clock.seconds().saturating_add(RESPONSE_SECONDS);
        let content = format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"{id}\" InResponseTo=\"{}\" \
             Destination=\"{}\"><samlp:Status Value=\"{status}\"/><saml:Conditions NotOnOrAfter=\"{ends}\"/>{assertion}",
            escape(&request.id),
            escape(&request.acs_url)
        );
        let signature = hex(hmac::sign(&self.key, content.as_bytes()).as_ref());
        BASE64_STANDARD.encode(format!(
            "{content}<ds:SignatureValue>{signature}</ds:SignatureValue></samlp:Response>"
        ))
    }

    pub(in crate::testing) fn accept(&self, response: &str, side: SamlSide<'_>) -> Result<Identity, SamlError> {
        let bytes = BASE64_STANDARD.decode(response).map_err(|_| SamlError::Signature)?;
        let xml = String::from_utf8(bytes).map_err(|_| SamlError::Signature)?;
        let (content, rest) = xml.split_once("<ds:SignatureValue>").ok_or(SamlError::Signature)?;
        let signature = rest.strip_suffix("</ds:SignatureValue></samlp:Response>");
        let expected = hex(hmac::sign(&self.key, content.as_bytes()).as_ref());
        if signature != Some(expected.as_str()) {
            return Err(SamlError::Signature);
        }
        let read = |mark| attribute(content, mark).ok_or(SamlError::Signature);
        if read("InResponseTo=\"")? != side.in_response_to || read("Destination=\"")? != side.acs_url {
            return Err(SamlError::Unexpected);
        }
        let ends: i64 = read("NotOnOrAfter=\"")?.parse().map_err(|_| SamlError::Signature)?;
        if self.clock.seconds() >= ends {
            return Err(SamlError::Expired);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.insert(read(" ID=\"")?) {
            return Err(SamlError::Replayed);
        }
        if !read("Value=\"")?.ends_with(":Success") {
            return Err(SamlError::Denied);
        }
        let element = |name: &str| between(content, &format!("<saml:{name}>"), &format!("</saml:{name}>"));
        Ok(Identity {
            subject: element("Subject").unwrap_or_default(),
            email: element("Email").unwrap_or_default(),
            name: element("Name").unwrap_or_default(),
            groups: content
                .split("<saml:Group>")
                .skip(1)
                .filter_map(|rest| Some(unescape(rest.split_once("</saml:Group>")?.0)))
                .collect(),
        })
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&")
}

fn attribute(xml: &str, mark: &str) -> Option<String> {
    between(xml, mark, "\"")
}

fn between(xml: &str, from: &str, to: &str) -> Option<String> {
    let (_, rest) = xml.split_once(from)?;
    Some(unescape(rest.split_once(to)?.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    fn identity() -> Identity {
        Identity {
            subject: "ada".to_owned(),
            name: "Ada & Co".to_owned(),
            email: "ada@example.com".to_owned(),
            groups: vec!["a".to_owned(), "b<".to_owned()],
        }
    }

    #[test]
    fn requests_travel_in_both_bindings() {
        let request = SamlRequest::new("http://dex/dex", "http://dex/dex/callback?a=b&c=d");
        assert_eq!(SamlRequest::read(&request.for_post()), Some(request.clone()));
        assert_eq!(SamlRequest::read(&request.for_redirect()), Some(request));
        assert_eq!(SamlRequest::read("no"), None);
    }

    #[test]
    fn a_response_is_accepted_once_where_and_while_it_is_meant() {
        let clock = Clock::fixed(Timestamp::from_second(1_000_000).unwrap());
        let issuer = SamlIssuer::new(clock.clone());
        let request = SamlRequest::new("sp", "http://sp/acs");
        let side = SamlSide {
            acs_url: "http://sp/acs",
            in_response_to: &request.id,
        };
        let response = issuer.response(&request, &identity());
        let elsewhere = SamlSide {
            acs_url: "http://other/acs",
            ..side
        };
        assert_eq!(issuer.accept(&response, elsewhere), Err(SamlError::Unexpected));
        assert_eq!(issuer.accept(&response, side), Ok(identity()));
        assert_eq!(issuer.accept(&response, side), Err(SamlError::Replayed));
        assert_eq!(issuer.accept(&issuer.denial(&request), side), Err(SamlError::Denied));
        let changed = BASE64_STANDARD.encode("<x>");
        assert_eq!(issuer.accept(&changed, side), Err(SamlError::Signature));
        let late = issuer.response(&request, &identity());
        clock.advance(Duration::from_secs(60));
        assert_eq!(issuer.accept(&late, side), Err(SamlError::Expired));
    }
}
