//! Lists: filters, order, pages.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::call::{Call, Json, unescape};
use super::go_json::syntax_error;
use super::messages::{FILTER, V1_FILTER};
use super::schema::Reader;
use super::{Generation, answer::Code};

/// A value by which rows are compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Column {
    Text(String),
    Number(i64),
}

impl Column {
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Number(number) => (*number).into(),
        }
    }

    fn from_json(value: &Value) -> Self {
        value.as_i64().map_or_else(
            || Self::Text(value.as_str().unwrap_or_default().to_owned()),
            Self::Number,
        )
    }

    /// Texts compare without case, as the database's collation has it.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.cmp(other),
            (one, other) => one.folded().cmp(&other.folded()),
        }
    }

    fn folded(&self) -> String {
        match self {
            Self::Text(text) => text.to_lowercase(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A kind of row that can be listed.
pub(super) trait Listed {
    /// The kind as error messages name it.
    const KIND: &'static str;
    /// The table, as page tokens name it.
    const TABLE: &'static str;
    /// Keys to filter and sort by.
    const KEYS: &'static [&'static str];
    /// Those of servers that know `v1beta1` alone.
    const OLD_KEYS: &'static [&'static str];
    /// Keys to filter by that do not sort.
    const UNSORTED: &'static [&'static str] = &[];
    /// Whether `tags.<key>` filters.
    const TAGGED: bool = false;

    fn id(&self) -> &str;
    /// The value of one of the keys.
    fn column(&self, key: &str) -> Column;
    /// The value of a tag.
    fn tag(&self, _key: &str) -> Option<&str> {
        None
    }
}

/// Which rows, in which order, from where on.
#[derive(Debug)]
pub(super) struct ListOptions {
    size: usize,
    sort: String,
    descending: bool,
    filter: Value,
    start: Option<(Column, String)>,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page<'a, T> {
    pub(super) rows: Vec<&'a T>,
    pub(super) token: String,
    pub(super) total: usize,
}

impl<T> Page<'_, T> {
    /// The list message, with the rows under `key`.
    pub(super) fn message(&self, key: &str, rows: Vec<Value>) -> Value {
        let total = if self.total == 0 {
            Value::Null
        } else {
            self.total.into()
        };
        let message = super::answer::Message::new().value(key, Value::Array(rows));
        message
            .value("total_size", total)
            .text("next_page_token", &self.token)
            .done()
    }
}

impl ListOptions {
    /// Reads `page_size`, `page_token`, `sort_by` and `filter`.
    pub(super) fn read<T: Listed>(call: &Call, v1: bool, generation: Generation) -> Result<Self, Refusal> {
        let size = page_size(call, generation)?;
        let filter = read_filter::<T>(call.query("filter"), v1, generation)?;
        let sort = call.query("sort_by").to_lowercase();
        let (field, descending) = read_sort::<T>(&sort, generation)?;
        let options = Self {
            size,
            sort: field,
            descending,
            filter,
            start: None,
        };
        match call.query("page_token") {
            "" => Ok(options),
            token => options.resume::<T>(token, !sort.is_empty(), generation),
        }
    }

    fn resume<T: Listed>(mut self, token: &str, sorted: bool, generation: Generation) -> Result<Self, Refusal> {
        let outer = "Failed to create list options";
        let bad = |cause: &str| {
            let short = match generation {
                Generation::V1_8 => "Invalid package token.",
                Generation::V2_5 => "Invalid package token",
                Generation::V2_17 => "Invalid page token",
            };
            Refusal::invalid_because(short, cause).context(outer)
        };
        let text = STANDARD.decode(token).map_err(|_| bad(&base64_error(token)))?;
        if let Some(cause) = syntax_error(&text) {
            return Err(bad(&cause));
        }
        let token: Value = serde_json::from_slice(&text).map_err(|error| bad(&error.to_string()))?;
        let field = token.text("SortByFieldName").to_owned();
        let descending = token.get("IsDesc").and_then(Value::as_bool).unwrap_or_default();
        let filter = token.get("Filter").cloned().unwrap_or_default();
        let given = !self.filter.is_null() && self.filter != filter;
        if given || sorted && (self.sort != field || self.descending != descending) {
            let end = if generation.has_v2() { "" } else { "." };
            let text = format!(
                "page token does not match the supplied sort by and/or filtering criteria. Either specify the same \
                 criteria or leave the latter empty if page token is specified{end}"
            );
            return Err(Refusal::invalid(text).context(outer));
        }
        if token.text("ModelName") != T::TABLE {
            return Err(self.foreign::<T>(&token, generation));
        }
        let value = token
            .get("SortByFieldValue")
            .map_or(Column::Number(0), Column::from_json);
        self.start = Some((value, token.text("KeyFieldValue").to_owned()));
        self.sort = field;
        self.descending = descending;
        self.filter = filter;
        Ok(self)
    }

