//! Whom Kubeflow takes this session for.

use serde::Deserialize;

use crate::access::Access;
use crate::namespaces::{ENV_INFO, EnvInfo};
use crate::{Error, Session};

/// oauth2-proxy's own answer; behind oidc-authservice it is a path like any other.
const USERINFO: &str = "oauth2/userinfo";
/// The user that the dashboard believes in where the gateway named none.
const ANONYMOUS: &str = "anonymous@kubeflow.org";

/// The user of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// What Kubeflow calls the user: the e-mail address, or `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// His groups, where the gateway tells them.
    pub groups: Vec<String>,
    /// Who said so.
    pub told_by: ToldBy,
}

/// Who said which user it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToldBy {
    /// The gateway.
    Gateway,
    /// The central dashboard, behind the gateway.
    Dashboard,
    /// The token itself, whose signature was not verified here.
    Token,
}

#[derive(Deserialize)]
struct UserInfo {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

impl Session {
    /// Whom Kubeflow takes this session for. Logs in if need be.
    ///
    /// Asks oauth2-proxy, then the central dashboard, and last the token itself, where there is one.
    ///
    /// ```no_run
    /// # async fn example(session: dex_auth::Session) -> Result<(), dex_auth::Error> {
    /// println!("logged in as {}", session.whoami().await?.name);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of a login; [`Error::PermissionDenied`] for a session that is let through without a user, such as one with a
    /// token without e-mail address; [`Error::NotAGateway`] if nobody can tell.
    pub async fn whoami(&self) -> Result<User, Error> {
        let access = self.access().await?;
        // A token counts there only if it was made for the gateway itself.
        if matches!(access, Access::Cookie(_)) {
            match self.json::<UserInfo>(USERINFO, &[]).await {
                Ok(UserInfo {
                    email: Some(name),
                    groups,
                }) if !name.is_empty() => {
                    return Ok(User {
                        name,
                        groups: groups.unwrap_or_default(),
                        told_by: ToldBy::Gateway,
                    });
                }
                Ok(_) | Err(Error::NotAGateway { .. } | Error::PermissionDenied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let error = match self.json::<EnvInfo>(ENV_INFO, &[]).await {
            // The dashboard saw what the gateway made of the token, so its word counts more than the token's.
            Ok(EnvInfo { user: Some(name), .. }) if name == ANONYMOUS => {
                return Err(Error::PermissionDenied {
                    path: format!("{}{ENV_INFO}", self.gateway().path()),
                    message: "the gateway lets this session through without a user".to_owned(),
                });
            }
            Ok(EnvInfo { user: Some(name), .. }) if !name.is_empty() => {
                return Ok(User {
                    name,
                    groups: Vec::new(),
                    told_by: ToldBy::Dashboard,
                });
            }
            Ok(_) => Error::NotAGateway {
                url: format!("{}{ENV_INFO}", crate::origin::shown(self.gateway())),
                status: 200,
            },
            Err(error @ (Error::NotAGateway { .. } | Error::PermissionDenied { .. })) => error,
            Err(error) => return Err(error),
        };
        match &access {
            Access::Bearer(token) => token.user().map_or(Err(error), |name| {
                Ok(User {
                    name: name.to_owned(),
                    groups: Vec::new(),
                    told_by: ToldBy::Token,
                })
            }),
            Access::Cookie(_) => Err(error),
        }
    }
}
