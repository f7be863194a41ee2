//! The standard workflows. They only build a [`Workflow`]; which engine runs it is not known here.
//!
//! Every step is a small Python program of the standard library, kept in `steps/`, handed to the interpreter as
//! text; values reach it as arguments and environment variables, never inside its source.

mod deploy;
mod evaluate;
mod train;

use std::collections::BTreeMap;

pub(crate) use deploy::deploy;
pub(crate) use evaluate::evaluate;
pub(crate) use train::train;

use crate::Settings;
use crate::workflow::{EnvValue, OutputRef, Step, Volume, Word, Workflow, WorkflowError};

type Valid = crate::request::ValidCommon;

/// Names of the steps, which are also what users see.
pub(crate) mod name {
    pub(crate) const FETCH_CODE: &str = "fetch-code";
    pub(crate) const FETCH_DATASET: &str = "fetch-dataset";
    pub(crate) const SPLIT: &str = "split";
    pub(crate) const FINISH: &str = "finish";
}

/// Source of a step: the shared prelude, then the step's own program.
macro_rules! source {
    ($file:literal) => {
        concat!(
            include_str!("steps/common.py"),
            "\n",
            include_str!(concat!("steps/", $file))
        )
    };
}
pub(crate) use source;

/// Source of a step that runs the repository's own code: with what reads and runs its entry points.
macro_rules! project_source {
    ($file:literal) => {
        concat!(
            include_str!("steps/common.py"),
            "\n",
            include_str!("steps/project.py"),
            "\n",
            include_str!(concat!("steps/", $file))
        )
    };
}
pub(crate) use project_source;

/// Makes steps of one workflow: what all of them have in common is here.
pub(crate) struct Kit<'a> {
    pub(crate) settings: &'a Settings,
    /// Environment with which steps reach the record; `None` without tracking.
    pub(crate) tracking: Option<&'a BTreeMap<String, EnvValue>>,
    pub(crate) common: &'a Valid,
}