    /// A token of another list makes a query that the database refuses.
    fn foreign<T: Listed>(&self, token: &Value, generation: Generation) -> Refusal {
        let (model, field) = (token.text("ModelName"), token.text("SortByFieldName"));
        let (number, state, text) = if field.is_empty() {
            let text = format!(
                "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version \
                 for the right syntax to use near 'ASC,  ASC LIMIT {}' at line 1",
                self.size + 1
            );
            ("1064", "42000", text)
        } else {
            ("1054", "42S22", format!("Unknown column '{model}.{field}' in 'WHERE'"))
        };
        let listed = match T::KIND {
            "PipelineVersion" => "pipeline versions",
            "Job" => "recurring runs",
            "Run" => "runs",
            "Experiment" => "experiments",
            "Pipeline" => "pipelines",
            _ => "tasks",
        };
        let failed = format!("Failed to list {listed}");
        if !generation.has_v2() {
            let cause = format!("Error {number}: {text}");
            let refusal = Refusal::internal(format!("{failed}: {cause}: {cause}"));
            return refusal.context(&format!("List {listed} failed."));
        }
        let cause = format!("Error {number} ({state}): {text}");
        let refusal = Refusal::internal(format!("{failed}: {cause}: {cause}"));
        refusal.context(&failed).context(&failed)
    }

    /// Cuts one page out of the rows.
    pub(super) fn page<'a, T: Listed>(&self, rows: impl Iterator<Item = &'a T>) -> Page<'a, T> {
        let mut rows: Vec<&T> = rows.filter(|row| self.matches(*row)).collect();
        let total = rows.len();
        let directed = |order: Ordering| if self.descending { order.reverse() } else { order };
        let keyed = |row: &T| (row.column(&self.sort), row.id().to_owned());
        let order = |one: &(Column, String), other: &(Column, String)| {
            directed(one.0.compare(&other.0).then_with(|| one.1.cmp(&other.1)))
        };
        rows.sort_by_cached_key(|row| OrderedBy(keyed(row), self.descending));
        if let Some(start) = &self.start {
            rows.retain(|row| order(&keyed(row), start) != Ordering::Less);
        }
        let token = rows.get(self.size).map_or_else(String::new, |next| {
            let (value, id) = keyed(next);
            let token = json!({
                "SortByFieldName": self.sort, "SortByFieldValue": value.json(), "SortByFieldPrefix": "",
                "KeyFieldName": "UUID", "KeyFieldValue": id, "KeyFieldPrefix": "", "IsDesc": self.descending,
                "ModelName": T::TABLE, "Filter": self.filter,
            });
            STANDARD.encode(token.to_string())
        });
        rows.truncate(self.size);
        Page { rows, token, total }
    }

    fn matches<T: Listed>(&self, row: &T) -> bool {
        self.filter
            .items("predicates")
            .iter()
            .all(|predicate| holds(predicate, row))
    }
}

/// A sort key that knows its direction.
#[derive(PartialEq)]
struct OrderedBy((Column, String), bool);

impl Eq for OrderedBy {}

impl PartialOrd for OrderedBy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedBy {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.0.0.compare(&other.0.0).then_with(|| self.0.1.cmp(&other.0.1));
        if self.1 { order.reverse() } else { order }
    }
}

