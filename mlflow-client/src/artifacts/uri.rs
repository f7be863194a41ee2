//! Addresses of artifacts, as MLflow writes them.

use url::Url;

use crate::{
    error::{Error, Result},
    ids::{LoggedModelId, RunId, VersionNumber},
};

const ALLOWED: &str = "`runs:/<run id>/<path>`, `models:/<name>/<version, stage or latest>`, `models:/<name>@<alias>`, \
                       `models:/m-<id>`, `mlflow-artifacts:/<path>`, or the address of a store";

/// What an address means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ArtifactUri<'a> {
    /// The artifacts of a run, or a folder of them.
    Run(RunId, &'a str),
    /// Those of a logged model.
    LoggedModel(LoggedModelId, &'a str),
    /// Those of a version of a registered model.
    Version(&'a str, Which<'a>, &'a str),
    /// What the server passes on itself.
    Proxied,
    /// What it does not.
    Elsewhere,
}

/// Which version of a registered model.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Which<'a> {
    Number(VersionNumber),
    Latest,
    Stage(&'a str),
    Alias(&'a str),
}

/// Reads an address. What it says of folders is checked when it is used.
pub(super) fn parse(uri: &str) -> Result<ArtifactUri<'_>> {
    let refused = || Error::invalid("artifact URI", ALLOWED);
    if uri.is_empty() || uri.chars().any(char::is_control) {
        return Err(refused());
    }
    if let Some(rest) = uri.strip_prefix("runs:/") {
        let (run, path) = split(rest.trim_start_matches('/')).ok_or_else(refused)?;
        return Ok(ArtifactUri::Run(RunId::new(run), path));
    }
    if let Some(rest) = uri.strip_prefix("models:/") {
        let (first, rest) = split(rest.trim_start_matches('/')).ok_or_else(refused)?;
        if let Some((name, alias)) = first.rsplit_once('@') {
            let good = !name.is_empty() && !alias.is_empty();
            return good
                .then_some(ArtifactUri::Version(name, Which::Alias(alias), rest))
                .ok_or_else(refused);
        }
        if rest.is_empty() {
            // A name alone says nothing of the version.
            let id = first.starts_with("m-").then(|| LoggedModelId::new(first));
            return id.map(|id| ArtifactUri::LoggedModel(id, "")).ok_or_else(refused);
        }
        let (version, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Of a logged model the rest is a path; an id has 32 digits.
        if is_logged_model(first) {
            return Ok(ArtifactUri::LoggedModel(LoggedModelId::new(first), rest));
        }
        let which = match version.parse() {
            Ok(number) => Which::Number(number),
            Err(_) if version.eq_ignore_ascii_case("latest") => Which::Latest,
            Err(_) => Which::Stage(version),
        };
        return Ok(ArtifactUri::Version(first, which, path));
    }
    if uri.starts_with("mlflow-artifacts:") {
        return Ok(ArtifactUri::Proxied);
    }
    if ["runs:", "models:"].iter().any(|scheme| uri.starts_with(scheme)) {
        return Err(refused());
    }
    Ok(ArtifactUri::Elsewhere)
}

/// What comes before the first slash, and what after it.
fn split(rest: &str) -> Option<(&str, &str)> {
    let (first, path) = rest.split_once('/').unwrap_or((rest, ""));
    (!first.is_empty()).then_some((first, path.trim_end_matches('/')))
}

fn is_logged_model(text: &str) -> bool {
    let id = text.strip_prefix("m-");
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// The path below the proxy's root. Artifacts at another host are not for this client, whose credentials are for its own
/// server only.
pub(super) fn proxied<'a>(uri: &'a str, base: &Url) -> Option<&'a str> {
    let path = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match path.strip_prefix("//") {
        Some(with_host) => {
            let (authority, path) = with_host.split_once('/')?;
            if !authority.is_empty() && !is_same(authority, base) {
                return None;
            }
            path
        }
        None => path,
    };
    Some(path.trim_matches('/')).filter(|path| !path.is_empty())
}

/// Whether `host` or `host:port` is that of the URL.
fn is_same(authority: &str, base: &Url) -> bool {
    let Ok(other) = Url::parse(&format!("{}://{authority}/", base.scheme())) else {
        return false;
    };
    let port_given = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let same_port = !port_given || other.port_or_known_default() == base.port_or_known_default();
    other.username().is_empty() && other.host() == base.host() && same_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let number = |number| Which::Number(VersionNumber::new(number));
        let model = "m-0123456789abcdef0123456789abcdef";
        for (uri, meaning) in [
            ("runs:/abc/model/x", ArtifactUri::Run("abc".into(), "model/x")),
            ("runs:/abc", ArtifactUri::Run("abc".into(), "")),
            ("runs:///abc/", ArtifactUri::Run("abc".into(), "")),
            ("models:/fraud/3", ArtifactUri::Version("fraud", number(3), "")),
            ("models:/fraud/3/data", ArtifactUri::Version("fraud", number(3), "data")),
            ("models:/fraud/latest", ArtifactUri::Version("fraud", Which::Latest, "")),
            (
                "models:/fraud/Production",
                ArtifactUri::Version("fraud", Which::Stage("Production"), ""),
            ),
            (
                "models:/a b@champion",
                ArtifactUri::Version("a b", Which::Alias("champion"), ""),
            ),
            (
                "models:/a@champion/x/y",
                ArtifactUri::Version("a", Which::Alias("champion"), "x/y"),
            ),
            ("models:/m-12/1", ArtifactUri::Version("m-12", number(1), "")),
            ("models:/m-12", ArtifactUri::LoggedModel("m-12".into(), "")),
            ("mlflow-artifacts:/1/x", ArtifactUri::Proxied),
            ("s3://bucket/x", ArtifactUri::Elsewhere),
            ("/mnt/mlruns/0", ArtifactUri::Elsewhere),
        ] {
            assert_eq!(parse(uri).unwrap(), meaning, "{uri}");
        }
        let with_path = format!("models:/{model}/data");
        assert_eq!(
            parse(&with_path).unwrap(),
            ArtifactUri::LoggedModel(model.into(), "data")
        );
        for bad in [
            "",
            "runs:/",
            "runs:",
            "runs:abc",
            "models:/",
            "models:/fraud",
            "models:/@a",
            "models:/a@",
            "a\nb",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_artifacts_of_the_server_itself_are_served() {
        let base = "http://127.0.0.1:5000".parse().unwrap();
        for (uri, path) in [
            ("mlflow-artifacts:/1/abc/artifacts", "1/abc/artifacts"),
            ("mlflow-artifacts:///1/abc/artifacts", "1/abc/artifacts"),
            ("mlflow-artifacts://127.0.0.1:5000/1/abc", "1/abc"),
            ("mlflow-artifacts://127.0.0.1/1/abc", "1/abc"),
        ] {
            assert_eq!(proxied(uri, &base), Some(path), "{uri}");
        }
        for uri in [
            "s3://bucket/1",
            "/tmp/x",
            "mlflow-artifacts:",
            "mlflow-artifacts:/",
            "runs:/abc/model",
            "mlflow-artifacts://other:5000/1",
            "mlflow-artifacts://127.0.0.1:5001/1",
            "mlflow-artifacts://me@127.0.0.1:5000/1",
        ] {
            assert_eq!(proxied(uri, &base), None, "{uri}");
        }
    }
}
