//! `POST /train`, `/evaluate`, `/deploy`.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body::json;
use super::problem::Problem;
use crate::{DeployRequest, EvaluateRequest, Orchestrator, Run, RunReport, TrainRequest};

pub(super) async fn train(State(orchestrator): State<Orchestrator>, request: Request) -> Result<Response, Problem> {
    let settings = orchestrator.settings();
    let body = json(request, settings.body_timeout).await?;
    let request = TrainRequest::from_json(body, settings).map_err(crate::Error::from)?;
    Ok(accepted(&orchestrator.train(request).await?))
}

pub(super) async fn evaluate(State(orchestrator): State<Orchestrator>, request: Request) -> Result<Response, Problem> {
    let settings = orchestrator.settings();
    let body = json(request, settings.body_timeout).await?;
    let request = EvaluateRequest::from_json(body, settings).map_err(crate::Error::from)?;
    Ok(accepted(&orchestrator.evaluate(request).await?))
}

pub(super) async fn deploy(State(orchestrator): State<Orchestrator>, request: Request) -> Result<Response, Problem> {
    let settings = orchestrator.settings();
    let body = json(request, settings.body_timeout).await?;
    let request = DeployRequest::from_json(body, settings).map_err(crate::Error::from)?;
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
