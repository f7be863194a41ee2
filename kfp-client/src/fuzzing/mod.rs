//! What holds for every input whatever is in it: the bodies of the fuzz targets and of the property tests. Each returns,
//! or panics where something does not hold.

mod answers;
mod documents;
mod filters;
#[cfg(feature = "testing")]
mod schedules;
#[cfg(test)]
mod tests;

use http::Method;

#[cfg(feature = "testing")]
pub use self::schedules::cron;
pub use self::{
    answers::{answer, artifact, package},
    documents::{argo_workflow, pipeline_document},
    filters::filter,
};
use crate::endpoint::Call;

fn call(path: &[&str]) -> Option<Call> {
    let base = "https://kubeflow.example.com/pipeline".parse().ok()?;
    Call::new("fuzz", Method::GET, &base, path).ok()
}
