//! What holds for every text whatever is in it: the bodies of the fuzz targets and of the property tests. Each returns,
//! or panics where something does not hold.

mod documents;
#[cfg(test)]
mod tests;

pub use documents::{argo_workflow, pipeline_document};