impl Kit<'_> {
    /// A workflow with the parameters that every request has.
    fn workflow(&self, kind: &str) -> Result<Workflow, WorkflowError> {
        let common = self.common;
        let parameters = serde_json::to_string(&common.parameters).unwrap_or_else(|_| "{}".to_owned());
        Ok(Workflow::new(kind)?
            .parameter("git_repository", common.git_repository.as_str())
            .parameter("git_sha", common.git_sha.as_str())
            .parameter("dataset_version", &common.dataset_version)
            .parameter("train_split", common.split.train().to_string())
            .parameter("seed", common.split.seed().to_string())
            .parameter("model_name", &common.model_name)
            .parameter("parameters", parameters))
    }

    fn step(&self, name: &str, source: &str, words: Vec<Word>) -> Result<Step, WorkflowError> {
        let settings = self.settings;
        let command = [settings.python.as_str().into(), "-c".into(), source.into()]
            .into_iter()
            .chain(words);
        let mut step = Step::new(name, &settings.image, command)?
            .timeout(settings.step_timeout)
            .retries(settings.retries);
        for (name, value) in self.tracking.into_iter().flatten() {
            step = step.env(name, value.clone());
        }
        if let (Some(secret), Some(_)) = (&settings.tracking_token, self.tracking) {
            step = step.env("MLFLOW_TRACKING_TOKEN", EnvValue::Secret(secret.clone()));
        }
        Ok(step)
    }

    /// A step that runs the repository's own code: with the caller's environment, its resources, more time, and no
    /// second attempt, since that code may not be written for one.
    fn work(&self, name: &str, source: &str, words: Vec<Word>) -> Result<Step, WorkflowError> {
        let mut step = self
            .step(name, source, words)?
            .timeout(self.settings.work_timeout)
            .retries(0);
        step.resources = self.settings.resources.clone();
        for (name, value) in &self.common.environment {
            step = step.env(name, value.as_str());
        }
        Ok(step)
    }

    fn fetch_code(&self) -> Result<Step, WorkflowError> {
        let words = vec![
            "--repository".into(),
            parameter("git_repository"),
            "--sha".into(),
            parameter("git_sha"),
            "--output".into(),
            output("code"),
        ];
        let mut step = self
            .step(name::FETCH_CODE, source!("fetch_code.py"), words)?
            .output("code");
        if let Some(secret) = &self.settings.git_token {
            step = step.env("GIT_TOKEN", EnvValue::Secret(secret.clone()));
        }
        Ok(step)
    }

    fn fetch_dataset(&self, code: &OutputRef) -> Result<Step, WorkflowError> {
        let store = &self.settings.dataset_store;
        let words = vec![
            "--code".into(),
            input(code),
            "--version".into(),
            parameter("dataset_version"),
            "--store".into(),
            store.path.as_str().into(),
            "--output".into(),
            output("dataset"),
        ];
        let step = self
            .step(name::FETCH_DATASET, source!("fetch_dataset.py"), words)?
            .output("dataset");
        Ok(match &store.claim {
            Some(claim) => step.volume(Volume::new(claim, &store.path)),
            None => step,
        })
    }

    fn split(&self, dataset: &OutputRef) -> Result<Step, WorkflowError> {
        let words = vec![
            "--dataset".into(),
            input(dataset),
            "--train-fraction".into(),
            parameter("train_split"),
            "--seed".into(),
            parameter("seed"),
            "--output".into(),
            output("parts"),
        ];
        Ok(self.step(name::SPLIT, source!("split.py"), words)?.output("parts"))
    }

    /// Runs the `evaluate` entry point on the test part.
    fn evaluate(
        &self,
        name: &str,
        code: &OutputRef,
        parts: &OutputRef,
        model: &OutputRef,
        log: bool,
    ) -> Result<Step, WorkflowError> {
        let mut words = vec![
            "--code".into(),
            input(code),
            "--split".into(),
            input(parts),
            "--model".into(),
            input(model),
            "--parameters".into(),
            parameter("parameters"),
            "--output".into(),
            output("metrics"),
        ];
        if log {
            words.push("--log".into());
        }
        Ok(self
            .work(name, project_source!("evaluate.py"), words)?
            .output("metrics"))
    }

    /// Fetches a registered model: the version asked for, or the one in use.
    fn fetch_model(&self, name: &str, which: Vec<Word>) -> Result<Step, WorkflowError> {
        let words = ["--name".into(), parameter("model_name")]
            .into_iter()
            .chain(which)
            .chain(["--output".into(), output("model")])
            .collect();
        Ok(self.step(name, source!("fetch_model.py"), words)?.output("model"))
    }

    /// The exit step: the record says how the run ended even if the orchestrator is gone by then.
    fn finish(&self) -> Result<Step, WorkflowError> {
        self.step(
            name::FINISH,
            source!("finish.py"),
            vec!["--status".into(), Word::FinalStatus],
        )
    }

    fn close(&self, workflow: Workflow) -> Result<Workflow, WorkflowError> {
        Ok(if self.tracking.is_some() {
            workflow.exit_step(self.finish()?)
        } else {
            workflow
        })
    }

    /// The steps with which evaluating and deploying begin: both versions measured on the same rows.
    fn measured(&self, kind: &str, version: u64) -> Result<Measured, WorkflowError> {
        let code = self.fetch_code()?;
        let dataset = self.fetch_dataset(&code.output_ref("code"))?;
        let parts = self.split(&dataset.output_ref("dataset"))?;
        let candidate = self.fetch_model("fetch-candidate", vec!["--version".into(), parameter("model_version")])?;
        let alias = vec![
            "--alias".into(),
            self.settings.champion_alias.as_str().into(),
            "--optional".into(),
        ];
        let champion = self.fetch_model("fetch-champion", alias)?;
        let (code_ref, parts_ref) = (code.output_ref("code"), parts.output_ref("parts"));
        let candidate_ref = candidate.output_ref("model");
        let of_candidate = self.evaluate("evaluate-candidate", &code_ref, &parts_ref, &candidate_ref, false)?;
        let of_champion = self.evaluate(
            "evaluate-champion",
            &code_ref,
            &parts_ref,
            &champion.output_ref("model"),
            false,
        )?;
        Ok(Measured {
            code: code_ref,
            candidate: candidate_ref,
            candidate_metrics: of_candidate.output_ref("metrics"),
            champion_metrics: of_champion.output_ref("metrics"),
            workflow: self
                .workflow(kind)?
                .parameter("model_version", version.to_string())
                .step(code)
                .step(dataset)
                .step(parts)
                .step(candidate)
                .step(champion)
                .step(of_candidate)
                .step(of_champion),
        })
    }
}

/// What [`Kit::measured`] made.
pub(crate) struct Measured {
    workflow: Workflow,
    code: OutputRef,
    candidate: OutputRef,
    candidate_metrics: OutputRef,
    champion_metrics: OutputRef,
}

fn parameter(name: &str) -> Word {
    Word::Parameter(name.to_owned())
}

fn input(reference: &OutputRef) -> Word {
    Word::Input(reference.clone())
}

fn output(name: &str) -> Word {
    Word::Output(name.to_owned())
}

#[cfg(test)]
mod tests;
