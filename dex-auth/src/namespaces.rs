//! The namespaces (Profiles) in which a user may work, asked of the central dashboard.

use serde::Deserialize;

use crate::origin::origin;
use crate::{Error, Session};

/// Path of the dashboard's answer below Kubeflow's own; the same in Kubeflow 1.3 to 1.11.
const PATH: &str = "api/workgroup/env-info";

/// Longest answer that is read, in bytes; a namespace takes about 80.
const LONGEST: usize = 1024 * 1024;

#[derive(Deserialize)]
struct EnvInfo {
    #[serde(default)]
    namespaces: Vec<Membership>,
}

#[derive(Deserialize)]
struct Membership {
    namespace: String,
}

impl Session {
    /// Names of the namespaces that this user owns or contributes to, in the dashboard's order. Logs in if need be.
    ///
    /// Asks the central dashboard (`GET api/workgroup/env-info`), since the service that keeps the memberships (KFAM)
    /// admits nobody else since Kubeflow 1.5.
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
    /// Those of a login; [`Error::NotAGateway`] if no dashboard answers behind the gateway.
    pub async fn namespaces(&self) -> Result<Vec<String>, Error> {
        let mut url = self.gateway().clone();
        url.set_path(&format!("{}{PATH}", self.gateway().path()));
        let from = origin(&url);
        let failed = |error: reqwest_middleware::Error| match error {
            reqwest_middleware::Error::Reqwest(error) => Error::transport(from.clone(), error),
            other @ reqwest_middleware::Error::Middleware(_) => {
                Error::of_middleware(&other).cloned().unwrap_or(Error::LoginAborted)
            }
        };
        let mut answer = self.http_client().get(url.clone()).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let no_dashboard = || Error::NotAGateway {
            url: format!("{from}{}", url.path()),
            status,
        };
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| Error::transport(from.clone(), error))?
        {
            if body.len() + chunk.len() > LONGEST {
                return Err(no_dashboard());
            }
            body.extend_from_slice(&chunk);
        }
        let info: Option<EnvInfo> = answer
            .status()
            .is_success()
            .then(|| serde_json::from_slice(&body).ok())
            .flatten();
        Ok(info
            .ok_or_else(no_dashboard)?
            .namespaces
            .into_iter()
            .map(|membership| membership.namespace)
            .collect())
    }
}
