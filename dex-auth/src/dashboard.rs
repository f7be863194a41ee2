//! Questions to Kubeflow about the user: JSON behind the gateway, read with the session.

use serde::de::DeserializeOwned;
use url::Url;

use crate::origin::{origin, shown};
use crate::{Error, Session};

/// Longest answer that is read, in bytes; a namespace takes about 80.
const LONGEST: usize = 1024 * 1024;

impl Session {
    /// The JSON at a path below Kubeflow's own.
    ///
    /// [`Error::PermissionDenied`] for a refusal, [`Error::NotAGateway`] for anything that is not the JSON asked for.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Error> {
        let mut url = self.gateway().clone();
        url.set_path(&format!("{}{path}", self.gateway().path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let from = origin(&url);
        let failed = |error: reqwest_middleware::Error| match error {
            reqwest_middleware::Error::Reqwest(error) => Error::transport(from.clone(), error),
            other @ reqwest_middleware::Error::Middleware(_) => {
                Error::of_middleware(&other).cloned().unwrap_or(Error::LoginAborted)
            }
        };
        let answer = self.http_client().get(url.clone()).send().await.map_err(failed)?;
        let status = answer.status();
        let body = read(answer, &url).await?;
        if status.as_u16() == 403 {
            return Err(Error::PermissionDenied {
                path: url.path().to_owned(),
                message: crate::error::one_line(&String::from_utf8_lossy(&body)),
            });
        }
        let value = status
            .is_success()
            .then(|| serde_json::from_slice(&body).ok())
            .flatten();
        value.ok_or_else(|| Error::NotAGateway {
            url: shown(&url),
            status: status.as_u16(),
        })
    }
}

async fn read(mut answer: reqwest::Response, url: &Url) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| Error::transport(origin(url), error))?
    {
        if body.len() + chunk.len() > LONGEST {
            return Err(Error::PageTooLarge {
                url: shown(url),
                limit: LONGEST,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
