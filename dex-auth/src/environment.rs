//! Which source of a session the environment names.

use std::ffi::OsString;
use std::path::Path;

use crate::builder::SessionBuilder;
use crate::error::Error;
use crate::source::Source;
use crate::token::{BearerToken, ClientCredentials, OAuthClient, TokenFile};
use crate::{Credentials, Session};

const TOKEN: &str = "KUBEFLOW_TOKEN";
const TOKEN_FILE: &str = "KUBEFLOW_TOKEN_FILE";
const COOKIE: &str = "KUBEFLOW_COOKIE";
const USERNAME: &str = "KUBEFLOW_USERNAME";
const CLIENT_ID: &str = "KUBEFLOW_CLIENT_ID";
const CLIENT_SECRET: &str = "KUBEFLOW_CLIENT_SECRET";
const TOKEN_URL: &str = "KUBEFLOW_TOKEN_URL";
const SCOPE: &str = "KUBEFLOW_SCOPE";
const AUDIENCE: &str = "KUBEFLOW_AUDIENCE";
const SERVICE_ACCOUNT: &str = crate::token::SERVICE_ACCOUNT_PATH;

/// Those that name a source, of which only one may be set.
const SOURCES: [&str; 5] = [TOKEN, TOKEN_FILE, COOKIE, USERNAME, CLIENT_ID];

impl SessionBuilder {
    /// Begins a session whose source the environment names.
    ///
    /// | Variables | Source |
    /// |---|---|
    /// | `KUBEFLOW_USERNAME`, `KUBEFLOW_PASSWORD`, and `KUBEFLOW_TOTP_SECRET` if need be | login through the gateway's pages |
    /// | `KUBEFLOW_TOKEN` | a fixed bearer token |
    /// | `KUBEFLOW_TOKEN_FILE` | a file with a token, read again when it changes |
    /// | `KUBEFLOW_COOKIE` | the `Cookie:` header of another login |
    /// | `KUBEFLOW_CLIENT_ID`, `KUBEFLOW_CLIENT_SECRET`, `KUBEFLOW_TOKEN_URL`, and `KUBEFLOW_SCOPE`, `KUBEFLOW_AUDIENCE` if need be | tokens of a client |
    /// | `KF_PIPELINES_SA_TOKEN_PATH`, or the file `/var/run/secrets/kubeflow/pipelines/token` | the service-account token of a pod of Kubeflow |
    ///
    /// Of the first five only one may be set: nothing is guessed. The last counts where none of them is, since Kubeflow sets
    /// it in all pods that ask for it. Empty variables count as not set. No variable names a command to run.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where none or several are set, or one that belongs to them is missing; and for an unusable address,
    /// as [`Session::builder`] says.
    pub fn from_env(url: &str) -> Result<Self, Error> {
        Self::from_lookup(url, &|name| std::env::var_os(name), TokenFile::default_path())
    }

    fn from_lookup(
        url: &str,
        lookup: &dyn Fn(&'static str) -> Option<OsString>,
        projected: &Path,
    ) -> Result<Self, Error> {
        let builder = Session::builder(url)?;
        let set = |name| lookup(name).filter(|value| !value.is_empty());
        let unusable = |field, problem: String| Error::Config { field, problem };
        let text = |name: &'static str| match set(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(unusable(name, "the environment variable is not UTF-8".to_owned())),
        };
        let needed = |name: &'static str| {
            text(name)?.ok_or_else(|| unusable(name, "the environment variable is not set".to_owned()))
        };
        let given: Vec<_> = SOURCES.into_iter().filter(|name| set(name).is_some()).collect();
        match given.as_slice() {
            [] => {
                if let Some(path) = set(SERVICE_ACCOUNT) {
                    Ok(builder.token(TokenFile::new(path)))
                } else if projected.exists() {
                    Ok(builder.token(TokenFile::new(projected)))
                } else {
                    Err(unusable(
                        USERNAME,
                        format!("none of {} and {SERVICE_ACCOUNT} is set", SOURCES.join(", ")),
                    ))
                }
            }
            [TOKEN] => Ok(builder.token(BearerToken::new(needed(TOKEN)?))),
            [TOKEN_FILE] => Ok(builder.token(TokenFile::new(set(TOKEN_FILE).unwrap_or_default()))),
            [COOKIE] => Ok(builder.cookie_header(needed(COOKIE)?)),
            [USERNAME] => Ok(builder.from("credentials", Source::Pages(Credentials::of(&needed, &text)?))),
            [CLIENT_ID] => {
                let client = OAuthClient::confidential(needed(CLIENT_ID)?, needed(CLIENT_SECRET)?);
                let mut source = ClientCredentials::new(&needed(TOKEN_URL)?, client)?;
                if let Some(scope) = text(SCOPE)? {
                    source = source.scope(scope);
                }
                if let Some(audience) = text(AUDIENCE)? {
                    source = source.audience(audience);
                }
                Ok(builder.token(source))
            }
            [first, rest @ ..] => Err(unusable(
                first,
                format!("{} is set as well; a session has one source", rest.join(", ")),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debug(pairs: &[(&'static str, &str)]) -> Result<String, Error> {
        let lookup = |name: &'static str| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| OsString::from(value))
        };
        let builder = SessionBuilder::from_lookup("https://a.test", &lookup, Path::new("/no/such/file"))?;
        let shown = format!("{builder:?}");
        Ok(format!("{shown} {:?}", builder.build()?))
    }

    #[test]
    fn what_is_set_names_the_source() {
        for (pairs, expected) in [
            (&[(TOKEN, "topsecret")][..], "BearerToken"),
            (&[(TOKEN_FILE, "/run/token")], "TokenFile"),
            (&[(COOKIE, "a=topsecret")], "SessionCookie"),
            (&[(USERNAME, "me"), ("KUBEFLOW_PASSWORD", "topsecret")], "Credentials"),
            (
                &[
                    (CLIENT_ID, "c"),
                    (CLIENT_SECRET, "topsecret"),
                    (TOKEN_URL, "https://a.test/token"),
                    (SCOPE, "s"),
                ],
                "ClientCredentials",
            ),
            (&[(SERVICE_ACCOUNT, "/run/sa")], "/run/sa"),
            (
                &[(TOKEN, "topsecret"), (SERVICE_ACCOUNT, "/run/sa"), (COOKIE, "")],
                "BearerToken",
            ),
        ] {
            let shown = debug(pairs).unwrap();
            assert!(shown.contains(expected), "{expected}: {shown}");
            assert!(!shown.contains("topsecret"), "{shown}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for (pairs, expected) in [
            (&[][..], "none of"),
            (&[(TOKEN, "a"), (COOKIE, "b=c")], "KUBEFLOW_COOKIE is set as well"),
            (&[(USERNAME, "me")], "KUBEFLOW_PASSWORD cannot be used"),
            (
                &[(CLIENT_ID, "me"), (CLIENT_SECRET, "x")],
                "KUBEFLOW_TOKEN_URL cannot be used",
            ),
        ] {
            let problem = debug(pairs).unwrap_err().to_string();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
