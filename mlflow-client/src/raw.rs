//! Calls that this crate has no method for.

use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    http::decode,
};

/// A call of any route of the server; see [`Client::request`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RawRequest {
    client: Client,
    call: Result<Call, String>,
}

impl Client {
    /// Begins a call of any route of the server, such as those for traces, evaluation datasets, scorers or the gateway.
    ///
    /// It gets the client's credentials, time limit and limit of requests in flight, and its answer is sorted into the
    /// same errors. `path` follows the tracking URI; one that would lead elsewhere is refused by
    /// [`send`](RawRequest::send).
    ///
    /// ```no_run
    /// # async fn example(client: mlflow_client::Client) -> Result<(), mlflow_client::Error> {
    /// use http::Method;
    /// use serde_json::{Value, json};
    ///
    /// let body = json!({"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}}]});
    /// let traces: Value = client
    ///     .request(Method::POST, "/api/3.0/mlflow/traces/search")
    ///     .json(&body)
    ///     .idempotent()
    ///     .send()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn request(&self, method: Method, path: &str) -> RawRequest {
        RawRequest {
            call: call(self, method, path),
            client: self.clone(),
        }
    }

    /// Calls any route of the server: of a GET the fields of `body` are its query, of everything else `body` is sent as
    /// JSON; `()` is no body. Only a GET is repeated after a failure that leaves its fate open; see [`request`](Self::request)
    /// for more control.
    ///
    /// ```no_run
    /// # async fn example(client: mlflow_client::Client) -> Result<(), mlflow_client::Error> {
    /// use http::Method;
    /// use serde_json::{Value, json};
    ///
    /// let query = json!({"experiment_id": "1"});
    /// let scorers: Value = client.raw(Method::GET, "/api/3.0/mlflow/scorers/list", &query).await?;
    /// # Ok(()) }
    /// ```
    pub async fn raw<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T> {
        let body =
            serde_json::to_value(body).map_err(|error| Error::invalid("body", format!("valid JSON: {error}")))?;
        let mut request = self.request(method.clone(), path);
        if body.is_null() {
            return request.send().await;
        }
        if method != Method::GET {
            return request.json(&body).send().await;
        }
        let Value::Object(fields) = body else {
            return Err(Error::invalid(
                "body",
                "an object, whose fields become the query of a GET",
            ));
        };
        for (name, value) in fields {
            let values = match value {
                Value::Array(values) => values,
                Value::Null => Vec::new(),
                value => vec![value],
            };
            for value in values {
                request = match value {
                    Value::String(text) => request.query(&name, &text),
                    Value::Bool(_) | Value::Number(_) => request.query(&name, &value.to_string()),
                    _ => {
                        let allowed = "text, numbers, booleans or lists of them in the query of a GET";
                        return Err(Error::invalid(name, allowed));
                    }
                };
            }
        }
        request.send().await
    }
}

impl RawRequest {
    /// Adds a query parameter; those of lists are added once for each item.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Ok(call) = &mut self.call {
            call.url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Sets the body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.call = self
            .call
            .and_then(|call| call.json(body).map_err(|error| error.to_string()));
        self
    }

    /// Says that sending it twice has the effect of sending it once, as is known of GET. It is then repeated after any
    /// failure that may pass.
    pub fn idempotent(mut self) -> Self {
        self.call = self.call.map(Call::idempotent);
        self
    }

    /// Sends it and reads the answer; an empty one is read as `null`, so `()` fits.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for a path that leads elsewhere or a body that is no JSON, and everything that
    /// [`Error`] lists.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T> {
        let call = self.call.map_err(|allowed| Error::invalid("path or body", allowed))?;
        let mut reply = self.client.inner.send(&call).await?;
        if reply.body.is_empty() {
            reply.body = "null".into();
        }
        decode(&call, &reply)
    }
}

fn call(client: &Client, method: Method, path: &str) -> Result<Call, String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let odd =
        |part: &&str| matches!(*part, "" | "." | "..") || part.contains('#') || part.chars().any(char::is_control);
    if parts.iter().any(odd) {
        return Err(
            "a path such as `/api/3.0/mlflow/traces/search`, without empty parts, `.`, `..` and `#`".to_owned(),
        );
    }
    let mut call = Call::new("raw", method, &client.inner.base, parts).map_err(|error| error.to_string())?;
    if !query.is_empty() {
        call.url.set_query(Some(query));
    }
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_tracking_uri() {
        let client = Client::builder("http://host/x").unwrap().build().unwrap();
        let made = call(&client, Method::GET, "/api/3.0/mlflow/a b?c=d").unwrap();
        assert_eq!(made.url.as_str(), "http://host/x/api/3.0/mlflow/a%20b?c=d");
        for bad in ["", "/", "/a//b", "../a", "/a/../b", "/a#b", "/a/\n"] {
            assert!(call(&client, Method::GET, bad).is_err(), "{bad:?}");
        }
        // A whole address is a path like any other.
        let other = call(&client, Method::GET, "http:/other").unwrap();
        assert_eq!(other.url.host_str(), Some("host"));
    }
}
