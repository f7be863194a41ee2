//! Webhooks. They are kept and never called.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use url::{Host, Url};
use uuid::Uuid;

use super::answer::{Handled, Refusal, empty, put};
use super::json::Json;
use super::page;
use super::schema::Field;
use super::state::{State, Webhook, now};

const ENTITIES: &[(&str, i64)] = &[
    ("REGISTERED_MODEL", 1),
    ("MODEL_VERSION", 2),
    ("MODEL_VERSION_TAG", 3),
    ("MODEL_VERSION_ALIAS", 4),
    ("PROMPT", 5),
    ("PROMPT_VERSION", 6),
    ("PROMPT_TAG", 7),
    ("PROMPT_VERSION_TAG", 8),
    ("PROMPT_ALIAS", 9),
    ("BUDGET_POLICY", 10),
];
const ACTIONS: &[(&str, i64)] = &[
    ("CREATED", 1),
    ("UPDATED", 2),
    ("DELETED", 3),
    ("SET", 4),
    ("EXCEEDED", 5),
];
const STATUS: &[(&str, i64)] = &[("ACTIVE", 1), ("DISABLED", 2)];
const EVENT: &[Field] = &[Field::choice("entity", ENTITIES), Field::choice("action", ACTIONS)];
pub(super) const CREATE: &[Field] = &[
    Field::text("name").required(),
    Field::text("description"),
    Field::text("url").required(),
    Field::message("events", EVENT).list().required(),
    Field::text("secret"),
    Field::choice("status", STATUS),
];
pub(super) const UPDATE: &[Field] = &[
    Field::text("name"),
    Field::text("description"),
    Field::text("url"),
    Field::message("events", EVENT).list(),
    Field::text("secret"),
    Field::choice("status", STATUS),
];
pub(super) const LIST: &[Field] = &[Field::int("max_results"), Field::text("page_token")];

fn document(webhook: &Webhook) -> Value {
    let mut value = json!({
        "webhook_id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "status": webhook.status,
        "creation_timestamp": webhook.created,
        "last_updated_timestamp": webhook.updated,
    });
    let description = (!webhook.description.is_empty()).then(|| json!(webhook.description));
    put(&mut value, "description", description);
    value
}

fn check_name(name: &str) -> Handled<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.len() > 63 || !name.chars().all(good) || !ends(name.chars().next()) || !ends(name.chars().last()) {
        return Err(Refusal::invalid(format!(
            "Webhook name '{name}' is invalid. It must start and end with a letter or digit, be less than 63 characters long, \
             and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
        )));
    }
    Ok(())
}

/// Names are taken without being resolved, which the server does; addresses must be public.
fn check_url(text: &str) -> Handled<()> {
    let refuse = |why: &str| Refusal::invalid(format!("Invalid webhook URL {text:?}: {why}"));
    let url = Url::parse(text).map_err(|_| refuse("it cannot be read"))?;
    if url.scheme() != "https" {
        return Err(refuse("the scheme must be one of ['https']"));
    }
    let public = match url.host() {
        Some(Host::Domain(name)) => name != "localhost",
        Some(Host::Ipv4(address)) => is_public(address),
        Some(Host::Ipv6(address)) => {
            let IpAddr::V6(address) = IpAddr::V6(address) else {
                return Err(refuse("the host is not public"));
            };
            !address.is_loopback()
                && !address.is_unspecified()
                && (address.segments().first().unwrap_or(&0) & 0xfe00) != 0xfc00
        }
        None => false,
    };
    if public {
        Ok(())
    } else {
        Err(refuse("the host is not public"))
    }
}

fn is_public(address: Ipv4Addr) -> bool {
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation())
}

