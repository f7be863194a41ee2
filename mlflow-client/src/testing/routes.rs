//! Which handler a request goes to.

use serde_json::json;
use wiremock::Request;

use super::answer::{Answer, Handled, Refusal, document};
use super::json::Json;
use super::schema::{self, Field};
use super::state::State;
use super::{
    access, artifacts, batch, experiments, history, logged_models, metrics, model_versions, multipart, presigned,
    registered_models, runs, webhooks, workspaces,
};

type Handler = fn(&mut State, &Json) -> Handled;

struct Route(&'static [&'static str], &'static str, &'static [Field], Handler);

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const BOTH: &[&str] = &["GET", "POST"];
const PATCH: &[&str] = &["PATCH"];
const DELETE: &[&str] = &["DELETE"];

const ROUTES: &[Route] = &[
    Route(POST, "experiments/create", experiments::CREATE, experiments::create),
    Route(GET, "experiments/get", experiments::ID, experiments::get),
    Route(
        GET,
        "experiments/get-by-name",
        experiments::NAME,
        experiments::get_by_name,
    ),
    Route(BOTH, "experiments/search", experiments::SEARCH, experiments::search),
    Route(POST, "experiments/update", experiments::UPDATE, experiments::update),
    Route(POST, "experiments/delete", experiments::ID, experiments::delete),
    Route(POST, "experiments/restore", experiments::ID, experiments::restore),
    Route(
        POST,
        "experiments/set-experiment-tag",
        experiments::SET_TAG,
        experiments::set_tag,
    ),
    Route(
        POST,
        "experiments/delete-experiment-tag",
        experiments::DELETE_TAG,
        experiments::delete_tag,
    ),
    Route(POST, "runs/create", runs::CREATE, runs::create),
    Route(POST, "runs/update", runs::UPDATE, runs::update),
    Route(POST, "runs/delete", runs::ID_ONLY, runs::delete),
    Route(POST, "runs/restore", runs::ID_ONLY, runs::restore),
    Route(GET, "runs/get", runs::ID, runs::get),
    Route(POST, "runs/search", runs::SEARCH, runs::search),
    Route(POST, "runs/log-metric", metrics::LOG, metrics::log),
    Route(POST, "runs/log-parameter", runs::PAIR_OF_RUN, runs::log_param),
    Route(POST, "runs/set-tag", runs::PAIR_OF_RUN, runs::set_tag),
    Route(POST, "runs/delete-tag", runs::DELETE_TAG, runs::delete_tag),
    Route(POST, "runs/log-batch", batch::LOG, batch::log),
    Route(POST, "runs/log-inputs", runs::INPUTS, runs::log_inputs),
    Route(POST, "runs/outputs", runs::OUTPUTS, runs::log_outputs),
    Route(POST, "runs/log-model", runs::LOG_MODEL, runs::log_model),
    Route(GET, "metrics/get-history", history::HISTORY, history::history),
    Route(GET, "metrics/get-history-bulk-interval", history::BULK, history::bulk),
    Route(
        POST,
        "registered-models/create",
        registered_models::CREATE,
        registered_models::create,
    ),
    Route(
        GET,
        "registered-models/get",
        registered_models::ID,
        registered_models::get,
    ),
    Route(
        GET,
        "registered-models/search",
        registered_models::SEARCH,
        registered_models::search,
    ),
    Route(
        POST,
        "registered-models/rename",
        registered_models::RENAME,
        registered_models::rename,
    ),
    Route(
        PATCH,
        "registered-models/update",
        registered_models::UPDATE,
        registered_models::update,
    ),
    Route(
        DELETE,
        "registered-models/delete",
        registered_models::ID,
        registered_models::delete,
    ),
    Route(
        BOTH,
        "registered-models/get-latest-versions",
        registered_models::LATEST,
        registered_models::latest_versions,
    ),
    Route(
        POST,
        "registered-models/set-tag",
        registered_models::SET_TAG,
        registered_models::set_tag,
    ),
    Route(
        DELETE,
        "registered-models/delete-tag",
        registered_models::DELETE_TAG,
        registered_models::delete_tag,
    ),
    Route(
        POST,
        "registered-models/alias",
        registered_models::SET_ALIAS,
        registered_models::set_alias,
    ),
    Route(
        DELETE,
        "registered-models/alias",
        registered_models::ALIAS,
        registered_models::delete_alias,
    ),
    Route(
        GET,
        "registered-models/alias",
        registered_models::ALIAS,
        registered_models::by_alias,
    ),
    Route(
        POST,
        "model-versions/create",
        model_versions::CREATE,
        model_versions::create,
    ),
    Route(GET, "model-versions/get", model_versions::ID, model_versions::get),
    Route(
        GET,
        "model-versions/search",
        model_versions::SEARCH,
        model_versions::search,
    ),
    Route(
        PATCH,
        "model-versions/update",
        model_versions::UPDATE,
        model_versions::update,
    ),
    Route(
        POST,
        "model-versions/transition-stage",
        model_versions::STAGE,
        model_versions::transition,
    ),
    Route(
        DELETE,
        "model-versions/delete",
        model_versions::ID,
        model_versions::delete,
    ),
    Route(
        GET,
        "model-versions/get-download-uri",
        model_versions::ID,
        model_versions::download_uri,
    ),
    Route(
        POST,
        "model-versions/set-tag",
        model_versions::SET_TAG,
        model_versions::set_tag,
    ),
    Route(
        DELETE,
        "model-versions/delete-tag",
        model_versions::DELETE_TAG,
        model_versions::delete_tag,
    ),
    Route(POST, "logged-models", logged_models::CREATE, logged_models::create),
    Route(
        POST,
        "logged-models/search",
        logged_models::SEARCH,
        logged_models::search,
    ),
];

