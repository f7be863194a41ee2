//! The namespaces (Profiles) in which a user may work.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::{Error, Session};

/// The dashboard's answer below Kubeflow's own path; the same in Kubeflow 1.3 to 1.11.
pub(crate) const ENV_INFO: &str = "api/workgroup/env-info";
/// The service that keeps the memberships; since Kubeflow 1.5 it admits the dashboard only.
const BINDINGS: &str = "kfam/v1/bindings";

/// What a user is in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// It is his.
    Owner,
    /// He may work in it.
    Contributor,
    /// He may look at it.
    Viewer,
    /// A role that this crate does not know, as the server called it.
    Unknown(String),
}

impl Role {
    /// The dashboard's name of it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Owner => "owner",
            Self::Contributor => "contributor",
            Self::Viewer => "viewer",
            Self::Unknown(name) => name,
        }
    }
}

impl FromStr for Role {
    type Err = Infallible;

    /// Reads the dashboard's names and those of the roles that Kubernetes binds.
    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(match name {
            "owner" | "admin" | "kubeflow-admin" => Self::Owner,
            "contributor" | "edit" | "kubeflow-edit" => Self::Contributor,
            "viewer" | "view" | "kubeflow-view" => Self::Viewer,
            other => Self::Unknown(other.to_owned()),
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A user's place in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// The namespace.
    pub namespace: String,
    /// What the user is in it.
    pub role: Role,
}

#[derive(Deserialize)]
pub(crate) struct EnvInfo {
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    namespaces: Option<Vec<Place>>,
}

#[derive(Deserialize)]
struct Place {
    namespace: String,
    #[serde(default)]
    role: String,
}

/// KFAM leaves the list out where it is empty.
#[derive(Deserialize)]
struct Bindings {
    #[serde(default)]
    bindings: Option<Vec<Binding>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    referred_namespace: String,
    #[serde(rename = "RoleRef", alias = "roleRef", default)]
    role: Reference,
}

#[derive(Deserialize, Default)]
struct Reference {
    #[serde(default)]
    name: String,
}

fn membership(namespace: String, role: &str) -> Membership {
    let Ok(role) = role.parse();
    Membership { namespace, role }
}

impl Session {
    /// Names of the namespaces that this user owns or contributes to. Logs in if need be.
    ///
    /// ```no_run
    /// # async fn example(session: dex_auth::Session) -> Result<(), dex_auth::Error> {
    /// for namespace in session.namespaces().await? {
    ///     println!("{namespace}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`memberships`](Self::memberships).
    pub async fn namespaces(&self) -> Result<Vec<String>, Error> {
        let memberships = self.memberships().await?;
        Ok(memberships.into_iter().map(|membership| membership.namespace).collect())
    }

    /// The namespaces that this user owns, contributes to or may look at, in the server's order. Logs in if need be.
    ///
    /// Asks the central dashboard (`GET api/workgroup/env-info`). Where there is none, the service that keeps the
    /// memberships is asked (KFAM), which admits nobody else since Kubeflow 1.5.
    ///
    /// # Errors
    ///
    /// Those of a login; [`Error::NotAGateway`] or [`Error::PermissionDenied`] if neither answers.
    pub async fn memberships(&self) -> Result<Vec<Membership>, Error> {
        let error = match self.json::<EnvInfo>(ENV_INFO, &[]).await {
            Ok(EnvInfo {
                namespaces: Some(places),
                ..
            }) => {
                let places = places.into_iter();
                return Ok(places.map(|place| membership(place.namespace, &place.role)).collect());
            }
            // A user without any: the dashboard says so, and KFAM would say the same.
            Ok(EnvInfo { user: Some(_), .. }) => return Ok(Vec::new()),
            Ok(_) => Error::NotAGateway {
                url: format!("{}{ENV_INFO}", crate::origin::shown(self.gateway())),
                status: 200,
            },
            Err(error @ (Error::NotAGateway { .. } | Error::PermissionDenied { .. })) => error,
            Err(error) => return Err(error),
        };
        tracing::debug!(%error, "the dashboard does not tell the namespaces");
        // Whoever asks KFAM without a user is told everybody's.
        let Ok(user) = self.whoami().await else {
            return Err(error);
        };
        match self.json::<Bindings>(BINDINGS, &[("user", &user.name)]).await {
            Ok(answer) => {
                let bindings = answer.bindings.unwrap_or_default().into_iter();
                Ok(bindings
                    .map(|binding| membership(binding.referred_namespace, &binding.role.name))
                    .collect())
            }
            Err(_) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_keep_their_names() {
        for (name, role) in [
            ("owner", Role::Owner),
            ("edit", Role::Contributor),
            ("viewer", Role::Viewer),
            ("auditor", Role::Unknown("auditor".into())),
        ] {
            let Ok(parsed) = name.parse::<Role>();
            assert_eq!(parsed, role);
        }
        assert_eq!(Role::Unknown("auditor".into()).to_string(), "auditor");
    }

    #[test]
    fn both_forms_of_an_answer_are_read() {
        let text = r#"{"bindings":[{"user":{"kind":"User","name":"u"},"referredNamespace":"ns",
            "RoleRef":{"apiGroup":"","kind":"ClusterRole","name":"edit"}}]}"#;
        let read: Bindings = serde_json::from_str(text).unwrap();
        let binding = &read.bindings.unwrap()[0];
        assert_eq!(
            (binding.referred_namespace.as_str(), binding.role.name.as_str()),
            ("ns", "edit")
        );
        assert!(serde_json::from_str::<Bindings>("{}").unwrap().bindings.is_none());
    }
}
