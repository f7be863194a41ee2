//! Which MLflow the server is, and what follows from it.

use std::{fmt, str::FromStr};

use crate::{
    client::Client,
    endpoint::{Accept, Call},
    error::{Error, Result, TooOld},
};

/// Version of an MLflow server. What follows the third number, such as `rc1` or `.dev0`, plays no part in comparisons.
///
/// ```
/// use mlflow_client::ServerVersion;
///
/// let version: ServerVersion = "3.17.2".parse()?;
/// assert!(version >= ServerVersion::new(3, 0, 0));
/// # Ok::<(), mlflow_client::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl ServerVersion {
    /// The first version with logged models, outputs of runs and all else that this crate marks as "since MLflow 3".
    pub const V3: Self = Self::new(3, 0, 0);

    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for ServerVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::invalid("version", "two or three numbers with dots, such as `3.17.2`");
        let mut parts = text.trim().splitn(3, '.');
        let number = |part: &str| part.parse().map_err(|_| refused());
        let major = number(parts.next().unwrap_or_default())?;
        let (minor, rest) = leading(parts.next().unwrap_or_default());
        let minor = number(minor)?;
        let patch = match parts.next() {
            // As in `3.0rc1`.
            None => 0,
            Some(_) if !rest.is_empty() => return Err(refused()),
            Some(patch) => number(leading(patch).0)?,
        };
        Ok(Self { major, minor, patch })
    }
}

/// Digits at the beginning, and what follows.
fn leading(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

impl Client {
    /// Version of the server as it names it, e.g. `3.17.2` or `3.18.0.dev0`. Needs credentials where the server wants
    /// them. Asks the server every time.
    pub async fn version(&self) -> Result<String> {
        let call = Call::new("version", http::Method::GET, &self.inner.base, ["version"])?.accept(Accept::Text);
        let reply = self.inner.send(&call).await?;
        let text = String::from_utf8_lossy(&reply.body).trim().to_owned();
        let plausible = text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_digit());
        if plausible {
            return Ok(text);
        }
        let mut context = crate::http::context(&call, "the answer is not a version: this is not MLflow");
        context.status = Some(reply.status);
        Err(Error::UnexpectedResponse(context))
    }

    /// Version of the server, asked once and then remembered.
    ///
    /// From then on, calls that an older server does not know are refused before they are sent, as
    /// [`Error::ServerTooOld`].
    pub async fn server_version(&self) -> Result<ServerVersion> {
        let known = &self.inner.server_version;
        known
            .get_or_try_init(|| async {
                let text = self.version().await?;
                text.parse().map_err(|_| {
                    let message = format!("`{text}` is not a version that this client can compare");
                    let call = Call::new("version", http::Method::GET, &self.inner.base, ["version"]);
                    call.map_or_else(
                        |error| error,
                        |call| Error::UnexpectedResponse(crate::http::context(&call, message)),
                    )
                })
            })
            .await
            .copied()
    }

    /// Refuses a call that the server is known to be too old for. An unknown version is not asked for: a server that does
    /// not know the call will say so.
    pub(crate) fn since(&self, operation: &'static str, needs: ServerVersion) -> Result<()> {
        match self.inner.server_version.get() {
            Some(has) if *has < needs => Err(too_old(operation, needs, *has)),
            _ => Ok(()),
        }
    }

    /// The same for what an older server would silently ignore: its version is asked for if it is not known. Where that
    /// cannot be learnt, e.g. behind a gateway that does not pass `/version` on, the call is let through.
    pub(crate) async fn surely_since(&self, operation: &'static str, needs: ServerVersion) -> Result<()> {
        match self.server_version().await {
            Ok(has) if has < needs => Err(too_old(operation, needs, has)),
            Err(error) if error.is_retryable() => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells of an operation that the server does not serve whether it is too old for it.
    pub(crate) async fn explain<T>(
        &self,
        operation: &'static str,
        needs: ServerVersion,
        result: Result<T>,
    ) -> Result<T> {
        match result {
            Err(Error::Unsupported(context)) => match self.server_version().await {
                Ok(has) if has < needs => Err(too_old(operation, needs, has)),
                _ => Err(Error::Unsupported(context)),
            },
            result => result,
        }
    }
}

fn too_old(operation: &'static str, needs: ServerVersion, has: ServerVersion) -> Error {
    Error::ServerTooOld(Box::new(TooOld { operation, needs, has }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        for (text, version) in [
            ("3.17.2", (3, 17, 2)),
            ("2.22.5\n", (2, 22, 5)),
            ("3.0.0rc1", (3, 0, 0)),
            ("3.18.0.dev0", (3, 18, 0)),
            ("3.0rc1", (3, 0, 0)),
        ] {
            let (major, minor, patch) = version;
            assert_eq!(
                text.parse::<ServerVersion>().unwrap(),
                ServerVersion::new(major, minor, patch),
                "{text}"
            );
        }
        for bad in ["", "3", "x.y.z", "3.x", "3..1", "99999999999.0.0", "<html>"] {
            assert!(bad.parse::<ServerVersion>().is_err(), "{bad}");
        }
        assert!(ServerVersion::new(2, 22, 5) < ServerVersion::V3);
    }
}
