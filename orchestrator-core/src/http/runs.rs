//! `GET /runs`, `/runs/{id}`, `POST /runs/{id}/cancel`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::{Orchestrator, RunId, RunReport};

/// Most runs that one answer lists.
const MOST_RUNS: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct Runs {
    runs: Vec<RunReport>,
}

pub(super) async fn list(
    State(orchestrator): State<Orchestrator>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Runs>, Problem> {
    let Query(listing) = query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let records = orchestrator.runs(listing.limit.unwrap_or(50).min(MOST_RUNS)).await?;
    Ok(Json(Runs {
        runs: records.into_iter().map(RunReport::from).collect(),
    }))
}

/// An id that is not even text is one that no run has.
fn known(id: Result<Path<RunId>, PathRejection>) -> Result<RunId, Problem> {
    id.map(|Path(id)| id).map_err(|error| {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("there is no such run: {}", error.body_text()),
        )
    })
}

pub(super) async fn get(
    State(orchestrator): State<Orchestrator>,
    id: Result<Path<RunId>, PathRejection>,
) -> Result<Json<RunReport>, Problem> {
    Ok(Json(orchestrator.run(&known(id)?).await?.into()))
}

pub(super) async fn cancel(
    State(orchestrator): State<Orchestrator>,
    id: Result<Path<RunId>, PathRejection>,
) -> Result<(StatusCode, Json<RunReport>), Problem> {
    Ok((
        StatusCode::ACCEPTED,
        Json(orchestrator.cancel(&known(id)?).await?.into()),
    ))
}
