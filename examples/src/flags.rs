//! The flags that `train`, `evaluate`, `deploy` and `server` share.

use clap::{Args, ValueEnum};

use crate::sign_in::SignIn;

/// Which engine runs the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Kubeflow Pipelines through its v2 API.
    KfpV2,
    /// Processes of this machine, no server.
    Local,
}

/// How the result is written to standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// A summary for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Where the workflow runs and where it is recorded.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// What runs the steps.
    #[arg(long, value_enum, default_value = "kfp-v2")]
    pub engine: EngineName,
    /// Address of a Kubeflow; without it a mocked one is started on loopback.
    #[arg(long, value_name = "URL")]
    pub kubeflow_url: Option<String>,
    /// How to log in there.
    #[command(flatten)]
    pub sign_in: SignIn,
    /// Namespace in which runs live.
    #[arg(long)]
    pub namespace: Option<String>,
    /// Address of MLflow. Also read from `MLFLOW_TRACKING_URI`.
    #[arg(long, value_name = "URL", env = "MLFLOW_TRACKING_URI")]
    pub mlflow_uri: Option<String>,
    /// Address of MLflow as the steps reach it, if it is another one.
    #[arg(long, value_name = "URL")]
    pub mlflow_step_uri: Option<String>,
    /// Path at which steps see the DVC store of datasets. Default: the bundled one where steps run on this machine,
    /// else /mnt/datasets.
    #[arg(long, value_name = "PATH")]
    pub dataset_store: Option<String>,
    /// Volume claim that is mounted there, if it has to be mounted.
    #[arg(long, value_name = "NAME")]
    pub dataset_claim: Option<String>,
    /// Image of the standard steps.
    #[arg(long)]
    pub image: Option<String>,
}

/// What is run: code, data, parameters.
#[derive(Debug, Clone, Args)]
pub struct Work {
    /// Repository of the model's code; without it the bundled one. A folder of this machine is allowed where steps
    /// run on this machine.
    #[arg(long, value_name = "URL")]
    pub git_repository: Option<String>,
    /// Commit of that repository, in full.
    #[arg(long, value_name = "SHA")]
    pub git_sha: Option<String>,
    /// Version of the data, as the repository names it.
    #[arg(long, value_name = "VERSION", default_value = "v1")]
    pub dataset_version: String,
    /// Environment variable for the repository's code; may be repeated.
    #[arg(long = "env", value_name = "K=V", value_parser = assignment)]
    pub environment: Vec<(String, String)>,
    /// Parameter of the repository's entry point; may be repeated.
    #[arg(long = "param", value_name = "K=V", value_parser = assignment)]
    pub parameters: Vec<(String, String)>,
    /// Share of the rows that is used for training.
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, allow_negative_numbers = true)]
    pub train_split: f64,
    /// Seed of split and training.
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// Name of the registered model. Default: the repository's name.
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    /// Experiment under which the run is recorded. Default: the model's name.
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
}

/// How the program behaves.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// End as soon as the run has been submitted.
    #[arg(long)]
    pub no_wait: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value = "text")]
    pub report: Report,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn an_assignment_needs_a_name_and_an_equals_sign() {
        assert_eq!(assignment("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(assignment("A="), Ok(("A".to_owned(), String::new())));
        assert!(assignment("A").is_err());
        assert!(assignment("=b").is_err());
    }
}
