//! The orchestrator as an HTTP service.
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /train`, `/evaluate`, `/deploy` | 202, `Location: /runs/{id}`, the [`RunReport`](crate::RunReport) |
//! | `GET /runs?limit=50` | 200, `{"runs": […]}`, newest first |
//! | `GET /runs/{id}` | 200, the [`RunReport`](crate::RunReport), also for a run that failed |
//! | `POST /runs/{id}/cancel` | 202, the report |
//! | `GET /healthz` | 200 as long as the process lives |
//! | `GET /readyz` | 200 if engine and tracker can be reached, else 503 |
//!
//! Errors are problem details (RFC 9457); a body with bad fields is answered 422 with one entry of `errors` for each,
//! one of more than 1 MiB 413, and one that is not there within [`Settings::body_timeout`](crate::Settings::body_timeout)
//! 408.
//! The router knows no users: put it behind whatever authenticates them, or on loopback.

mod body;
mod problem;
mod runs;
mod submit;
mod twice;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::{Error, Orchestrator};
use problem::Problem;

/// The routes of an orchestrator.
///
/// ```no_run
/// # async fn serve(orchestrator: orchestrator_core::Orchestrator) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, orchestrator_core::http::router(orchestrator)).await
/// # }
/// ```
pub fn router(orchestrator: Orchestrator) -> Router {
    Router::new()
        .route("/train", post(submit::train))
        .route("/evaluate", post(submit::evaluate))
        .route("/deploy", post(submit::deploy))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::get))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/healthz", get(|| async { Json(serde_json::json!({"status": "ok"})) }))
        .route("/readyz", get(ready))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
        })
        .with_state(orchestrator)
}

async fn ready(
    axum::extract::State(orchestrator): axum::extract::State<Orchestrator>,
) -> Result<Json<serde_json::Value>, Problem> {
    match orchestrator.ready().await {
        Ok(()) => Ok(Json(serde_json::json!({"status": "ready"}))),
        Err(error @ (Error::Engine(_) | Error::Tracking(_))) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
