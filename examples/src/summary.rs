//! The result on standard output: a summary for people, or one JSON object.

use std::io::Write;

use orchestrator_core::{RunRecord, RunReport};

use crate::exit::Failure;
use crate::flags::Report;

/// Writes the result.
///
/// # Errors
/// When standard output is closed.
pub fn write(record: RunRecord, report: Report) -> Result<(), Failure> {
    let text = match report {
        Report::Json => serde_json::to_string(&RunReport::from(record))
            .map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?,
        Report::Text => text(&record),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("cannot write the result: {error}")))
}

fn text(record: &RunRecord) -> String {
    let mut lines = vec![format!("{} {}", record.kind, record.state)];
    let mut row = |name: &str, value: &str| lines.push(format!("  {name:<16} {value}"));
    row("run", record.engine_run_id.as_str());
    row("engine", &record.engine);
    row("namespace", record.namespace.as_deref().unwrap_or("-"));
    row(
        "MLflow run",
        record.tracking.as_ref().map_or("-", |run| run.run_id.as_str()),
    );
    row("git repository", &record.git_repository);
    row("git sha", &record.git_sha);
    row("dataset version", &record.dataset_version);
    let train = record.train_split;
    row(
        "split",
        &format!("{train} train, {:.3} test, seed {}", 1.0 - train, record.seed),
    );
    let version = record
        .model_version
        .map(|version| format!(" version {version}"))
        .unwrap_or_default();
    row("model", &format!("{}{version}", record.model_name));
    for (name, link) in &record.links {
        row(&format!("{name} page"), link);
    }
    lines.push("  steps".to_owned());
    for step in &record.steps {
        let seconds = step
            .seconds
            .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"));
        lines.push(format!("    {:<22} {:<10} {seconds:>8}", step.name, step.state));
    }
    if !record.metrics.is_empty() {
        lines.push("  metrics".to_owned());
        lines.extend(
            record
                .metrics
                .iter()
                .map(|(name, value)| format!("    {name:<32} {value:.6}")),
        );
    }
    lines.extend(record.warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines.join("\n")
}
