//! JSON whose errors tell where they lie.
//!
//! The way to an error is looked for when there is one, so that reading keeps no account of where it is.

use std::{fmt::Write as _, ops::Range};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longer names are cut in a path.
const LONGEST_NAME: usize = 100;

/// Why JSON was not read, and where.
#[derive(Debug)]
pub(crate) struct Misread {
    /// `runs[3].created_at`, or `.` for the whole.
    pub(crate) path: String,
    pub(crate) error: serde_json::Error,
}

/// Reads a text that is one value and nothing else.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Misread> {
    serde_json::from_slice(text).map_err(|error| {
        let mut place = offset(text, error.line(), error.column());
        // A list or object where something else is due is refused at its bracket, so nothing within it is at fault.
        let before = place.checked_sub(1).and_then(|before| text.get(before));
        if !error.is_eof() && matches!(before, Some(b'[' | b'{')) {
            place -= 1;
        }
        Misread {
            path: path(text, place),
            error,
        }
    })
}

/// The same of a value.
pub(crate) fn read_value<T: DeserializeOwned>(value: &Value) -> Result<T, Misread> {
    T::deserialize(value).map_err(|error| {
        // Only of a text does the reader say where it stopped.
        let again = read::<T>(value.to_string().as_bytes());
        let path = again.err().map_or_else(|| ".".to_owned(), |misread| misread.path);
        Misread { path, error }
    })
}

/// How many bytes were read, by a line from 1 on and the bytes read of it.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        let rest = text.get(start..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            break;
        };
        start += end + 1;
    }
    start.saturating_add(column).min(text.len())
}

/// What encloses a place in a text.
enum Around {
    /// An object, and the name of the member if the place is behind its colon.
    Object(Option<Range<usize>>),
    /// A list, and the item's number.
    List(usize),
}

