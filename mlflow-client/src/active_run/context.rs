//! Where a run comes from: who started it, and what.

use std::ffi::OsString;

use crate::{
    error::{Error, Result},
    tag::{Tag, tags},
};

/// Who is logged in, by the variables that tell it; `unknown` without them, as MLflow writes it.
pub(super) fn user(read: &impl Fn(&str) -> Option<OsString>) -> String {
    let names = ["MLFLOW_TRACKING_USERNAME", "LOGNAME", "USER", "LNAME", "USERNAME"];
    let found = names
        .into_iter()
        .filter_map(|name| read(name)?.into_string().ok())
        .find(|name| !name.is_empty());
    found.unwrap_or_else(|| "unknown".to_owned())
}

/// User, name and type of the source, as MLflow's Python client notes them.
pub(super) fn source(read: &impl Fn(&str) -> Option<OsString>, program: Option<OsString>) -> Vec<Tag> {
    let program = program.map(|program| program.to_string_lossy().into_owned());
    vec![
        Tag::new(tags::USER, user(read)),
        Tag::new(tags::SOURCE_NAME, program.unwrap_or_else(|| "<console>".to_owned())),
        Tag::new(tags::SOURCE_TYPE, "LOCAL"),
    ]
}

/// The tags of `MLFLOW_RUN_CONTEXT`: a JSON object.
pub(super) fn from_variable(read: &impl Fn(&str) -> Option<OsString>) -> Result<Vec<Tag>> {
    const NAME: &str = "MLFLOW_RUN_CONTEXT";
    let Some(text) = read(NAME).filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let refused = || Error::invalid(NAME, "a JSON object of tags");
    let text = text.into_string().map_err(|_| refused())?;
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).map_err(|_| refused())?;
    let tag = |(key, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Tag::new(key, text),
        other => Tag::new(key, other.to_string()),
    };
    Ok(object.into_iter().map(tag).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        }
    }

    #[test]
    fn the_user_is_found() {
        assert_eq!(user(&environment(&[("USER", "me"), ("LOGNAME", "")])), "me");
        assert_eq!(
            user(&environment(&[("USER", "me"), ("MLFLOW_TRACKING_USERNAME", "you")])),
            "you"
        );
        assert_eq!(user(&environment(&[])), "unknown");
        let source = source(&environment(&[]), Some("target/train".into()));
        assert_eq!(source[1], Tag::new("mlflow.source.name", "target/train"));
    }

    #[test]
    fn tags_of_the_surroundings_are_read() {
        let read = environment(&[("MLFLOW_RUN_CONTEXT", r#"{"team": "fraud", "n": 3}"#)]);
        let tags = from_variable(&read).unwrap();
        assert!(
            tags.contains(&Tag::new("team", "fraud")) && tags.contains(&Tag::new("n", "3")),
            "{tags:?}"
        );
        for bad in [
            environment(&[("MLFLOW_RUN_CONTEXT", "[1]")]),
            environment(&[("MLFLOW_RUN_CONTEXT", "{")]),
        ] {
            let error = from_variable(&bad).unwrap_err().to_string();
            assert!(error.contains("MLFLOW_RUN_CONTEXT"), "{error}");
        }
    }
}
