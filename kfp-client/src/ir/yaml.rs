//! YAML as all readers of pipelines understand it alike.
//!
//! Pipelines are read by programs of two YAML versions: for one of them a plain `on`, `1e3`, `12:30:00` or `2026-11-28` is
//! a text, for the other a boolean, a number or a time. So texts are written in quotes unless they are plain words, and
//! letters that one of the readers refuses or folds are written as escapes.

use std::{fmt, io};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// All documents of a YAML text that are not empty.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, serde_norway::Error> {
    let mut documents = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        match Read::deserialize(document)?.0 {
            Value::Null => {}
            value => documents.push(value),
        }
    }
    Ok(documents)
}

/// A document as the server reads it: converted to JSON, with what JSON cannot hold refused.
struct Read(Value);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything that JSON can hold")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Read, E> {
        Ok(Read(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Read, E> {
        Ok(Read(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Read, E> {
        Ok(Read(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Read, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no infinity and no NaN"))?;
        Ok(Read(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Read, E> {
        Ok(Read(Value::String(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Read, E> {
        Ok(Read(Value::String(value)))
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Read, E> {
        Ok(Read(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        Read::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Read, A::Error> {
        let mut list = Vec::new();
        while let Some(Read(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Read(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Read, A::Error> {
        let mut object = Map::new();
        let mut merged = Vec::new();
        while let Some(Read(key)) = members.next_key()? {
            let Read(value) = members.next_value()?;
            let key = match key {
                Value::String(key) => key,
                Value::Number(_) | Value::Bool(_) => key.to_string(),
                _ => return Err(A::Error::custom("a key must be a text")),
            };
            match value {
                Value::Object(others) if key == "<<" => merged.push(others),
                Value::Array(others) if key == "<<" => {
                    merged.extend(others.into_iter().filter_map(|other| match other {
                        Value::Object(other) => Some(other),
                        _ => None,
                    }));
                }
                value => {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("the key `{key}` is there twice")));
                    }
                    object.insert(key, value);
                }
            }
        }
        for (key, value) in merged.into_iter().flatten() {
            object.entry(key).or_insert(value);
        }
        Ok(Read(Value::Object(object)))
    }
}

/// A value as YAML.
pub(crate) fn write(value: &impl Serialize) -> String {
    let mut text = String::new();
    // What is written here is made of texts, numbers, lists and objects with keys that are texts.
    block(&serde_json::to_value(value).unwrap_or_default(), 0, &mut text);
    text
}

/// Writes the value of a key or a list item, with the line's end; what spans lines is indented by `depth` steps.
fn block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (number, (key, value)) in members.iter().enumerate() {
                if number > 0 {
                    indent(depth, text);
                }
                scalar(key, text);
                text.push(':');
                below(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    indent(depth, text);
                }
                text.push('-');
                match item {
                    // The first member stands on the same line.
                    Value::Object(members) if !members.is_empty() => {
                        text.push(' ');
                        block(item, depth + 1, text);
                    }
                    other => below(other, depth, text),
                }
            }
        }
        Value::String(string) => {
            scalar(string, text);
            text.push('\n');
        }
        // `{}`, `[]`, numbers, booleans and null are the same in both.
        other => {
            text.push_str(&json(other));
            text.push('\n');
        }
    }
}

/// Writes what stands after a colon or a dash.
fn below(value: &Value, depth: usize, text: &mut String) {
    let spans = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if spans {
        text.push('\n');
        indent(depth + 1, text);
        block(value, depth + 1, text);
    } else {
        text.push(' ');
        block(value, depth, text);
    }
}

fn indent(depth: usize, text: &mut String) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

/// Words that some version of YAML takes for something else than text.
const TAKEN: [&str; 11] = [
    "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf",
];

fn scalar(string: &str, text: &mut String) {
    if is_plain(string) {
        text.push_str(string);
    } else {
        text.push_str(&json(&string));
    }
}

/// Whether a text means itself without quotes, in all versions of YAML.
fn is_plain(string: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    string.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && string.len() < 128
        && string.bytes().all(word)
        && !TAKEN.iter().any(|taken| string.eq_ignore_ascii_case(taken))
}

/// A value as JSON that is YAML too: with escapes for the letters that are no part of YAML or are line breaks to it, and
/// numbers that are not taken for text because they have an exponent without a point.
pub(crate) fn json(value: &impl Serialize) -> String {
    let mut text = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Format);
    // What is written here is made of texts, numbers, lists and objects with keys that are texts.
    let _written = value.serialize(&mut serializer);
    String::from_utf8(text).unwrap_or_default()
}

struct Format;

impl serde_json::ser::Formatter for Format {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let text = Value::from(value).to_string();
        match text.split_once('e') {
            Some((digits, exponent)) if !digits.contains('.') => write!(writer, "{digits}.0e{exponent}"),
            _ => writer.write_all(text.as_bytes()),
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        // All of them are beyond the letters of ASCII, but for one.
        if fragment.bytes().any(|byte| byte >= 0x7f) {
            for (at, letter) in fragment.char_indices() {
                if matches!(
                    letter,
                    '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                ) {
                    let before = fragment.get(plain..at).unwrap_or_default();
                    write!(writer, "{before}\\u{:04x}", u32::from(letter))?;
                    plain = at + letter.len_utf8();
                }
            }
        }
        writer.write_all(fragment.get(plain..).unwrap_or_default().as_bytes())
    }
}

/// Documents as JSON, one after the other in a text that is YAML.
pub(crate) fn json_documents(documents: &[Value]) -> String {
    documents.iter().map(json).collect::<Vec<_>>().join("\n---\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        documents(text).unwrap().remove(0)
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let texts = [
            "",
            " ",
            "a",
            "a b",
            "on",
            "Yes",
            "NO",
            "y",
            "~",
            "null",
            "1",
            "1.5",
            "1e3",
            "0x10",
            "012",
            "1_000",
            ".5",
            "12:30:45",
            "2026-11-28",
            "2026-11-28T10:00:00Z",
            "=",
            "<<",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "'a'",
            "\"a\"",
            "a\nb",
            "a\n",
            "\ta",
            "a\\b",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{1f600}",
            "\0",
            "{{$.inputs}}",
            "[a",
            "{a",
            ".inf",
            "-.inf",
            ".nan",
            "+1",
            "-",
            "--- a",
        ];
        let value = json!({"list": texts.as_slice(), "object": {"nested": [[1, 2.5, true, null], {}, [], {"a": {"b": [{"c": -1}]}}]},
            "keys": texts.iter().map(|text| ((*text).to_owned(), json!(1))).collect::<Map<_, _>>(),
            "big": 9_007_199_254_740_993_u64, "small": 1e-7});
        let mut expected = value.clone();
        // As a key it asks for another mapping's members.
        assert_eq!(expected["keys"].as_object_mut().unwrap().remove("<<"), Some(json!(1)));
        let mut written = value;
        written["keys"].as_object_mut().unwrap().remove("<<");
        assert_eq!(read(&write(&written)), expected);
        assert_eq!(read(&json_documents(&[written])), expected);
    }

    #[test]
    fn plain_words_stay_plain() {
        let value = json!({"image": "registry.example.com/train", "command": ["sh", "-c"], "tag": "a:1"});
        assert_eq!(
            write(&value),
            "command:\n  - sh\n  - \"-c\"\nimage: registry.example.com/train\ntag: \"a:1\"\n"
        );
    }

    #[test]
    fn numbers_are_numbers_in_all_versions() {
        let value = json!([1e21, 1e-7, 1.5e300, 0.1, -2.0, 3]);
        assert_eq!(json(&value), "[1.0e+21,1.0e-7,1.5e+300,0.1,-2.0,3]");
        assert_eq!(read(&write(&value)), value);
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        for text in ["a: .inf", "a: .nan", "a: 1\na: 2", "[1]: 2", "? {a: 1}\n: 2"] {
            assert!(documents(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_aliases_and_merges_are_read_as_the_server_reads_them() {
        assert_eq!(read("1: a\ntrue: b"), json!({"1": "a", "true": "b"}));
        assert_eq!(
            read("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: [*x]"),
            json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": [{"b": 1, "c": 2}]})
        );
        assert_eq!(documents("---\n---\na: 1\n---\n").unwrap(), [json!({"a": 1})]);
    }
}
