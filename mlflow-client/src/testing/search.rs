//! The grammar of filters and orders: `clause (AND clause)*` and `key [ASC|DESC]`.

use std::cmp::Ordering;

use super::answer::{Handled, Refusal};
use super::state::Generation;

/// The tag of models and versions that are prompts.
pub(super) const PROMPT: &str = "mlflow.prompt.is_prompt";

/// What is searched: it decides which names and operators are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Runs,
    Experiments,
    Models,
    Versions,
    LoggedModels,
}

/// A value that a filter or order looks at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    Int(i64),
    Float(f64),
    /// Any of these may match.
    Any(Vec<String>),
    /// Any of these may match; the last counts in orders.
    Numbers(Vec<f64>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A word, with its parts between dots; quotes are gone.
    Name(String),
    /// With its quotation mark.
    Text(String, char),
    Number(f64),
    Operator(String),
    Open,
    Close,
    Comma,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Number(f64),
    List(Vec<String>),
    None,
}

#[derive(Debug, Clone)]
struct Clause {
    entity: &'static str,
    key: String,
    operator: String,
    literal: Literal,
    /// Version 2 compares NaN as it stores it.
    nan_is_zero: bool,
}

/// A checked filter with its order.
#[derive(Debug, Clone)]
pub(super) struct Search {
    clauses: Vec<Clause>,
    order: Vec<(&'static str, String, bool)>,
}

fn bad(what: &str) -> Refusal {
    Refusal::invalid(format!("Invalid clause(s) in filter string: {what}"))
}

fn tokens(text: &str) -> Handled<Vec<Token>> {
    let mut chars = text.chars().peekable();
    let mut found = Vec::new();
    while let Some(&c) = chars.peek() {
        match c {
            c if c.is_whitespace() => {
                chars.next();
            }
            '\'' => {
                chars.next();
                found.push(Token::Text(quoted(&mut chars, '\'')?, '\''));
            }
            '=' | '!' | '<' | '>' => {
                let mut operator = String::new();
                while let Some(c) = chars.next_if(|c| matches!(c, '=' | '!' | '<' | '>')) {
                    operator.push(c);
                }
                found.push(Token::Operator(operator));
            }
            '(' | ')' | ',' => {
                chars.next();
                found.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
            }
            '0'..='9' | '-' | '+' => {
                let mut number = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')) {
                    number.push(c);
                }
                // A plus sign is no part of a number.
                let readable = number.parse().ok().filter(|_| !number.contains('+'));
                found.push(Token::Number(readable.ok_or_else(|| bad(&number))?));
            }
            // A whole text in double quotes is a string, unless a name goes on after it.
            '"' => {
                chars.next();
                found.push(Token::Text(quoted(&mut chars, '"')?, '"'));
            }
            _ => {
                let mut name = String::new();
                while let Some(&c) = chars.peek() {
                    match c {
                        '`' | '"' => {
                            chars.next();
                            name.push_str(&quoted(&mut chars, c)?);
                        }
                        c if c.is_whitespace() || "='!<>(),;".contains(c) => break,
                        c => {
                            chars.next();
                            name.push(c);
                        }
                    }
                }
                if name.is_empty() {
                    return Err(bad(text));
                }
                found.push(Token::Name(name));
            }
        }
    }
    Ok(found)
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, end: char) -> Handled<String> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some(c) if c == end => return Ok(text),
            Some(c) => text.push(c),
            None => return Err(bad("a quote is not closed")),
        }
    }
}

fn word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Name(name) if name.eq_ignore_ascii_case(word))
}

impl Search {
    pub(super) fn new(scope: Scope, generation: Generation, filter: &str, order: &[String]) -> Handled<Self> {
        let mut search = Self {
            clauses: Vec::new(),
            order: Vec::new(),
        };
        if !filter.is_empty() {
            let tokens = tokens(filter)?;
            if tokens.is_empty() {
                return Err(bad("it is blank"));
            }
            for part in tokens.split(|token| word(token, "and")).filter(|part| !part.is_empty()) {
                search.clauses.push(clause(scope, generation, part)?);
            }
        }
        for item in order {
            let (entity, key, descending) = order_item(scope, item)?;
            if scope == Scope::Runs
                && search
                    .order
                    .iter()
                    .any(|(known, name, _)| *known == entity && *name == key)
            {
                return Err(Refusal::internal(format!(
                    "`order_by` contains duplicate fields: {order:?}"
                )));
            }
            search.order.push((entity, key, descending));
        }
        Ok(search)
    }

