//! The file in which users of MLflow keep name and password: `~/.mlflow/credentials`.

use std::{fmt, path::Path};

use secrecy::SecretString;

use crate::error::{Error, Result};

/// What the file gives.
#[derive(Default)]
pub(crate) struct CredentialsFile {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<SecretString>,
}

impl fmt::Debug for CredentialsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsFile").finish_non_exhaustive()
    }
}

/// Reads the file; one that is not there gives nothing.
pub(crate) fn read(path: &Path) -> Result<CredentialsFile> {
    let refused = |allowed: String| Error::invalid(path.display().to_string(), allowed);
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(CredentialsFile::default());
        }
        Err(error) => return Err(refused(format!("a file that can be read: {error}"))),
    };
    let text = String::from_utf8(text).map_err(|_| refused("UTF-8 text".to_owned()))?;
    parse(&text).map_err(refused)
}

/// Reads the section `[mlflow]` as Python's `configparser` does. The error says what is allowed and never quotes the text,
/// which may be a password.
pub(crate) fn parse(text: &str) -> Result<CredentialsFile, String> {
    let mut found = CredentialsFile::default();
    let mut section = None;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let wrong = |what: &str| format!("{what}; see line {}", number + 1);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with(char::is_whitespace) && section.is_some() {
            return Err(wrong("without values that go on in the next line"));
        }
        if let Some(rest) = trimmed.strip_prefix('[') {
            let name = rest.split_once(']').map(|(name, _)| name);
            section = Some(name.ok_or_else(|| wrong("with section names in brackets"))?);
            continue;
        }
        let Some(current) = section else {
            return Err(wrong("with a section such as `[mlflow]` before anything else"));
        };
        let parts = trimmed.split_once(['=', ':']);
        let (key, value) = parts.ok_or_else(|| wrong("with lines of the form `key = value`"))?;
        if current != "mlflow" {
            continue;
        }
        let value = || {
            let value = value.trim();
            let plain = value.replace("%%", "");
            // Python reads `%(…)s` as a reference to another key and refuses any other single sign.
            if plain.contains('%') {
                return Err(wrong("with every percent sign doubled"));
            }
            Ok(Some(value.replace("%%", "%")).filter(|value| !value.is_empty()))
        };
        match key.trim().to_lowercase().as_str() {
            "mlflow_tracking_username" => found.username = value()?,
            "mlflow_tracking_password" => found.password = value()?.map(SecretString::from),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read_text(text: &str) -> Result<(Option<String>, Option<String>), String> {
        let file = parse(text)?;
        Ok((
            file.username,
            file.password.map(|password| password.expose_secret().to_owned()),
        ))
    }

    #[test]
    fn what_mlflow_login_writes_is_read() {
        let pair = |name: &str, password: &str| Ok((Some(name.to_owned()), Some(password.to_owned())));
        let plain = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = p=a:s s#;\n";
        assert_eq!(read_text(plain), pair("me", "p=a:s s#;"));
        let other = "\u{feff}# c\r\n[other]\r\nmlflow_tracking_username: x\r\n\r\n[mlflow]\r\nMLFLOW_TRACKING_USERNAME:me\r\n\
                     mlflow_tracking_password=50%%\r\nmore = 1\r\n";
        assert_eq!(read_text(other), pair("me", "50%"));
        assert_eq!(read_text(""), Ok((None, None)));
        assert_eq!(read_text("[mlflow]\nmlflow_tracking_password =\n"), Ok((None, None)));
    }

    #[test]
    fn faults_name_the_line_and_no_value() {
        for text in [
            "mlflow_tracking_password = s3cret",
            "[mlflow\nx",
            "[mlflow]\ns3cret",
            "[mlflow]\nmlflow_tracking_password = s3cret%",
            "[mlflow]\nmlflow_tracking_password = a\n  s3cret",
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains("line") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_gives_nothing() {
        let file = read(Path::new("/nowhere/.mlflow/credentials")).unwrap();
        assert!(file.username.is_none() && file.password.is_none());
        assert!(read(Path::new("/")).unwrap_err().to_string().contains("read"));
    }
}
