//! `deploy`: measure, decide, move the alias, call the repository's own entry point.

use super::{Kit, input, parameter, project_source, source};
use crate::request::{Gate, GateDirection};
use crate::workflow::{Word, Workflow, WorkflowError};

pub(crate) fn deploy(kit: &Kit<'_>, version: u64, gate: &Gate) -> Result<Workflow, WorkflowError> {
    let measured = kit.measured("deploy", version)?;
    let mut words: Vec<Word> = vec![
        "--candidate".into(),
        input(&measured.candidate_metrics),
        "--champion".into(),
        input(&measured.champion_metrics),
        "--metric".into(),
        parameter("gate_metric"),
        "--direction".into(),
        gate.direction.as_str().into(),
        "--tolerance".into(),
        gate.tolerance.to_string().into(),
    ];
    if let Some(threshold) = gate.threshold {
        let flag = match gate.direction {
            GateDirection::Higher => "--minimum",
            GateDirection::Lower => "--maximum",
        };
        // `=` keeps a negative number from being read as a flag.
        words.push(format!("{flag}={threshold}").into());
    }
    // What the gate refuses it refuses again: no second attempt.
    let decide = kit.step("gate", source!("gate.py"), words)?.retries(0);
    let words = vec![
        "--name".into(),
        parameter("model_name"),
        "--version".into(),
        parameter("model_version"),
        "--alias".into(),
        kit.settings.champion_alias.as_str().into(),
    ];
    let promote = kit.step("promote", source!("promote.py"), words)?.after(&decide.name);
    let words = vec![
        "--code".into(),
        input(&measured.code),
        "--model".into(),
        input(&measured.candidate),
        "--name".into(),
        parameter("model_name"),
        "--version".into(),
        parameter("model_version"),
        "--parameters".into(),
        parameter("parameters"),
    ];
    let hand_over = kit
        .work("deploy", project_source!("deploy.py"), words)?
        .after(&promote.name);
    let workflow = measured.workflow.parameter("gate_metric", &gate.metric);
    kit.close(workflow.step(decide).step(promote).step(hand_over))
}