/// Routes that came with version 3.
fn since_3(name: &str) -> bool {
    matches!(name, "experiments/delete-experiment-tag" | "runs/outputs")
        || name.starts_with("logged-models")
        || name.starts_with("webhooks")
        || name.starts_with("artifacts/presigned")
}

/// Handles a request; `path` is still percent-encoded.
pub(super) fn handle(state: &mut State, request: &Request, path: &str) -> Handled<Answer> {
    let method = request.method.as_str();
    let read_only = |answer: Answer| {
        if matches!(method, "GET" | "HEAD") {
            Ok(answer)
        } else {
            Err(Refusal::Page(405))
        }
    };
    access::check(state, request)?;
    let workspace = request
        .headers
        .get("x-mlflow-workspace")
        .and_then(|value| value.to_str().ok());
    workspaces::enter(state, workspace)?;
    match path {
        "/health" => return read_only(Answer::new(200).body("OK", "text/plain; charset=utf-8")),
        "/version" => {
            return read_only(Answer::new(200).body(state.version.clone(), "text/html; charset=utf-8"));
        }
        _ => {}
    }
    if let Some(token) = path.strip_prefix(presigned::STORE) {
        return presigned::serve(state, request, token, range(request));
    }
    if let Some(rest) = path.strip_prefix(multipart::STORE) {
        return multipart::object_store(state, method, rest, &request.body, range(request));
    }
    if let "/get-artifact" | "/model-versions/get-artifact" = path {
        return file(state, request, path);
    }
    if path == "/ajax-api/2.0/mlflow/experiments/search-datasets" {
        if method != "POST" {
            return Err(Refusal::Page(405));
        }
        let (fields, generation) = (experiments::DATASETS, state.generation);
        return experiments::search_datasets(state, &schema::read(&raw(request, fields)?, fields, generation)?)
            .map(|answer| document(&answer));
    }
    let newest = path
        .strip_prefix("/api/3.0/mlflow/")
        .or_else(|| path.strip_prefix("/ajax-api/3.0/mlflow/"));
    if let Some(name) = newest.filter(|_| state.is_3()) {
        return version_3(state, request, name);
    }
    let logged = path
        .strip_prefix("/ajax-api/2.0/mlflow/logged-models/")
        .and_then(|rest| rest.strip_suffix("/artifacts/files"));
    if let Some(id) = logged.filter(|_| state.is_3() && method == "GET") {
        let wanted = parameter(request, "artifact_file_path").ok_or_else(|| Refusal::Coded {
            code: "BAD_REQUEST",
            status: 400,
            message: "Request must include the artifact_file_path query parameter.".to_owned(),
        })?;
        return logged_models::file(state, id, &wanted, range(request));
    }
    let api = path
        .strip_prefix("/api/2.0/")
        .or_else(|| path.strip_prefix("/ajax-api/2.0/"));
    let api = api.ok_or(Refusal::Page(404))?;
    if let Some(rest) = api.strip_prefix("mlflow-artifacts/") {
        return proxy(state, request, rest);
    }
    let name = api.strip_prefix("mlflow/").ok_or(Refusal::Page(404))?;
    if !state.is_3() && since_3(name) {
        return Err(Refusal::Page(404));
    }
    if name == "artifacts/list" && method == "GET" {
        let run = match parameter(request, "run_id").unwrap_or_default() {
            id if id.is_empty() => parameter(request, "run_uuid").unwrap_or_default(),
            id => id,
        };
        if run.is_empty() {
            return Err(Refusal::required("run_id"));
        }
        return artifacts::list_of_run(state, &run, &parameter(request, "path").unwrap_or_default());
    }
    let Some(Route(_, _, fields, handler)) = ROUTES
        .iter()
        .find(|Route(methods, route, ..)| *route == name && methods.contains(&method))
    else {
        let other_id = name == "logged-models/search" && matches!(method, "GET" | "DELETE" | "PATCH");
        if !other_id && ROUTES.iter().any(|Route(_, route, ..)| *route == name) {
            return Err(Refusal::Page(405));
        }
        return by_id(state, request, name);
    };
    call(state, name, fields, *handler, &raw(request, fields)?).map(|answer| document(&answer))
}

