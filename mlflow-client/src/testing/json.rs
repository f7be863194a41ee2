//! JSON as the server's Python parser reads it: keys keep their order, and bare `NaN` and `Infinity` are numbers.

use std::iter::Peekable;
use std::str::Chars;

/// Deepest nesting; beyond it the text counts as malformed.
const DEPTH: usize = 64;

/// A JSON value whose objects keep the order of their keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader {
            chars: text.chars().peekable(),
        };
        let value = reader.value(0)?;
        reader.blanks();
        reader.chars.peek().is_none().then_some(value)
    }

    /// The last value of a key, as in a Python dictionary.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries
                .iter()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// A text, empty if it was not given.
    pub(super) fn text(&self, key: &str) -> &str {
        self.given(key).unwrap_or_default()
    }

    /// A text, if it was given.
    pub(super) fn given(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Self::Int(number)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn float(&self, key: &str) -> f64 {
        match self.get(key) {
            Some(Self::Float(number)) => *number,
            _ => 0.0,
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Self::Bool(true)))
    }

    pub(super) fn list(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The texts of a list.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let text = |item: &Self| match item {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.list(key).iter().filter_map(text).collect()
    }

    /// Pairs of `key` and `value` in a list of objects.
    pub(super) fn pairs(&self, key: &str) -> Vec<(String, String)> {
        self.list(key)
            .iter()
            .map(|item| (item.text("key").to_owned(), item.text("value").to_owned()))
            .collect()
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.chars.next_if(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).is_some() {}
    }

    fn word(&mut self, word: &str) -> Option<()> {
        word.chars().all(|c| self.chars.next_if_eq(&c).is_some()).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > DEPTH {
            return None;
        }
        self.blanks();
        match *self.chars.peek()? {
            '{' => self.object(depth),
            '[' => self.list(depth),
            '"' => self.text().map(Json::Text),
            't' => self.word("true").map(|()| Json::Bool(true)),
            'f' => self.word("false").map(|()| Json::Bool(false)),
            'n' => self.word("null").map(|()| Json::Null),
            'N' => self.word("NaN").map(|()| Json::Float(f64::NAN)),
            'I' => self.word("Infinity").map(|()| Json::Float(f64::INFINITY)),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<Json> {
        let mut text = String::new();
        if let Some(sign) = self.chars.next_if_eq(&'-') {
            text.push(sign);
            if self.chars.peek() == Some(&'I') {
                return self.word("Infinity").map(|()| Json::Float(f64::NEG_INFINITY));
            }
        }
        while let Some(c) = self
            .chars
            .next_if(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        {
            text.push(c);
        }
        let digits = text.trim_start_matches('-');
        if !digits.starts_with(|c: char| c.is_ascii_digit())
            || text.ends_with('.')
            || (digits.len() > 1
                && digits.starts_with('0')
                && digits.chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        {
            return None;
        }
        text.parse()
            .map(Json::Int)
            .or_else(|_| text.parse().map(Json::Float))
            .ok()
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.chars.next();
        let mut items = Vec::new();
        self.blanks();
        if self.chars.next_if_eq(&']').is_some() {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            match self.chars.next()? {
                ',' => {}
                ']' => return Some(Json::List(items)),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.chars.next();
        let mut entries = Vec::new();
        self.blanks();
        if self.chars.next_if_eq(&'}').is_some() {
            return Some(Json::Object(entries));
        }
        loop {
            self.blanks();
            if self.chars.peek() != Some(&'"') {
                return None;
            }
            let key = self.text()?;
            self.blanks();
            self.chars.next_if_eq(&':')?;
            let value = self.value(depth + 1)?;
            entries.push((key, value));
            self.blanks();
            match self.chars.next()? {
                ',' => {}
                '}' => return Some(Json::Object(entries)),
                _ => return None,
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.next()? {
                '"' => return Some(text),
                '\\' => match self.chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'u' => text.push(self.unicode()?),
                    c @ ('"' | '\\' | '/') => text.push(c),
                    _ => return None,
                },
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |sum, _| Some(sum * 16 + self.chars.next()?.to_digit(16)?))
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.word("\\u")?;
        let second = self.hex()?.checked_sub(0xDC00)?;
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_python_reads() {
        let json = Json::parse(r#"{"b":[1,-2.5,NaN,-Infinity],"a":"\u00fc\ud83d\ude00","b2":null}"#).unwrap();
        assert_eq!(json.text("a"), "ü😀");
        assert_eq!(json.list("b").first(), Some(&Json::Int(1)));
        assert_eq!(json.list("b").get(3), Some(&Json::Float(f64::NEG_INFINITY)));
        for bad in ["", "{", "[1,]", "{\"a\" 1}", "01", "1 2", "'a'", "{a:1}"] {
            assert_eq!(Json::parse(bad), None, "{bad}");
        }
    }
}
