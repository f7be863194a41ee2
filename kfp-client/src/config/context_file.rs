//! The file in which the Python client keeps its settings.

use std::path::Path;

use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Error, Result};

/// What the file gives; the Python client writes the namespace alone, the rest is written by hand.
#[derive(Default)]
pub(super) struct ContextFile {
    pub(super) namespace: Option<String>,
    pub(super) cookie: Option<SecretString>,
    pub(super) header: Option<(String, SecretString)>,
}

#[derive(Deserialize)]
struct Wire {
    namespace: Option<String>,
    client_authentication_cookie: Option<String>,
    client_authentication_header_name: Option<String>,
    client_authentication_header_value: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<ContextFile> {
    let refused = |allowed: String| Err(Error::invalid(path.display().to_string(), allowed));
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => return refused(format!("a file that can be read: {error}")),
    };
    // What serde says of a value could repeat it, and it may be a cookie.
    let wire: Wire = match serde_json::from_slice(&text) {
        Ok(wire) => wire,
        Err(error) => {
            return refused(format!(
                "a JSON object whose values are text; see line {}, column {}",
                error.line(),
                error.column()
            ));
        }
    };
    let set = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
    let header = match (
        set(wire.client_authentication_header_name),
        set(wire.client_authentication_header_value),
    ) {
        (Some(name), Some(value)) => Some((name, value.into())),
        (None, None) => None,
        _ => {
            return refused(
                "with both or neither of client_authentication_header_name and client_authentication_header_value"
                    .to_owned(),
            );
        }
    };
    Ok(ContextFile {
        namespace: set(wire.namespace),
        cookie: set(wire.client_authentication_cookie).map(Into::into),
        header,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn from(text: &str) -> Result<ContextFile> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("context.json");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn what_the_python_client_writes_is_read() {
        let file = from(
            r#"{"namespace": "team-a", "client_authentication_cookie": "authservice_session=x",
            "client_authentication_header_name": "x-auth", "client_authentication_header_value": "v", "more": 1}"#,
        )
        .unwrap();
        assert_eq!(file.namespace.as_deref(), Some("team-a"));
        assert_eq!(file.cookie.unwrap().expose_secret(), "authservice_session=x");
        let (name, value) = file.header.unwrap();
        assert_eq!((name.as_str(), value.expose_secret()), ("x-auth", "v"));
        assert!(from("{}").unwrap().namespace.is_none());
    }

    #[test]
    fn errors_name_the_file_and_no_value() {
        for text in [
            "",
            "[1]",
            r#"{"client_authentication_cookie": {"secret": "secret"}}"#,
            r#"{"client_authentication_header_name": "x-auth"}"#,
        ] {
            let error = from(text).err().unwrap().to_string();
            assert!(error.contains("context.json") && !error.contains("secret"), "{error}");
        }
        assert!(read(Path::new("/nowhere/context.json")).is_err());
    }
}