    pub(super) fn ordered(&self) -> bool {
        !self.order.is_empty()
    }

    /// Whether the filter asks for prompts, which are kept among the models. If not, what it says about them is dropped:
    /// the caller is to leave them out.
    pub(super) fn takes_prompts(&mut self) -> bool {
        let about = |clause: &Clause| clause.entity == "tag" && clause.key == PROMPT;
        let asked = self.clauses.iter().find(|clause| about(clause)).is_some_and(|clause| {
            let Literal::Text(text) = &clause.literal else {
                return false;
            };
            (clause.operator == "=" && text.eq_ignore_ascii_case("true"))
                || (clause.operator == "!=" && text.eq_ignore_ascii_case("false"))
        });
        if !asked {
            self.clauses.retain(|clause| !about(clause));
        }
        asked
    }

    pub(super) fn accepts(&self, cell: impl Fn(&str, &str) -> Option<Cell>) -> bool {
        self.clauses
            .iter()
            .all(|clause| clause.accepts(cell(clause.entity, &clause.key)))
    }

    /// Compares two things by the order; missing values and NaN come last in both directions.
    pub(super) fn compare(&self, cells: impl Fn(&str, &str) -> (Option<Cell>, Option<Cell>)) -> Ordering {
        for (entity, key, descending) in &self.order {
            let (a, b) = cells(entity, key);
            let class = |cell: &Option<Cell>| match cell {
                None => 2,
                Some(Cell::Float(number)) if number.is_nan() => 1,
                Some(_) => 0,
            };
            let ordering = class(&a).cmp(&class(&b)).then_with(|| {
                let ordering = match (&a, &b) {
                    (Some(Cell::Text(a)), Some(Cell::Text(b))) => a.cmp(b),
                    (Some(Cell::Int(a)), Some(Cell::Int(b))) => a.cmp(b),
                    (Some(Cell::Float(a)), Some(Cell::Float(b))) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
                    (Some(Cell::Numbers(a)), Some(Cell::Numbers(b))) => {
                        a.last().partial_cmp(&b.last()).unwrap_or(Ordering::Equal)
                    }
                    _ => Ordering::Equal,
                };
                if *descending { ordering.reverse() } else { ordering }
            });
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

/// The entity and key that a name stands for.
fn resolve(scope: Scope, name: &str) -> Handled<(&'static str, String)> {
    let (prefix, key) = match name.split_once('.') {
        Some((prefix, key)) => (prefix, key),
        None => ("attribute", name),
    };
    let entity = match (scope, prefix) {
        (Scope::Runs, "metric" | "metrics") | (Scope::LoggedModels, "metrics") => "metric",
        (Scope::Runs, "param" | "params" | "parameter" | "parameters") | (Scope::LoggedModels, "params") => "param",
        (Scope::LoggedModels, "tag") => "",
        (_, "tag" | "tags") => "tag",
        (Scope::Runs, "dataset" | "datasets") => "dataset",
        (Scope::Runs, "attribute" | "attributes" | "attr" | "run")
        | (Scope::LoggedModels, "attribute" | "attributes")
        | (_, "attribute") => "attribute",
        _ => "",
    };
    if entity.is_empty() || (key.is_empty() && entity == "attribute") {
        return Err(Refusal::invalid(format!(
            "Invalid entity type '{prefix}' in filter or order '{name}'"
        )));
    }
    let key = match (scope, entity, key) {
        (Scope::Runs, "attribute", "Run name" | "run name" | "Run Name") => "run_name",
        (Scope::Runs, "attribute", "Created") => "start_time",
        (_, _, key) => key,
    };
    let known: &[&str] = match (scope, entity) {
        (Scope::Runs, "attribute") => &[
            "run_id",
            "run_name",
            "status",
            "user_id",
            "artifact_uri",
            "start_time",
            "end_time",
        ],
        (Scope::Runs, "dataset") => &["name", "digest", "context"],
        (Scope::Experiments, "attribute") => &["name", "experiment_id", "creation_time", "last_update_time"],
        (Scope::Models, "attribute") => &["name", "timestamp", "last_updated_timestamp"],
        (Scope::Versions, "attribute") => &[
            "name",
            "run_id",
            "source_path",
            "version_number",
            "creation_timestamp",
            "last_updated_timestamp",
        ],
        (Scope::LoggedModels, "attribute") => &[
            "name",
            "model_id",
            "model_type",
            "status",
            "source_run_id",
            "creation_timestamp",
            "creation_time",
            "creation_timestamp_ms",
            "last_updated_timestamp",
            "last_updated_timestamp_ms",
            "experiment_id",
        ],
        _ => return Ok((entity, key.to_owned())),
    };
    if !known.contains(&key) {
        if scope == Scope::LoggedModels {
            return Err(Refusal::internal(format!("Unknown attribute {key}")));
        }
        return Err(Refusal::invalid(format!(
            "Invalid attribute key '{key}' specified. Valid keys are {known:?}"
        )));
    }
    Ok((entity, key.to_owned()))
}

/// Whether a key holds a number.
fn numeric(entity: &str, key: &str) -> bool {
    entity == "metric"
        || (entity == "attribute"
            && matches!(
                key,
                "start_time"
                    | "end_time"
                    | "creation_time"
                    | "last_update_time"
                    | "version_number"
                    | "creation_timestamp"
                    | "creation_timestamp_ms"
                    | "last_updated_timestamp"
                    | "last_updated_timestamp_ms"
                    | "timestamp"
            ))
}

/// Whether a key takes `IN`.
fn takes_in(scope: Scope, entity: &str, key: &str) -> bool {
    matches!(
        (scope, entity, key),
        (Scope::Runs, "attribute", "run_id")
            | (Scope::Runs, "dataset", _)
            | (Scope::Experiments, "attribute", "experiment_id")
            | (Scope::Models, "attribute", "name")
            | (Scope::LoggedModels, "attribute" | "param" | "tag", _)
            | (Scope::Versions, "attribute", "name" | "run_id")
    )
}

fn clause(scope: Scope, generation: Generation, part: &[Token]) -> Handled<Clause> {
    let (Some(Token::Name(name)), rest) = (part.first(), part.get(1..).unwrap_or_default()) else {
        return Err(bad(&format!("{part:?}")));
    };
    if scope == Scope::LoggedModels && rest.len() < 2 {
        return Err(bad(name));
    }
    let (entity, key) = resolve(scope, name)?;
    let (operator, rest) = match rest {
        [Token::Operator(operator), rest @ ..] => (operator.clone(), rest),
        [is, not, null] if word(is, "is") && word(not, "not") && word(null, "null") => {
            ("IS NOT NULL".to_owned(), [].as_slice())
        }
        [is, null] if word(is, "is") && word(null, "null") => ("IS NULL".to_owned(), [].as_slice()),
        [not, then, rest @ ..] if word(not, "not") && word(then, "in") => ("NOT IN".to_owned(), rest),
        [Token::Name(operator), rest @ ..] => (operator.to_ascii_uppercase(), rest),
        _ => return Err(bad(name)),
    };
    let literal = match rest {
        [] => Literal::None,
        // A condition without an AND before it is not looked at.
        [Token::Text(text, _), Token::Name(next), Token::Operator(_), ..] if next.contains('.') => {
            Literal::Text(text.clone())
        }
        [Token::Text(text, _)] => Literal::Text(text.clone()),
        [Token::Number(number)] => Literal::Number(*number),
        [Token::Open, items @ .., Token::Close] => {
            let mut list = Vec::new();
            for (at, item) in items.iter().enumerate() {
                match item {
                    // Version 2 knows one kind of quotation marks here.
                    Token::Text(_, '"') if !generation.is_3() => return Err(bad(name)),
                    Token::Text(text, _) if at % 2 == 0 => list.push(text.clone()),
                    Token::Comma if at % 2 == 1 => {}
                    _ => return Err(bad(name)),
                }
            }
            if list.is_empty() {
                return Err(bad(name));
            }
            Literal::List(list)
        }
        _ => return Err(bad(name)),
    };
    let number = numeric(entity, &key);
    let nullable = matches!(
        (scope, entity),
        (Scope::Runs, "param" | "tag") | (Scope::Experiments, "tag")
    );
    let null = matches!(operator.as_str(), "IS NULL" | "IS NOT NULL");
    if null && !generation.is_3() {
        return Err(bad(name));
    }
    if matches!(scope, Scope::Models | Scope::Versions) && null {
        return Err(Refusal::Page(500));
    }
    // The life cycle's number is the only attribute of logged models that is compared as a number by its text.
    let status = scope == Scope::LoggedModels && entity == "attribute" && key == "status";
    let good = match (operator.as_str(), &literal) {
        ("=" | "!=", Literal::Number(_)) if scope == Scope::LoggedModels && entity == "attribute" => true,
        ("=" | "!=", Literal::Number(_)) => number || status,
        (">" | ">=" | "<" | "<=", Literal::Text(text)) if scope == Scope::Versions => {
            key == "version_number" && text.parse::<i64>().is_ok()
        }
        (">" | ">=" | "<" | "<=", Literal::Number(_)) => number,
        // Numbers of versions may be quoted.
        ("=" | "!=", Literal::Text(text)) => {
            !number || (key == "version_number" && (text.parse::<i64>().is_ok() || !generation.is_3()))
        }
        ("LIKE" | "ILIKE", Literal::Text(_)) => !number && key != "experiment_id",
        ("IN" | "NOT IN", Literal::List(_)) => {
            takes_in(scope, entity, &key)
                && (generation.is_3() || !matches!(scope, Scope::Models | Scope::Versions) || key != "name")
        }
        ("IS NULL" | "IS NOT NULL", Literal::None) => nullable,
        _ => false,
    };
    if scope == Scope::LoggedModels && entity == "metric" && matches!(literal, Literal::Text(_)) {
        return Err(Refusal::internal("could not convert string to float"));
    }
    let unsearched = match scope {
        Scope::Models => number,
        Scope::Versions => number && key != "version_number",
        Scope::Experiments => key == "experiment_id" && entity == "attribute" && !generation.is_3(),
        _ => false,
    };
    if !good || unsearched {
        return Err(Refusal::invalid(format!(
            "Invalid comparator '{operator}' or value for '{name}' in filter string"
        )));
    }
    Ok(Clause {
        entity,
        key,
        operator,
        literal,
        nan_is_zero: !generation.is_3(),
    })
}

fn order_item(scope: Scope, item: &str) -> Handled<(&'static str, String, bool)> {
    let refuse = || Refusal::invalid(format!("Invalid order_by clause '{item}'."));
    let trimmed = item.trim();
    let (name, descending) = match trimmed.rsplit_once(char::is_whitespace) {
        Some((name, direction)) if direction.eq_ignore_ascii_case("desc") => (name.trim(), true),
        Some((name, direction)) if direction.eq_ignore_ascii_case("asc") => (name.trim(), false),
        _ => (trimmed, false),
    };
    // Quotes belong around the key, not around the whole.
    if name.starts_with(['`', '"']) && name.contains('.') {
        return Err(refuse());
    }
    let name: String = name.chars().filter(|c| !matches!(c, '`' | '"')).collect();
    let quoted = trimmed.contains(['`', '"']);
    if name.is_empty() && scope == Scope::LoggedModels {
        return Err(Refusal::UnknownAttribute("Invalid order by field name: ".to_owned()));
    }
    if name.is_empty() || name.contains(',') || (!quoted && name.contains(char::is_whitespace)) {
        return Err(refuse());
    }
    let prefixed_alias = name.contains('.') && name.contains(' ') && scope == Scope::Runs && name.starts_with("attr");
    if prefixed_alias {
        return Err(refuse());
    }
    if scope == Scope::LoggedModels {
        let entity = name.split_once('.').map(|(entity, _)| entity);
        match entity {
            Some("metrics") => {}
            Some(_) => return Err(refuse()),
            None if resolve(scope, &name).is_err() => {
                return Err(Refusal::UnknownAttribute(format!(
                    "Invalid order by field name: {name}"
                )));
            }
            None => {}
        }
        let (entity, key) = resolve(scope, &name)?;
        return Ok((entity, key, descending));
    }
    let (entity, key) = resolve(scope, &name).map_err(|_| refuse())?;
    let good = match scope {
        Scope::Runs => entity != "dataset",
        Scope::Versions => entity == "attribute" && !matches!(key.as_str(), "run_id" | "source_path"),
        _ => entity == "attribute",
    };
    if !good {
        return Err(refuse());
    }
    Ok((entity, key, descending))
}

impl Clause {
    fn accepts(&self, cell: Option<Cell>) -> bool {
        match self.operator.as_str() {
            "IS NULL" => return cell.is_none(),
            "IS NOT NULL" => return cell.is_some(),
            _ => {}
        }
        match cell {
            None => false,
            Some(Cell::Any(values)) => values.iter().any(|value| self.text(value)),
            Some(Cell::Text(value)) => self.text(&value),
            #[expect(clippy::cast_precision_loss, reason = "a filter's number is a double as well")]
            Some(Cell::Int(value)) => self.number(value as f64),
            Some(Cell::Numbers(values)) => values.iter().any(|value| self.number(*value)),
            Some(Cell::Float(value)) if value.is_nan() && self.nan_is_zero => self.number(0.0),
            Some(Cell::Float(value)) if value.is_nan() => self.operator == "!=",
            Some(Cell::Float(value)) => self.number(value),
        }
    }

    fn text(&self, value: &str) -> bool {
        match (self.operator.as_str(), &self.literal) {
            ("=", Literal::Text(text)) => value == text,
            ("!=", Literal::Text(text)) => value != text,
            ("LIKE", Literal::Text(pattern)) => like(value, pattern),
            ("ILIKE", Literal::Text(pattern)) => like(&value.to_lowercase(), &pattern.to_lowercase()),
            ("IN", Literal::List(list)) => list.iter().any(|item| item == value),
            ("NOT IN", Literal::List(list)) => list.iter().all(|item| item != value),
            ("=", Literal::Number(number)) => value.parse::<f64>().is_ok_and(|value| same(value, *number)),
            ("!=", Literal::Number(number)) => value.parse::<f64>().is_ok_and(|value| !same(value, *number)),
            _ => false,
        }
    }

    fn number(&self, value: f64) -> bool {
        let number = match &self.literal {
            Literal::Number(number) => *number,
            Literal::Text(text) => text.parse().unwrap_or(f64::NAN),
            _ => return false,
        };
        match self.operator.as_str() {
            "=" => same(value, number),
            "!=" => !same(value, number),
            ">" => value > number,
            ">=" => value >= number,
            "<" => value < number,
            _ => value <= number,
        }
    }
}

fn same(a: f64, b: f64) -> bool {
    a.partial_cmp(&b) == Some(Ordering::Equal)
}

/// SQL's LIKE, with case: `%` is any text, `_` one character.
fn like(value: &str, pattern: &str) -> bool {
    let value: Vec<char> = value.chars().collect();
    // Which lengths of the value's beginning the pattern so far matches.
    let mut reach = vec![false; value.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for p in pattern.chars() {
        let mut next = vec![false; value.len() + 1];
        let mut open = false;
        for (at, slot) in next.iter_mut().enumerate() {
            if p == '%' {
                open |= reach.get(at).copied().unwrap_or(false);
                *slot = open;
            } else if let Some(before) = at.checked_sub(1) {
                let fits = value.get(before).is_some_and(|c| p == '_' || *c == p);
                *slot = fits && reach.get(before).copied().unwrap_or(false);
            }
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(entity: &str, key: &str) -> Option<Cell> {
        match (entity, key) {
            ("metric", "loss") => Some(Cell::Float(0.5)),
            ("metric", "nan") => Some(Cell::Float(f64::NAN)),
            ("param", "a.b") => Some(Cell::Text("x y".to_owned())),
            ("tag", "my tag") => Some(Cell::Text("Value".to_owned())),
            ("attribute", "status") => Some(Cell::Text("FINISHED".to_owned())),
            ("attribute", "run_id") => Some(Cell::Text("r1".to_owned())),
            ("attribute", "start_time") => Some(Cell::Int(7)),
            _ => None,
        }
    }

    #[test]
    fn filters_select() {
        for good in [
            "",
            "metrics.loss < 1 and params.a.b = 'x y'",
            "metrics.nan != 3",
            "params.`a.b` LIKE 'x%'",
            "tags.\"my tag\" ILIKE 'VAL_E' AND",
            "status = \"FINISHED\"",
            "run_id IN ('r1', 'r2')",
            "attributes.start_time >= 7",
            "params.none IS NULL",
        ] {
            assert!(
                Search::new(Scope::Runs, Generation::Three, good, &[])
                    .unwrap()
                    .accepts(cells),
                "{good}"
            );
        }
        for no in [
            "metrics.none != 1",
            "metrics.nan = 3",
            "params.a.b = 'X y'",
            "run_id NOT IN ('r1')",
        ] {
            assert!(
                !Search::new(Scope::Runs, Generation::Three, no, &[])
                    .unwrap()
                    .accepts(cells),
                "{no}"
            );
        }
    }

    #[test]
    fn other_filters_are_refused() {
        for bad in [
            " ",
            "metrics.loss < 1 or metrics.loss > 2",
            "(metrics.loss < 1)",
            "METRICS.loss < 1",
            "metrics.loss = 'a'",
            "params.a = 1",
            "lifecycle_stage = 'active'",
            "status IN ('a')",
            "metrics.loss IS NULL",
            "params.a = 'x",
            "metrics.loss",
        ] {
            assert!(Search::new(Scope::Runs, Generation::Three, bad, &[]).is_err(), "{bad}");
        }
    }
}
