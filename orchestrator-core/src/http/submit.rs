//! `POST /train`, `/evaluate`, `/deploy`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problem::Problem;
use crate::{DeployRequest, EvaluateRequest, Orchestrator, Run, RunReport, TrainRequest};

type Body = Result<Bytes, BytesRejection>;

pub(super) async fn train(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request =
        TrainRequest::from_json(json(&headers, body)?, orchestrator.settings()).map_err(crate::Error::from)?;
    Ok(accepted(&orchestrator.train(request).await?))
}

pub(super) async fn evaluate(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request =
        EvaluateRequest::from_json(json(&headers, body)?, orchestrator.settings()).map_err(crate::Error::from)?;
    Ok(accepted(&orchestrator.evaluate(request).await?))
}

pub(super) async fn deploy(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request =
        DeployRequest::from_json(json(&headers, body)?, orchestrator.settings()).map_err(crate::Error::from)?;
    Ok(accepted(&orchestrator.deploy(request).await?))
}

fn accepted(run: &Run) -> Response {
    let location = format!("/runs/{}", run.id());
    (
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(RunReport::from(run.record())),
    )
        .into_response()
}

/// Only JSON that says it is JSON: a page in a browser cannot send that to another origin without asking first.
fn json(headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body with Content-Type: application/json",
        ));
    }
    let body = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))
}