/// The gateway reads the number, the handler its range.
fn page_size(call: &Call, generation: Generation) -> Result<usize, Refusal> {
    let text = call.query("page_size");
    if text.is_empty() {
        return Ok(20);
    }
    let size: i32 = text.parse().map_err(|error: std::num::ParseIntError| {
        let range = matches!(
            error.kind(),
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
        );
        let why = if range { "value out of range" } else { "invalid syntax" };
        let cause = format!("strconv.ParseInt: parsing {text:?}: {why}");
        Refusal::gateway(
            Code::InvalidArgument,
            match generation {
                Generation::V1_8 => cause,
                Generation::V2_5 => format!("type mismatch, parameter: page_size, error: {cause}"),
                Generation::V2_17 => format!("parsing field \"page_size\": {cause}"),
            },
        )
    })?;
    match size {
        0 => Ok(20),
        1.. => Ok(usize::try_from(size).unwrap_or(200).min(200)),
        _ => {
            // Older servers print the number as a letter, and a negative number is none.
            let shown = if generation.new_gateway() {
                size.to_string()
            } else {
                "'\u{fffd}'".to_owned()
            };
            let text = format!("The page size should be greater than 0. Got {shown}");
            Err(Refusal::invalid(text).context("Failed to create list options"))
        }
    }
}

/// What Go says of a text that is no base64.
fn base64_error(text: &str) -> String {
    let stranger = |byte: u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/' | b'=');
    let at = text.bytes().position(stranger);
    // Without one it is the last group that is not whole.
    let at = at.unwrap_or(text.len() - text.len() % 4);
    format!("illegal base64 data at input byte {at}")
}

/// The keys to sort by.
fn sorting<T: Listed>(generation: Generation) -> &'static [&'static str] {
    if generation.has_v2() { T::KEYS } else { T::OLD_KEYS }
}

fn read_sort<T: Listed>(text: &str, generation: Generation) -> Result<(String, bool), Refusal> {
    let refuse = |text: String| Err(Refusal::invalid(text).context("Failed to create list options"));
    let mut words = text.split_whitespace();
    let (field, direction) = (words.next().unwrap_or("created_at"), words.next().unwrap_or("asc"));
    if words.next().is_some() || !matches!(direction, "asc" | "desc") {
        return refuse(format!(
            "Received invalid sort by format {text:?}. Supported format: \"field_name\", \
                               \"field_name desc\", or \"field_name asc\""
        ));
    }
    let known = sorting::<T>(generation).contains(&field) || field.starts_with("metric:") && T::KIND == "Run";
    if !known {
        return refuse(format!("Invalid sorting field: {field:?} on listable type {}", T::KIND));
    }
    Ok((field.to_owned(), direction == "desc"))
}

/// Reads a filter; `Null` if there is none.
fn read_filter<T: Listed>(text: &str, v1: bool, generation: Generation) -> Result<Value, Refusal> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let refuse = |short: String| Err(Refusal::invalid(short).context("Failed to create list options"));
    let unread = |cause: String| refuse(format!("failed to parse valid filter from {text:?}: {cause}"));
    // The value was unescaped as a query already; the server does it once more.
    let plain = match unescape(text, true) {
        Ok(plain) => plain,
        Err(escape) => return unread(format!("invalid URL escape {escape:?}")),
    };
    let Ok(value) = serde_json::from_str::<Value>(&plain) else {
        if let (false, Some(cause)) = (generation.has_v2(), syntax_error(plain.as_bytes())) {
            return unread(cause);
        }
        return unread(format!("proto: syntax error (line 1:1): invalid value {plain}"));
    };
    let reader = Reader {
        source: &plain,
        strict: true,
        protojson: generation.new_gateway(),
        generation,
    };
    let filter = match reader.message(if v1 { &V1_FILTER } else { &FILTER }, &value) {
        Ok(filter) => filter,
        Err(cause) => return unread(cause),
    };
    let mut predicates = Vec::new();
    for predicate in filter.items("predicates") {
        predicates.push(check_predicate::<T>(predicate, v1, generation)?);
    }
    Ok(json!({"predicates": predicates}))
}

