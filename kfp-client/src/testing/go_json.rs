//! JSON as Go's `encoding/json` reads and writes it: servers give its errors on, and count its bytes.

use serde_json::Value;

/// Writes a value as Go does: `<`, `>`, `&` and the two line separators of Unicode are escaped.
pub(super) fn written(value: &Value) -> String {
    let mut out = String::new();
    for letter in value.to_string().chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let escaped = format!("\\u{:04x}", u32::from(letter));
                out.push_str(&escaped);
            }
            other => out.push(other),
        }
    }
    out
}

/// What Go says of a text that is no JSON; nothing of one that is.
pub(super) fn syntax_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { rest: text };
    let read = scanner.value("looking for beginning of value").and_then(|()| {
        scanner.space();
        match scanner.rest.first() {
            None => Ok(()),
            Some(_) => scanner.refuse("after top-level value"),
        }
    });
    read.err()
}

/// How deep Go reads.
const DEEPEST: usize = 10_000;

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Takes the byte if it is the next one.
    fn take(&mut self, wanted: u8) -> bool {
        match self.rest.split_first() {
            Some((next, rest)) if *next == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn refuse<T>(&self, place: &str) -> Result<T, String> {
        let Some(byte) = self.rest.first() else {
            return Err("unexpected end of JSON input".to_owned());
        };
        // A byte is shown as the letter of that number.
        let shown = match char::from(*byte) {
            '\'' => "'\\''".to_owned(),
            '"' => "'\"'".to_owned(),
            '\\' => "'\\\\'".to_owned(),
            '\n' => "'\\n'".to_owned(),
            '\r' => "'\\r'".to_owned(),
            '\t' => "'\\t'".to_owned(),
            letter @ (' '..='~') => format!("'{letter}'"),
            '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => format!("'{}'", char::from(*byte)),
            letter if letter.is_ascii() => format!("'\\x{byte:02x}'"),
            _ => format!("'\\u{byte:04x}'"),
        };
        Err(format!("invalid character {shown} {place}"))
    }

    /// A value of any depth, without a stack of our own calls.
    fn value(&mut self, place: &str) -> Result<(), String> {
        let mut open: Vec<u8> = Vec::new();
        let mut place = place;
        loop {
            if open.len() > DEEPEST {
                return Err("exceeded max depth".to_owned());
            }
            self.space();
            match self.rest.first() {
                Some(b'{') => {
                    self.take(b'{');
                    self.space();
                    if !self.take(b'}') {
                        open.push(b'}');
                        self.key("looking for beginning of object key string")?;
                        place = "looking for beginning of value";
                        continue;
                    }
                }
                Some(b'[') => {
                    self.take(b'[');
                    self.space();
                    if !self.take(b']') {
                        open.push(b']');
                        place = "looking for beginning of value";
                        continue;
                    }
                }
                _ => self.scalar(place)?,
            }
            // After a value: the next one, or the end of what holds it.
            loop {
                let Some(end) = open.last().copied() else { return Ok(()) };
                self.space();
                if self.take(end) {
                    open.pop();
                    continue;
                }
                if !self.take(b',') {
                    return self.refuse(if end == b'}' {
                        "after object key:value pair"
                    } else {
                        "after array element"
                    });
                }
                if end == b'}' {
                    self.key("looking for beginning of object key string")?;
                }
                break;
            }
            place = "looking for beginning of value";
        }
    }

    fn key(&mut self, place: &str) -> Result<(), String> {
        self.space();
        if self.rest.first() != Some(&b'"') {
            return self.refuse(place);
        }
        self.string()?;
        self.space();
        if self.take(b':') {
            Ok(())
        } else {
            self.refuse("after object key")
        }
    }

    fn scalar(&mut self, place: &str) -> Result<(), String> {
        match self.rest.first() {
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.refuse(place),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for letter in word.bytes() {
            if !self.take(letter) {
                return self.refuse(&format!("in literal {word} (expecting '{}')", char::from(letter)));
            }
        }
        Ok(())
    }

    fn digits(&mut self, place: &str) -> Result<(), String> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return self.refuse(place);
        }
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit());
        self.rest = end.and_then(|end| self.rest.get(end..)).unwrap_or_default();
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.take(b'.') {
            self.digits("after decimal point in numeric literal")?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.take(b'"');
        loop {
            match self.rest.first() {
                Some(b'"') => {
                    self.take(b'"');
                    return Ok(());
                }
                Some(b'\\') => {
                    self.take(b'\\');
                    self.escape()?;
                }
                Some(0x20..) => self.rest = self.rest.get(1..).unwrap_or_default(),
                _ => return self.refuse("in string literal"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        if self.take(b'u') {
            for _ in 0..4 {
                if !self.rest.first().is_some_and(u8::is_ascii_hexdigit) {
                    return self.refuse("in \\u hexadecimal character escape");
                }
                self.rest = self.rest.get(1..).unwrap_or_default();
            }
            return Ok(());
        }
        if b"bfnrt\\/\"".iter().any(|letter| self.take(*letter)) {
            Ok(())
        } else {
            self.refuse("in string escape code")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_those_of_go() {
        for (text, error) in [
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("xyz", "invalid character 'x' looking for beginning of value"),
            ("", "unexpected end of JSON input"),
            ("{\"a\": ", "unexpected end of JSON input"),
            (
                "{a: 1}",
                "invalid character 'a' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\": 1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            (
                "\"\\u00g0\"",
                "invalid character 'g' in \\u hexadecimal character escape",
            ),
        ] {
            assert_eq!(syntax_error(text.as_bytes()).as_deref(), Some(error), "{text}");
        }
        let byte = syntax_error(&[0x9e, 0x89]);
        assert_eq!(
            byte.unwrap(),
            "invalid character '\\u009e' looking for beginning of value"
        );
        for text in ["{\"a\": [1, -0.5e+3, \"\\u00e9\\n\", true, false, null, {}, []]} ", "0"] {
            assert_eq!(syntax_error(text.as_bytes()), None, "{text}");
        }
        assert_eq!(
            syntax_error("[".repeat(100_000).as_bytes()).unwrap(),
            "exceeded max depth"
        );
    }

    #[test]
    fn what_could_end_a_script_is_escaped() {
        assert_eq!(
            written(&json!(["<a> & b\u{2028}é"])),
            "[\"\\u003ca\\u003e \\u0026 b\\u2028é\"]"
        );
    }
}