/// The way to the value that holds the place, or that ends there. Of a text that is no JSON it is what can be told.
fn path(text: &[u8], place: usize) -> String {
    let mut around: Vec<Around> = Vec::new();
    let mut latest_text = 0..0;
    let mut bytes = text.iter().enumerate().take(place);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'{' => around.push(Around::Object(None)),
            b'[' => around.push(Around::List(0)),
            b'}' | b']' => {
                around.pop();
            }
            b',' => match around.last_mut() {
                Some(Around::Object(name)) => *name = None,
                Some(Around::List(number)) => *number += 1,
                None => {}
            },
            b':' => {
                if let Some(Around::Object(name)) = around.last_mut() {
                    *name = Some(latest_text.clone());
                }
            }
            b'"' => {
                let mut end = place;
                while let Some((at, byte)) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => {
                            end = at;
                            break;
                        }
                        _ => {}
                    }
                }
                latest_text = at + 1..end;
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for step in around {
        match step {
            Around::Object(Some(name)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                let name = text.get(name).unwrap_or_default();
                match name.get(..LONGEST_NAME) {
                    Some(begin) if name.len() > LONGEST_NAME => {
                        path.push_str(&String::from_utf8_lossy(begin));
                        path.push('…');
                    }
                    _ => path.push_str(&String::from_utf8_lossy(name)),
                }
            }
            Around::List(number) => {
                let _ = write!(path, "[{number}]");
            }
            Around::Object(None) => {}
        }
    }
    if path.is_empty() {
        path.push('.');
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::message::message;

    message! {
        /// For the tests.
        pub struct Tree {
            at: Option<Timestamp>,
            count: Option<i64>,
            part: Option<f64>,
            parts: Vec<Tree>,
            named: BTreeMap<String, Tree>,
        }
    }

    #[derive(Debug, Deserialize)]
    struct Whole {
        #[allow(dead_code, reason = "read")]
        needed: Tree,
    }

    fn misread<T: DeserializeOwned>(text: &str) -> String {
        read::<T>(text.as_bytes()).err().unwrap().path
    }

    #[test]
    fn the_way_to_a_wrong_value_is_told() {
        for (text, path) in [
            (r#"{"at": 5}"#, "at"),
            (r#"{"at": "soon", "count": 1}"#, "at"),
            (r#"{"count": {"a": 1}}"#, "count"),
            (r#"{"count": [1]}"#, "count"),
            (r#"{"count": "x"}"#, "count"),
            (r#"{"count": 1.5 , "at": null}"#, "count"),
            (r#"{"part": "much" }"#, "part"),
            (
                r#"{"parts": [{}, {"count": 1}, {"parts": [{"at": true}]}]}"#,
                "parts[2].parts[0].at",
            ),
            (r#"{"parts": [{}, 5]}"#, "parts[1]"),
            (r#"{"parts": [{}, "a,[{:"]}"#, "parts[1]"),
            (
                r#"{"x": {"y": [1, "{,"]}, "named": {"a": {}, "b\"]": {"count": "y"}}}"#,
                r#"named.b\"].count"#,
            ),
            (
                "{\n  \"parts\": [\n    {},\n    {\"at\":\n \"never\"\n}\n  ]\n}",
                "parts[1].at",
            ),
            ("[]", "."),
            ("7", "."),
            ("", "."),
            ("{} {}", "."),
        ] {
            assert_eq!(misread::<Tree>(text), path, "{text}");
        }
        assert_eq!(misread::<Vec<Whole>>(r#"[{"needed": {}}, {"other": {}}]"#), "[1]");
    }

    #[test]
    fn the_way_to_where_a_text_breaks_off_is_told() {
        for (text, path) in [
            (r#"{"parts": [{}, {"at": "2026-11"#, "parts[1].at"),
            (r#"{"parts": ["#, "parts[0]"),
            (r#"{"x": {"y": 1"#, "x.y"),
            (r#"{"x": {"y"#, "x"),
        ] {
            let misread = read::<Tree>(text.as_bytes()).err().unwrap();
            assert!(misread.error.is_eof());
            assert_eq!(misread.path, path, "{text}");
        }
    }

    #[test]
    fn a_value_tells_the_same() {
        let value = json!({"named": {"a": {}, "b": {"parts": [{"at": []}]}}});
        let misread = read_value::<Tree>(&value).err().unwrap();
        assert_eq!(misread.path, "named.b.parts[0].at");
        assert!(!misread.error.to_string().contains("line"), "{}", misread.error);
        assert_eq!(read_value::<Tree>(&json!({"count": "4"})).unwrap().count, Some(4));
    }

    #[test]
    fn long_names_are_cut() {
        let text = format!(r#"{{"named": {{"{}": 5}}}}"#, "é".repeat(500));
        let path = misread::<Tree>(&text);
        assert!(path.starts_with("named.éé") && path.ends_with("é…"), "{path}");
        assert!(path.len() < 150);
    }

    proptest! {
        #[test]
        fn any_text_and_place_have_a_way(text in "[\\[\\]{}:,\"\\\\ a1\n]{0,40}", line in 0usize..9, column in any::<usize>()) {
            let place = offset(text.as_bytes(), line, column);
            prop_assert!(place <= text.len());
            prop_assert!(!path(text.as_bytes(), place).is_empty());
        }

        /// Of a fault at any depth.
        #[test]
        fn a_fault_is_found_where_it_was_put(shapes in prop::collection::vec(0usize..4, 1..20)) {
            let mut way = String::new();
            let mut value = json!("wrong");
            for shape in shapes {
                let dot = if way.is_empty() { "" } else { "." };
                let (around, step) = match shape {
                    0 => (json!({"parts": [{}, value]}), "parts[1]"),
                    1 => (json!({"parts": [value, {"parts": []}], "count": 1}), "parts[0]"),
                    2 => (json!({"named": {"k,": value}}), "named.k,"),
                    _ => (json!({"named": {"\\": {}, "a": {"named": {"]": {}}}, "b": value}}), "named.b"),
                };
                way = format!("{step}{dot}{way}");
                value = around;
            }
            let text = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(misread::<Tree>(&text), way);
        }
    }
}