/// Reads a request's JSON into a message and handles it.
fn call(state: &mut State, name: &str, fields: &[Field], handler: Handler, raw: &Json) -> Handled {
    let message = schema::read(raw, fields, state.generation)?;
    // The check of the range meets nothing.
    if name == "runs/search" && raw.get("max_results") == Some(&Json::Null) {
        return Err(Refusal::Page(500));
    }
    if name == "runs/log-batch" {
        // The parts of a batch are looked at once more in the body itself.
        batch::check(raw)?;
    }
    handler(state, &message)
}

/// Calls a route by its name, as a test without a connection does.
#[cfg(test)]
pub(super) fn call_named(state: &mut State, method: &str, name: &str, raw: &Json) -> Handled {
    let Route(_, _, fields, handler) = ROUTES
        .iter()
        .find(|Route(methods, route, ..)| *route == name && methods.contains(&method))
        .unwrap();
    call(state, name, fields, *handler, raw)
}

/// Routes below `/api/3.0`.
fn version_3(state: &mut State, request: &Request, name: &str) -> Handled<Answer> {
    let method = request.method.as_str();
    if name == "server-info" {
        if !matches!(method, "GET" | "HEAD") {
            return Err(Refusal::Page(405));
        }
        let parts = state.uploads.is_some();
        return Ok(document(&json!({
            "store_type": "SqlStore", "workspaces_enabled": state.workspaces.enabled, "trace_archival_enabled": false,
            "multipart_uploads_enabled": parts, "multipart_downloads_enabled": parts,
            "presigned_upload_run_id_supported": true, "presigned_upload_model_id_supported": true,
            "features_enabled": {"gateway": true},
        })));
    }
    let rest = name.strip_prefix("workspaces").ok_or(Refusal::Page(404))?;
    let generation = state.generation;
    let message = |fields| schema::read(&raw(request, fields)?, fields, generation);
    match (method, rest.strip_prefix('/')) {
        (_, None) if !rest.is_empty() => Err(Refusal::Page(404)),
        (_, Some(name)) if name.is_empty() || name.contains('/') => Err(Refusal::Page(404)),
        ("GET" | "POST", None) => {
            workspaces::check_enabled(state, "/api/3.0/mlflow/workspaces")?;
            if method == "GET" {
                return Ok(workspaces::list(state));
            }
            workspaces::create(state, &message(workspaces::CREATE)?)
        }
        ("GET" | "PATCH" | "DELETE", Some(name)) => {
            workspaces::check_enabled(state, "/api/3.0/mlflow/workspaces/<workspace_name>")?;
            match method {
                "GET" => workspaces::get(state, name),
                "PATCH" => workspaces::update(state, name, &message(workspaces::UPDATE)?),
                _ => workspaces::delete(state, name, &parameter(request, "mode").unwrap_or_default()),
            }
        }
        _ => Err(Refusal::Page(405)),
    }
}