fn check_events(request: &Json) -> Handled<Vec<Value>> {
    let mut events: Vec<Value> = Vec::new();
    for event in request.list("events") {
        // What is not known is not read, and the server chokes on what is left.
        let (Some(entity), Some(action)) = (event.given("entity"), event.given("action")) else {
            return Err(Refusal::Page(500));
        };
        let good = match entity {
            "REGISTERED_MODEL" | "MODEL_VERSION" | "PROMPT" | "PROMPT_VERSION" => action == "CREATED",
            "MODEL_VERSION_TAG" | "PROMPT_TAG" | "PROMPT_VERSION_TAG" => matches!(action, "SET" | "DELETED"),
            "MODEL_VERSION_ALIAS" | "PROMPT_ALIAS" => matches!(action, "CREATED" | "DELETED"),
            _ => action == "EXCEEDED",
        };
        if !good {
            return Err(Refusal::invalid(format!(
                "Invalid action '{action}' for entity '{entity}'."
            )));
        }
        events.push(json!({"entity": entity, "action": action}));
    }
    Ok(events)
}

fn missing(id: &str) -> Refusal {
    Refusal::missing(format!("Webhook with ID {id} not found."))
}

pub(super) fn create(state: &mut State, request: &Json) -> Handled {
    let events = check_events(request)?;
    check_name(request.text("name"))?;
    check_url(request.text("url"))?;
    if events.is_empty() {
        return Err(Refusal::invalid("Webhook events cannot be empty"));
    }
    let now = now();
    let webhook = Webhook {
        id: Uuid::new_v4().to_string(),
        name: request.text("name").to_owned(),
        url: request.text("url").to_owned(),
        description: request.text("description").to_owned(),
        events,
        status: request.given("status").unwrap_or("ACTIVE").to_owned(),
        created: now,
        updated: now,
    };
    let answer = json!({"webhook": document(&webhook)});
    state.space.webhooks.push(webhook);
    Ok(answer)
}

pub(super) fn list(state: &mut State, request: &Json) -> Handled {
    let max = request.int("max_results").filter(|count| *count != 0).unwrap_or(100);
    let max = page::limit("max_results", max, 1000)?;
    let newest: Vec<&Webhook> = state.space.webhooks.iter().rev().collect();
    let (items, next) = page::slice(newest, max, request.text("page_token"))?;
    Ok(page::answer(
        "webhooks",
        items.into_iter().map(document).collect(),
        next,
    ))
}

pub(super) fn get(state: &State, id: &str) -> Handled {
    let webhook = state.space.webhooks.iter().find(|webhook| webhook.id == id);
    webhook
        .map(|webhook| json!({"webhook": document(webhook)}))
        .ok_or_else(|| missing(id))
}

pub(super) fn update(state: &mut State, id: &str, request: &Json) -> Handled {
    let events = check_events(request)?;
    if let Some(name) = request.given("name") {
        check_name(name)?;
    }
    if let Some(url) = request.given("url") {
        check_url(url)?;
    }
    let webhook = state.space.webhooks.iter_mut().find(|webhook| webhook.id == id);
    let webhook = webhook.ok_or_else(|| missing(id))?;
    for (key, place) in [
        ("name", &mut webhook.name),
        ("url", &mut webhook.url),
        ("description", &mut webhook.description),
        ("status", &mut webhook.status),
    ] {
        if let Some(text) = request.given(key) {
            text.clone_into(place);
        }
    }
    if !events.is_empty() {
        webhook.events = events;
    }
    webhook.updated = now();
    Ok(json!({"webhook": document(webhook)}))
}

pub(super) fn delete(state: &mut State, id: &str) -> Handled {
    let before = state.space.webhooks.len();
    state.space.webhooks.retain(|webhook| webhook.id != id);
    if state.space.webhooks.len() == before {
        return Err(missing(id));
    }
    Ok(empty())
}

/// A trial call, which always succeeds here: nothing is called.
pub(super) fn test(state: &State, id: &str) -> Handled {
    get(state, id)?;
    Ok(json!({"result": {"success": true, "response_status": 200, "response_body": ""}}))
}
