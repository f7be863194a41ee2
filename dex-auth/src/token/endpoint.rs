//! One exchange with a token endpoint (RFC 6749, section 3.2).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{BearerToken, OAuthClient, TokenContext, number};
use crate::error::{Error, one_line};
use crate::origin::{origin, shown};

/// Answers hold two or three tokens.
const LONGEST: usize = 1024 * 1024;

/// What a grant gives.
pub(super) struct Tokens {
    access_token: Option<SecretString>,
    id_token: Option<SecretString>,
    pub(super) refresh_token: Option<SecretString>,
    expires_in: Option<i64>,
}

/// Why it gives nothing.
pub(super) enum Failure {
    /// Nothing was sent, or nothing was done with it.
    NotSent(Error),
    /// It was sent, and nobody knows what became of it.
    Lost(Error),
    /// An OAuth error.
    Refused {
        status: u16,
        code: String,
        description: String,
    },
}

/// A value of the form.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Open(&'a str),
    Secret(&'a SecretString),
}

/// Posts a grant.
pub(super) async fn post(
    context: &TokenContext,
    url: &Url,
    client: &OAuthClient,
    fields: &[(&str, Field<'_>)],
) -> Result<Tokens, Failure> {
    let answer = exchange(context, url, client, fields).await?;
    let text = |name: &str| {
        let token = answer.get(name)?.as_str()?;
        (!token.is_empty()).then(|| SecretString::from(token))
    };
    Ok(Tokens {
        access_token: text("access_token"),
        id_token: text("id_token"),
        refresh_token: text("refresh_token"),
        expires_in: answer.get("expires_in").and_then(number),
    })
}

/// Posts a form as this client and gives the JSON object of a success.
pub(super) async fn exchange(
    context: &TokenContext,
    url: &Url,
    client: &OAuthClient,
    fields: &[(&str, Field<'_>)],
) -> Result<Map<String, Value>, Failure> {
    let in_the_form = fields.iter().any(|(name, _)| *name == "client_id");
    let mut request = context
        .http()
        .post(url.clone())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let (false, Some(secret)) = (in_the_form, &client.secret) {
        request = request.header(AUTHORIZATION, basic(&client.id, secret));
    }
    let client_id = (!in_the_form && client.secret.is_none()).then_some(client.id.as_str());
    let response = request.body(form(fields, client_id)).send().await.map_err(|error| {
        if error.is_connect() {
            Failure::NotSent(Error::transport(origin(url), error))
        } else {
            Failure::Lost(Error::transport(origin(url), error))
        }
    })?;
    let status = response.status();
    let body = read(response, url).await?;
    let object = serde_json::from_slice::<Map<String, Value>>(&body).ok();
    if let (StatusCode::OK, Some(object)) = (status, &object)
        && !object.contains_key("error")
    {
        return Ok(object.clone());
    }
    Err(refusal(status, url, object.as_ref(), &body, fields))
}

fn form(fields: &[(&str, Field<'_>)], client_id: Option<&str>) -> String {
    let mut form = Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name, value.text());
    }
    if let Some(id) = client_id {
        form.append_pair("client_id", id);
    }
    form.finish()
}

fn refusal(
    status: StatusCode,
    url: &Url,
    object: Option<&Map<String, Value>>,
    body: &[u8],
    fields: &[(&str, Field<'_>)],
) -> Failure {
    let text = |name: &str| object.and_then(|object| object.get(name)?.as_str()).unwrap_or_default();
    let code = one_line(text("error"));
    if status.is_server_error() {
        let said = String::from_utf8_lossy(body);
        // What Envoy answers when it reached nobody.
        let unreached = status == StatusCode::SERVICE_UNAVAILABLE
            && (said.contains("no healthy upstream") || said.contains("connection failure"));
        let error = Error::ProviderUnavailable {
            status: status.as_u16(),
            message: if code.is_empty() {
                format!("{} failed", shown(url))
            } else {
                code
            },
        };
        return if unreached {
            Failure::NotSent(error)
        } else {
            Failure::Lost(error)
        };
    }
    if code.is_empty() {
        let error = Error::Misconfigured {
            origin: origin(url),
            message: format!(
                "{} answers with {} as no token endpoint does",
                url.path(),
                status.as_u16()
            ),
        };
        // A success that cannot be read has happened all the same.
        return if status.is_success() {
            Failure::Lost(error)
        } else {
            Failure::NotSent(error)
        };
    }
    let mut description = one_line(text("error_description"));
    // A server that repeats what it was sent must not bring it into a log.
    let repeats = fields.iter().any(|(_, value)| {
        matches!(value, Field::Secret(secret) if secret.expose_secret().len() > 3
            && description.contains(secret.expose_secret()))
    });
    if repeats {
        "(not shown, since it repeats a secret)".clone_into(&mut description);
    }
    Failure::Refused {
        status: status.as_u16(),
        code,
        description,
    }
}

async fn read(mut response: reqwest::Response, url: &Url) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Failure::Lost(Error::transport(origin(url), error)))?
    {
        if body.len() + chunk.len() > LONGEST {
            return Err(Failure::Lost(Error::PageTooLarge {
                url: shown(url),
                limit: LONGEST,
            }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn basic(id: &str, secret: &SecretString) -> HeaderValue {
    // Section 2.3.1: both are form-encoded before they are put together; Dex decodes them.
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret.expose_secret())));
    let text = format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes()));
    // Base64 is always fit for a header.
    let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

impl Field<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Open(text) => text,
            Self::Secret(secret) => secret.expose_secret(),
        }
    }
}

/// Which token of an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Gateways up to Kubeflow 1.8 take ID tokens only.
    Id,
    Access,
}

impl Tokens {
    pub(super) fn bearer(&self, wanted: Wanted, context: &TokenContext, from: &str) -> Result<BearerToken, Error> {
        let token = match wanted {
            Wanted::Id => self.id_token.as_ref().or(self.access_token.as_ref()),
            Wanted::Access => self.access_token.as_ref(),
        };
        let token = BearerToken::new(token.cloned().ok_or_else(|| Error::TokenUnavailable {
            from: from.to_owned(),
            problem: "the answer holds no token".to_owned(),
        })?);
        // Counted from now, this end is right also where the clocks differ.
        let end = self
            .expires_in
            .and_then(|seconds| context.now().checked_add(SignedDuration::from_secs(seconds)).ok());
        Ok(match end {
            Some(end) => token.valid_until(end),
            None => token,
        })
    }
}

impl Failure {
    /// The error, where the grant has no reading of its own.
    pub(super) fn into_error(self, url: &Url) -> Error {
        match self {
            Self::NotSent(error) | Self::Lost(error) => error,
            Self::Refused {
                status,
                code,
                description,
            } => {
                let message = if description.is_empty() {
                    code.clone()
                } else {
                    format!("{code}: {description}")
                };
                match code.as_str() {
                    "invalid_client"
                    | "unauthorized_client"
                    | "unsupported_grant_type"
                    | "invalid_scope"
                    | "request_not_supported" => Error::Misconfigured {
                        origin: origin(url),
                        message,
                    },
                    "access_denied" => Error::AccessDenied {
                        origin: origin(url),
                        code: Some(code),
                        message: if description.is_empty() {
                            "no reason given".to_owned()
                        } else {
                            description
                        },
                    },
                    "server_error" | "temporarily_unavailable" => Error::ProviderUnavailable { status, message },
                    _ => Error::LoginRefused { status, message },
                }
            }
        }
    }
}

/// Dex's token endpoint, which Kubeflow's gateways expose unguarded.
pub(super) fn dex(context: &TokenContext, path: &str) -> Url {
    let mut url = context.gateway().clone();
    url.set_path(&format!("{}dex/{path}", context.gateway().path()));
    url
}