/// Routes with an id in their path.
fn by_id(state: &mut State, request: &Request, name: &str) -> Handled<Answer> {
    if let Some(rest) = name.strip_prefix("logged-models/") {
        return logged_model(state, request, rest);
    }
    if name == "webhooks" || name.starts_with("webhooks/") {
        return webhook(state, request, name);
    }
    if let "artifacts/presigned-upload-url" | "artifacts/presigned-download-url" = name {
        if request.method.as_str() != "POST" {
            return Err(Refusal::Page(405));
        }
        let upload = name.contains("upload");
        let fields = if upload { presigned::UPLOAD } else { presigned::DOWNLOAD };
        let message = schema::read(&raw(request, fields)?, fields, state.generation)?;
        return if upload {
            presigned::upload(state, &base(request), &message)
        } else {
            presigned::download(state, &base(request), &message)
        };
    }
    Err(Refusal::Page(404))
}

fn webhook(state: &mut State, request: &Request, name: &str) -> Handled<Answer> {
    let parts: Vec<&str> = name.split('/').skip(1).collect();
    let generation = state.generation;
    let message = |fields| schema::read(&raw(request, fields)?, fields, generation);
    let answer = match (request.method.as_str(), parts.as_slice()) {
        ("POST", []) => webhooks::create(state, &message(webhooks::CREATE)?),
        ("GET", []) => webhooks::list(state, &message(webhooks::LIST)?),
        ("GET", [id]) => webhooks::get(state, id),
        ("PATCH", [id]) => webhooks::update(state, id, &message(webhooks::UPDATE)?),
        ("DELETE", [id]) => webhooks::delete(state, id),
        ("POST", [id, "test"]) => webhooks::test(state, id),
        (_, [] | [_] | [_, "test"]) => Err(Refusal::Page(405)),
        _ => Err(Refusal::Page(404)),
    };
    answer.map(|answer| document(&answer))
}

/// Routes with the id of a logged model in their path.
fn logged_model(state: &mut State, request: &Request, rest: &str) -> Handled<Answer> {
    let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if id.is_empty() {
        return Err(Refusal::Page(404));
    }
    let generation = state.generation;
    let message = |fields| schema::read(&raw(request, fields)?, fields, generation);
    let answer = match (request.method.as_str(), rest) {
        ("GET", "") => logged_models::get(state, id),
        ("DELETE", "") => logged_models::delete(state, id),
        ("PATCH", "") => logged_models::finalize(state, &message(logged_models::FINALIZE)?),
        ("PATCH", "tags") => logged_models::set_tags(state, id, &message(logged_models::TAGS)?),
        ("POST", "params") => logged_models::log_params(state, &message(logged_models::PARAMS)?),
        ("GET", "artifacts/directories") => {
            return logged_models::list_artifacts(
                state,
                id,
                &parameter(request, "artifact_directory_path").unwrap_or_default(),
            );
        }
        ("DELETE", tag) if tag.starts_with("tags/") && !tag.get(5..).unwrap_or_default().contains(['/']) => {
            let key = artifacts::decode(tag.get(5..).unwrap_or_default());
            if key.contains('/') {
                return Err(Refusal::Page(404));
            }
            logged_models::delete_tag(state, id, &key)
        }
        (_, "" | "tags" | "params" | "artifacts/directories") => Err(Refusal::Page(405)),
        _ => Err(Refusal::Page(404)),
    };
    answer.map(|answer| document(&answer))
}

