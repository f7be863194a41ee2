//! The subset of CEL in which the SDK writes conditions.
//!
//! Comparisons, `&&`, `||`, `!`, parentheses, `inputs.parameter_values['x']`, literals, casts by `int()`, `double()`,
//! `string()` and `bool()`, and `in` with a list.

use serde_json::{Map, Value};

/// Evaluates a condition over the inputs of a task.
pub(super) fn condition(text: &str, parameters: &Map<String, Value>) -> Result<bool, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        parameters,
    };
    let value = parser.either()?;
    if parser.at != tokens.len() {
        return Err(format!("cannot read condition {text:?}"));
    }
    value
        .as_bool()
        .ok_or_else(|| format!("condition {text:?} is no boolean"))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Number(f64),
    Word(String),
    Mark(&'static str),
}

const MARKS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "-",
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let (value, tail) = quoted(rest, first).ok_or_else(|| format!("unclosed text in condition {text:?}"))?;
            found.push(Token::Text(value));
            rest = tail;
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(end);
            found.push(Token::Number(
                number.parse().map_err(|_| format!("bad number {number:?}"))?,
            ));
            rest = tail;
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            found.push(Token::Word(word.to_owned()));
            rest = tail;
        } else {
            let mark = MARKS.iter().find(|mark| rest.starts_with(**mark));
            let mark = mark.ok_or_else(|| format!("unexpected {first:?} in condition {text:?}"))?;
            found.push(Token::Mark(mark));
            rest = rest.get(mark.len()..).unwrap_or_default();
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                other => out.push(other),
            },
            _ if letter == quote => return Some((out, text.get(at + 1..)?)),
            _ => out.push(letter),
        }
    }
    None
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    parameters: &'a Map<String, Value>,
}

