//! Page tokens: base64 of `{"offset": N}`, not bound to the query.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::answer::{Handled, Refusal, empty, put, put_list};
use super::json::Json;

/// Checks how many results a page may have.
pub(super) fn limit(name: &str, given: i64, most: usize) -> Handled<usize> {
    match usize::try_from(given) {
        Ok(count) if count >= 1 && count <= most => Ok(count),
        _ => Err(Refusal::invalid(format!(
            "Invalid value {given} for parameter '{name}' supplied: It must be at least 1 and at most {most}."
        ))),
    }
}

fn offset(token: &str) -> Handled<usize> {
    if token.is_empty() {
        return Ok(0);
    }
    let garbage = || Refusal::invalid("Invalid page token, could not base64-decode");
    let bytes = STANDARD.decode(token).map_err(|_| garbage())?;
    let text = String::from_utf8(bytes).map_err(|_| garbage())?;
    let token = Json::parse(&text).ok_or_else(garbage)?;
    token
        .int("offset")
        .and_then(|offset| usize::try_from(offset).ok())
        .ok_or_else(garbage)
}

/// The token of the page after a full one, where the server gives one although nothing follows.
pub(super) fn after(token: &str, max: usize) -> Handled<String> {
    let end = offset(token)?.saturating_add(max);
    Ok(STANDARD.encode(format!("{{\"offset\": {end}}}")))
}

/// The page a token asks for, and the token of the next one if there is more.
pub(super) fn slice<T>(items: Vec<T>, max: usize, token: &str) -> Handled<(Vec<T>, Option<String>)> {
    let from = offset(token)?;
    let end = from.saturating_add(max);
    let next = (items.len() > end).then(|| STANDARD.encode(format!("{{\"offset\": {end}}}")));
    Ok((items.into_iter().skip(from).take(max).collect(), next))
}

/// A page without a check of its size, which may be 0 or less.
pub(super) fn any_slice<T>(items: Vec<T>, max: i64, token: &str) -> Handled<(Vec<T>, Option<String>)> {
    if let Ok(count @ 1..) = usize::try_from(max) {
        return slice(items, count, token);
    }
    let end = i64::try_from(offset(token)?).unwrap_or(i64::MAX).saturating_add(max);
    let more = end < 0 || usize::try_from(end).is_ok_and(|end| items.len() > end);
    Ok((
        Vec::new(),
        more.then(|| STANDARD.encode(format!("{{\"offset\": {end}}}"))),
    ))
}

/// A token that holds what it was made for.
pub(super) fn bind(token: &str, to: &str) -> String {
    STANDARD.encode(json!({"token": token, "of": to}).to_string())
}

/// Such a token, and what it was made for; none if it is none.
pub(super) fn unbind(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let json = Json::parse(&text)?;
    Some((json.given("token")?.to_owned(), json.given("of")?.to_owned()))
}

/// A page as an answer.
pub(super) fn answer(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut value = empty();
    put_list(&mut value, name, items);
    put(&mut value, "next_page_token", next.map(|token| json!(token)));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_without_a_token() {
        let (items, next) = slice((0..4).collect(), 2, "").unwrap();
        assert_eq!(items, [0, 1]);
        let (items, next) = slice((0..4).collect(), 2, &next.unwrap()).unwrap();
        assert_eq!((items, next), (vec![2, 3], None));
        assert!(slice(vec![1], 1, "garbage!").is_err());
        assert!(limit("max_results", 0, 5).is_err() && limit("max_results", 6, 5).is_err());
    }
}