/// The request as JSON: its query, or its body if it has no query or is not a GET.
fn raw(request: &Request, fields: &[Field]) -> Handled<Json> {
    if request.method.as_str() == "GET" && request.url.query().is_some_and(|query| !query.is_empty()) {
        let mut entries: Vec<(String, Json)> = Vec::new();
        for field in fields {
            let values = request.url.query_pairs().filter(|(key, _)| key == field.name());
            let values: Vec<Json> = values.map(|(_, value)| Json::Text(value.into_owned())).collect();
            match (values.first(), field.is_list()) {
                (None, _) => {}
                (Some(_), true) => entries.push((field.name().to_owned(), Json::List(values))),
                (Some(first), false) => entries.push((field.name().to_owned(), first.clone())),
            }
        }
        return Ok(Json::Object(entries));
    }
    if request.method.as_str() == "POST" {
        match request
            .headers
            .get("content-type")
            .map(|value| value.to_str().unwrap_or_default())
        {
            None => return Err(Refusal::invalid("Bad Request. Content-Type header is missing.")),
            Some(kind)
                if kind
                    .split(';')
                    .next()
                    .is_none_or(|kind| kind.trim() != "application/json") =>
            {
                return Err(Refusal::invalid(
                    "Bad Request. Content-Type must be one of ['application/json'].",
                ));
            }
            Some(_) => {}
        }
    }
    let mut json = std::str::from_utf8(&request.body)
        .ok()
        .and_then(Json::parse)
        .unwrap_or(Json::Null);
    // Old clients encode twice.
    if let Json::Text(text) = &json {
        json = Json::parse(text).ok_or(Refusal::Page(500))?;
    }
    match json {
        Json::Object(_) => Ok(json),
        Json::Null => Ok(Json::Object(Vec::new())),
        _ => Err(Refusal::Page(500)),
    }
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    request
        .url
        .query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// This server's own address, as the client knows it.
fn base(request: &Request) -> String {
    let host = request.headers.get("host").and_then(|value| value.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost"))
}

fn range(request: &Request) -> Option<&str> {
    request.headers.get("range").and_then(|value| value.to_str().ok())
}

fn file(state: &mut State, request: &Request, path: &str) -> Handled<Answer> {
    if request.method.as_str() != "GET" {
        return Err(Refusal::Page(405));
    }
    let wanted = parameter(request, "path").ok_or(Refusal::Page(400))?;
    if path == "/get-artifact" {
        let run = parameter(request, "run_id")
            .or_else(|| parameter(request, "run_uuid"))
            .unwrap_or_default();
        return artifacts::of_run(state, &run, &wanted, range(request));
    }
    let (name, version) = (parameter(request, "name"), parameter(request, "version"));
    artifacts::of_version(
        state,
        &name.unwrap_or_default(),
        &version.unwrap_or_default(),
        &wanted,
        range(request),
    )
}

fn proxy(state: &mut State, request: &Request, rest: &str) -> Handled<Answer> {
    let method = request.method.as_str();
    if let Some(rest) = rest.strip_prefix("mpu/") {
        let (action, path) = rest.split_once('/').ok_or(Refusal::Page(404))?;
        let path = artifacts::decode(path);
        if method != "POST" {
            return Err(Refusal::Page(405));
        }
        let generation = state.generation;
        let message = |fields| schema::read(&raw(request, fields)?, fields, generation);
        return match action {
            "create" => multipart::create(state, &base(request), &path, &message(multipart::CREATE)?),
            "complete" => multipart::complete(state, &path, &message(multipart::COMPLETE)?),
            "abort" => multipart::abort(state, &path, &message(multipart::ABORT)?),
            _ => Err(Refusal::Page(404)),
        };
    }
    if let Some(path) = rest.strip_prefix("presigned/") {
        if !state.is_3() {
            return Err(Refusal::Page(404));
        }
        if method != "GET" {
            return Err(Refusal::Page(405));
        }
        return multipart::presigned_download(state, &base(request), &artifacts::decode(path));
    }
    if rest == "artifacts" {
        return match method {
            "GET" => artifacts::list(state, &parameter(request, "path").unwrap_or_default()),
            _ => Err(Refusal::Page(405)),
        };
    }
    let path = artifacts::decode(rest.strip_prefix("artifacts/").ok_or(Refusal::Page(404))?);
    match method {
        "PUT" => artifacts::upload(state, &path, &request.body),
        "GET" => artifacts::download(state, &path, range(request)),
        "DELETE" => artifacts::delete(state, &path),
        _ => Err(Refusal::Page(405)),
    }
}