impl Parser<'_> {
    fn take(&mut self, mark: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Mark(found)) if *found == mark);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.take(mark) {
            Ok(())
        } else {
            Err(format!("condition lacks {mark:?}"))
        }
    }

    fn either(&mut self) -> Result<Value, String> {
        let mut value = self.both()?;
        while self.take("||") {
            let other = self.both()?;
            value = (truth(&value)? || truth(&other)?).into();
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<Value, String> {
        let mut value = self.comparison()?;
        while self.take("&&") {
            let other = self.comparison()?;
            value = (truth(&value)? && truth(&other)?).into();
        }
        Ok(value)
    }

    fn comparison(&mut self) -> Result<Value, String> {
        let left = self.unary()?;
        for mark in ["==", "!=", "<=", ">=", "<", ">"] {
            if self.take(mark) {
                let right = self.unary()?;
                return compare(mark, &left, &right).map(Value::Bool);
            }
        }
        if self.tokens.get(self.at) == Some(&Token::Word("in".to_owned())) {
            self.at += 1;
            let right = self.unary()?;
            let list = right.as_array().ok_or("right side of `in` is no list")?;
            return Ok(list.iter().any(|element| equal(element, &left)).into());
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Value, String> {
        if self.take("!") {
            return Ok((!truth(&self.unary()?)?).into());
        }
        if self.take("-") {
            let value = self.unary()?;
            return value
                .as_f64()
                .map(|number| (-number).into())
                .ok_or_else(|| "minus before no number".to_owned());
        }
        let mut value = self.primary()?;
        while self.take("[") {
            let key = self.either()?;
            self.expect("]")?;
            let next = match &key {
                Value::String(name) => value.get(name.as_str()),
                other => other.as_f64().and_then(|at| value.get(index(at)?)),
            };
            value = next.cloned().ok_or_else(|| format!("no such key: {key}"))?;
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Value, String> {
        if self.take("(") {
            let value = self.either()?;
            self.expect(")")?;
            return Ok(value);
        }
        if self.take("[") {
            let mut list = Vec::new();
            while !self.take("]") {
                list.push(self.either()?);
                self.take(",");
            }
            return Ok(Value::Array(list));
        }
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Ok(text.into()),
            Some(Token::Number(number)) => Ok(number.into()),
            Some(Token::Word(word)) => self.word(&word),
            other => Err(format!("unexpected {other:?} in condition")),
        }
    }

    fn word(&mut self, word: &str) -> Result<Value, String> {
        match word {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            "null" => Ok(Value::Null),
            "inputs" => self.input(),
            "int" | "double" | "string" | "bool" | "size" => {
                self.expect("(")?;
                let value = self.either()?;
                self.expect(")")?;
                cast(word, &value)
            }
            other => Err(format!("unknown name {other:?} in condition")),
        }
    }

    /// `inputs.parameter_values['x']`, or the older `inputs.parameters['x'].string_value`.
    fn input(&mut self) -> Result<Value, String> {
        self.expect(".")?;
        self.at += 1;
        self.expect("[")?;
        let name = self.either()?;
        self.expect("]")?;
        if self.take(".") {
            self.at += 1;
        }
        let name = name.as_str().unwrap_or_default();
        self.parameters
            .get(name)
            .cloned()
            .ok_or_else(|| format!("no such key: {name}"))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a small whole number"
)]
fn index(at: f64) -> Option<usize> {
    (at >= 0.0 && at.fract() == 0.0 && at < 1e9).then_some(at as usize)
}

fn truth(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{value} is no boolean"))
}

fn cast(kind: &str, value: &Value) -> Result<Value, String> {
    let number = || {
        value
            .as_f64()
            .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
    };
    let found = match kind {
        "int" => number().map(|number| number.trunc().into()),
        "double" => number().map(Into::into),
        "bool" => value
            .as_bool()
            .or_else(|| value.as_str().and_then(|text| text.to_lowercase().parse().ok()))
            .map(Into::into),
        "size" => value
            .as_str()
            .map(|text| text.chars().count().into())
            .or_else(|| value.as_array().map(|list| list.len().into())),
        _ => Some(super::values::text_of(&crate::testing::schema::doubles(value)).into()),
    };
    found.ok_or_else(|| format!("cannot make {value} a {kind}"))
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() < f64::EPSILON * left.abs().max(1.0),
        _ => left == right,
    }
}

fn compare(mark: &str, left: &Value, right: &Value) -> Result<bool, String> {
    if mark == "==" || mark == "!=" {
        return Ok(equal(left, right) == (mark == "=="));
    }
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => left
            .as_f64()
            .zip(right.as_f64())
            .and_then(|(left, right)| left.partial_cmp(&right)),
    };
    let order = order.ok_or_else(|| format!("no such overload: {left} {mark} {right}"))?;
    Ok(match mark {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::condition;

    fn holds(text: &str) -> Result<bool, String> {
        let inputs = json!({"x": "heads", "n": 7, "r": 0.5, "b": true});
        condition(text, inputs.as_object().unwrap())
    }

    #[test]
    fn conditions_as_the_sdk_writes_them() {
        for text in [
            "inputs.parameter_values['x'] == 'heads'",
            "!(inputs.parameter_values['x'] == 'tails') && inputs.parameter_values['n'] > 5",
            "int(inputs.parameter_values['n']) >= 7 || false",
            "inputs.parameter_values['r'] < 0.8",
            "inputs.parameter_values['b'] == true",
            "string(inputs.parameter_values['n']) == '7'",
            "inputs.parameters['x'].string_value == \"heads\"",
            "inputs.parameter_values['x'] in ['heads', 'tails']",
            "-1 < 0",
        ] {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
    }

    #[test]
    fn bad_conditions_are_errors() {
        for text in [
            "",
            "inputs.parameter_values['none'] == 1",
            "1 < 'a'",
            "1 ==",
            "'open",
            "n; m",
            "1",
        ] {
            assert!(holds(text).is_err(), "{text}");
        }
    }
}
