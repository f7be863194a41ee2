//! `evaluate`: a registered version and the one in use, measured on the same rows.

use super::{Kit, input, source};
use crate::workflow::{Workflow, WorkflowError};

pub(crate) fn evaluate(kit: &Kit<'_>, version: u64) -> Result<Workflow, WorkflowError> {
    let measured = kit.measured("evaluate", version)?;
    let words = vec![
        "--candidate".into(),
        input(&measured.candidate_metrics),
        "--champion".into(),
        input(&measured.champion_metrics),
    ];
    kit.close(
        measured
            .workflow
            .step(kit.step("compare", source!("compare.py"), words)?),
    )
}
