//! `GET /runs`, `/runs/{id}`, `POST /runs/{id}/cancel`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
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

pub(super) async fn get(
    State(orchestrator): State<Orchestrator>,
    Path(id): Path<String>,
) -> Result<Json<RunReport>, Problem> {
    Ok(Json(orchestrator.run(&RunId::from(id.as_str())).await?.into()))
}

pub(super) async fn cancel(
    State(orchestrator): State<Orchestrator>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RunReport>), Problem> {
    Ok((
        StatusCode::ACCEPTED,
        Json(orchestrator.cancel(&RunId::from(id.as_str())).await?.into()),
    ))
}
