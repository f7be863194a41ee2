//! Macros in the parameters of a run, such as `[[RunUUID]]`: servers expand them in the workflow alone.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::Offset;
use serde_json::Value;

/// How times are written when a macro names no format.
const PLAIN: &str = "20060102150405";

/// What the macros of a run stand for. Times are seconds since 1970.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Macros {
    pub(in crate::testing) run_id: String,
    pub(in crate::testing) now: i64,
    /// For runs of a recurring run: the time they were due, and their number.
    pub(in crate::testing) due: Option<(i64, i64)>,
}

impl Macros {
    /// A value with the macros in its texts expanded, however deep they lie.
    pub(in crate::testing) fn expand(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.format(text).into(),
            Value::Array(list) => list.iter().map(|value| self.expand(value)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.expand(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// A text with its macros expanded; what is none stays as it is.
    pub(in crate::testing) fn format(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, found, after)) = next_macro(rest) {
            out.push_str(before);
            match self.value(found) {
                Some(value) => out.push_str(&value),
                None => out.push_str(found),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn value(&self, text: &str) -> Option<String> {
        let (due, index) = match self.due {
            Some((due, index)) => (Some(due), Some(index)),
            None => (None, None),
        };
        if let Some(inner) = text.strip_prefix("[[") {
            let inner = inner.strip_suffix("]]")?;
            return match inner {
                "RunUUID" => Some(self.run_id.clone()),
                "ScheduledTime" => Some(go_time(due?, PLAIN)),
                "CurrentTime" => Some(go_time(self.now, PLAIN)),
                "Index" => Some(index?.to_string()),
                _ => match inner.split_once('.')? {
                    ("ScheduledTime", layout) => Some(go_time(due?, layout)),
                    ("CurrentTime", layout) => Some(go_time(self.now, layout)),
                    _ => None,
                },
            };
        }
        let inner = text.strip_prefix("{{$.")?.strip_suffix("')}}")?;
        let (name, format) = inner.split_once(".strftime('")?;
        let time = match name {
            "scheduledTime" => due?,
            "currentTime" => self.now,
            _ => return None,
        };
        strtime::format(format, civil(time)).ok()
    }
}

/// The first macro of a text, with what stands before and after it.
fn next_macro(text: &str) -> Option<(&str, &str, &str)> {
    let find = |open: &str, close: &str| {
        let start = text.find(open)?;
        let inner = text.get(start + open.len()..)?;
        let end = start + open.len() + inner.find(close)? + close.len();
        Some((start, end))
    };
    let (start, end) = [find("[[", "]]"), find("{{$.", "}}")].into_iter().flatten().min()?;
    Some((text.get(..start)?, text.get(start..end)?, text.get(end..)?))
}

fn civil(seconds: i64) -> jiff::civil::DateTime {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Offset::UTC.to_datetime(time)
}

/// A time in a layout of Go, which writes each part as it stands in Monday, 2 January 2006, 15:04:05.
fn go_time(seconds: i64, layout: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        ("January", "%B"),
        ("Jan", "%b"),
        ("Monday", "%A"),
        ("Mon", "%a"),
        ("MST", "UTC"),
        ("2006", "%Y"),
        ("-07:00", "+00:00"),
        ("-0700", "+0000"),
        ("Z07:00", "Z"),
        ("01", "%m"),
        ("02", "%d"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("15", "%H"),
        ("PM", "%p"),
        ("pm", "%P"),
        ("_2", "%e"),
        ("1", "%-m"),
        ("2", "%-d"),
        ("3", "%-I"),
        ("4", "%-M"),
        ("5", "%-S"),
    ];
    let time = civil(seconds);
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let part = PARTS.iter().find(|(part, _)| rest.starts_with(part));
        match part {
            Some((part, format)) => {
                out.push_str(&strtime::format(format, time).unwrap_or_default());
                rest = rest.get(part.len()..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn macros_stand_for_the_run_its_times_and_its_number() {
        let scheduled = Macros {
            run_id: "r".to_owned(),
            now: 1_700_000_100,
            due: Some((1_700_000_000, 7)),
        };
        for (text, expanded) in [
            ("[[RunUUID]]/[[Index]]", "r/7"),
            ("[[ScheduledTime]]", "20231114221320"),
            ("[[CurrentTime]]", "20231114221500"),
            ("[[ScheduledTime.2006-01-02 15:04]]", "2023-11-14 22:13"),
            ("{{$.scheduledTime.strftime('%Y-%m-%d')}}", "2023-11-14"),
            ("[[Nothing]] {{$.inputs}} [[open", "[[Nothing]] {{$.inputs}} [[open"),
        ] {
            assert_eq!(scheduled.format(text), expanded);
        }
        let once = Macros { due: None, ..scheduled };
        assert_eq!(
            once.expand(&json!({"a": ["[[Index]] [[ScheduledTime]] [[RunUUID]]", 1]})),
            json!({"a": ["[[Index]] [[ScheduledTime]] r", 1]})
        );
    }
}