fn check_predicate<T: Listed>(predicate: &Value, v1: bool, generation: Generation) -> Result<Value, Refusal> {
    let refuse = |short: String| Err(Refusal::invalid(short).context("Failed to create list options"));
    let unknown = |short: &str| {
        // Servers of 1.8 call everything that they refuse here invalid.
        Err(if generation.has_v2() {
            Refusal::labelled("UnknownApiVersionError", short)
        } else {
            Refusal::invalid(short)
        }
        .context("Failed to create list options"))
    };
    let key = predicate.text("key");
    let operation = predicate.text(if v1 { "op" } else { "operation" });
    let tag = T::TAGGED && generation.new_gateway() && key.starts_with("tags.");
    let more = generation.has_v2() && T::UNSORTED.contains(&key);
    if !tag && !more && !sorting::<T>(generation).contains(&key) {
        return refuse(format!("no support for filtering on unrecognized field {key:?}"));
    }
    if tag && operation != "EQUALS" {
        let text = format!("only EQUALS operation is supported for tag filtering, got {operation} for key {key:?}");
        let list = if T::KIND == "Pipeline" {
            "pipelines"
        } else {
            "pipeline versions"
        };
        let outer = format!("Failed to list {list} due to invalid tag filter in filter spec");
        return Err(Refusal::invalid(text).context(&outer));
    }
    if matches!(operation, "" | "UNKNOWN" | "OPERATION_UNSPECIFIED") {
        return unknown("Error using Filter.Predicate.Operation with go_client.Predicate_Operation");
    }
    let Some((field, value)) = predicate
        .as_object()
        .and_then(|map| map.iter().find(|(name, _)| name.contains("_value")))
    else {
        return unknown("Error using Filter.Predicate.Value with <nil>");
    };
    if (operation == "IN") != field.ends_with("_values") {
        return refuse(format!("cannot use operator {operation} with {field} of {key:?}"));
    }
    if operation == "IS_SUBSTRING" && field != "string_value" {
        return refuse("cannot use non string value type string with operator 1".to_owned());
    }
    let value = match field.as_str() {
        "timestamp_value" => {
            let seconds = value
                .as_str()
                .and_then(|text| text.parse::<Timestamp>().ok())
                .map(Timestamp::as_second);
            seconds.unwrap_or_default().into()
        }
        _ if operation == "IN" => value.get("values").cloned().unwrap_or_else(|| json!([])),
        _ => value.clone(),
    };
    Ok(json!({"key": key, "operation": operation, "value": value}))
}

fn holds<T: Listed>(predicate: &Value, row: &T) -> bool {
    let key = predicate.text("key");
    let wanted = predicate.get("value").cloned().unwrap_or_default();
    if let Some(tag) = key.strip_prefix("tags.") {
        return row.tag(tag).is_some_and(|value| Some(value) == wanted.as_str());
    }
    let column = row.column(key);
    let order = column.compare(&Column::from_json(&wanted));
    match predicate.text("operation") {
        "EQUALS" => order.is_eq(),
        "NOT_EQUALS" => order.is_ne(),
        "GREATER_THAN" => order.is_gt(),
        "GREATER_THAN_EQUALS" => order.is_ge(),
        "LESS_THAN" => order.is_lt(),
        "LESS_THAN_EQUALS" => order.is_le(),
        "IN" => predicate
            .items("value")
            .iter()
            .any(|value| column.compare(&Column::from_json(value)).is_eq()),
        "IS_SUBSTRING" => {
            let pattern = format!("%{}%", wanted.as_str().unwrap_or_default().to_lowercase());
            like(
                &pattern.chars().collect::<Vec<_>>(),
                &column.folded().chars().collect::<Vec<_>>(),
            )
        }
        _ => false,
    }
}

/// SQL's LIKE: `%` stands for any text, `_` for one letter.
fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| text.get(skip..).is_some_and(|tail| like(rest, tail))),
        Some((wanted, rest)) => match text.split_first() {
            Some((letter, tail)) => (*wanted == '_' || wanted == letter) && like(rest, tail),
            None => false,
        },
    }
}
