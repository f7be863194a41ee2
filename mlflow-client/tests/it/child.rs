//! A test that runs in a process of its own: this program again, with one test.

use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the one test that `command` runs has passed; what it told.
pub(crate) async fn passes(mut command: Command, test: &str) -> String {
    command
        .args(["--exact", "--nocapture", "--test-threads=1", test])
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::time::timeout(LIMIT, output).await.unwrap().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    told
}
