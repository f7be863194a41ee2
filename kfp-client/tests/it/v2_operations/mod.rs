//! Operations of `v2beta1` against the fake and against scripted servers.

mod archives;
mod artifacts;
mod pipelines;
mod recurring_runs;

use kfp_client::{
    Client, Error, PipelineFile,
    ir::{ContainerComponent, PipelineBuilder, PipelineDocument, TaskBuilder},
};

pub(super) fn document() -> PipelineDocument {
    let step = ContainerComponent::new("busybox").command(["sh", "-c", "echo one; echo two"]);
    let task = TaskBuilder::new("say", step).caching(false);
    PipelineBuilder::new("say").task(task).build().unwrap()
}

pub(super) fn file() -> PipelineFile {
    PipelineFile::try_from(&document()).unwrap()
}

pub(super) fn client(url: &str) -> Client {
    Client::builder(url).unwrap().build().unwrap()
}

pub(super) fn refused(error: &Error, field: &str) {
    assert!(
        matches!(error, Error::InvalidRequest(invalid) if invalid.field == field),
        "{error}"
    );
}
