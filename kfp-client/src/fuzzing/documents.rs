//! Pipelines in both formats.

use crate::{PipelineFile, argo::Workflow, ir::PipelineDocument};

/// What can be read can be checked, and is the same after it was written and read again, in every form.
pub fn pipeline_document(text: &str) {
    let _either = PipelineFile::parse(text);
    let Ok(document) = PipelineDocument::from_yaml(text) else {
        return;
    };
    let _either = document.validate();
    for written in [document.to_yaml(), document.to_json()] {
        let again = PipelineDocument::from_yaml(&written);
        // NaN is the same as nothing.
        let same = again.as_ref() == Ok(&document) || format!("{again:?}") == format!("{:?}", Ok::<_, ()>(&document));
        assert!(same, "{document:?} is {again:?} after it was written as {written}");
    }
}

/// The same for workflows of Argo.
pub fn argo_workflow(text: &str) {
    let Ok(workflow) = Workflow::from_yaml(text) else {
        return;
    };
    let _either = workflow.validate();
    for written in [workflow.to_yaml(), workflow.to_json()] {
        let again = Workflow::from_yaml(&written);
        let same = again.as_ref() == Ok(&workflow) || format!("{again:?}") == format!("{:?}", Ok::<_, ()>(&workflow));
        assert!(same, "{workflow:?} is {again:?} after it was written as {written}");
    }
}
