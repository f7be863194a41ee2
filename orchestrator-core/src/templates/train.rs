//! `train`: code, dataset, split, training, measuring, registration.

use super::{Kit, input, output, parameter, project_source, source};
use crate::workflow::{Workflow, WorkflowError};

/// Without tracking there is no registry, so the step `register` is left out.
pub(crate) fn train(kit: &Kit<'_>) -> Result<Workflow, WorkflowError> {
    let code = kit.fetch_code()?;
    let code_ref = code.output_ref("code");
    let dataset = kit.fetch_dataset(&code_ref)?;
    let parts = kit.split(&dataset.output_ref("dataset"))?;
    let parts_ref = parts.output_ref("parts");
    let words = vec![
        "--code".into(),
        input(&code_ref),
        "--split".into(),
        input(&parts_ref),
        "--parameters".into(),
        parameter("parameters"),
        "--seed".into(),
        parameter("seed"),
        "--output".into(),
        output("model"),
    ];
    let training = kit.work("train", project_source!("train.py"), words)?.output("model");
    let model = training.output_ref("model");
    let measuring = kit.evaluate("evaluate", &code_ref, &parts_ref, &model, true)?;
    let words = vec![
        "--model".into(),
        input(&model),
        "--metrics".into(),
        input(&measuring.output_ref("metrics")),
        "--name".into(),
        parameter("model_name"),
        "--git-repository".into(),
        parameter("git_repository"),
        "--git-sha".into(),
        parameter("git_sha"),
        "--dataset-version".into(),
        parameter("dataset_version"),
        "--output".into(),
        output("version"),
    ];
    let workflow = kit
        .workflow("train")?
        .step(code)
        .step(dataset)
        .step(parts)
        .step(training)
        .step(measuring);
    let workflow = match kit.tracking {
        Some(_) => workflow.step(kit.step("register", source!("register.py"), words)?.output("version")),
        None => workflow,
    };
    kit.close(workflow)
}
