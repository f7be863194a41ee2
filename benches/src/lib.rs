//! Shared by the benchmarks: runs a program again and again, and tells the spread of what was measured.

mod figures;
mod measure;
mod mlflow;

use std::process::ExitCode;

pub use figures::Figures;
pub use measure::{Measured, measure, measure_if_asked};
pub use mlflow::Mlflow;

/// What ends a benchmark early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a benchmark ends with; a failure is told in a line of the result.
pub fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = line(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes one line of the result to standard output.
///
/// # Errors
/// When standard output is closed.
pub fn line(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
