//! Child processes in groups of their own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Most of a pod's output that is kept; the rest is read and dropped, so the step does not block.
const LOG_LIMIT: usize = 4 << 20;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Code(i32),
    /// Killed because the run or the step was over.
    Killed,
    /// It ran longer than it may.
    TooLong,
}

/// Kills the group when it goes out of scope, so no step outlives its run.
struct Group(Child);

impl Group {
    fn kill(&self) {
        if let Ok(pid) = i32::try_from(self.0.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _gone = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs a command to its end; its output goes to `log`.
pub(super) fn run(
    mut command: Command,
    log: &Path,
    limit: Option<Duration>,
    over: impl Fn() -> bool,
) -> std::io::Result<Ended> {
    let mut file = File::options().create(true).append(true).open(log)?;
    let (mut reader, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let started = command.spawn();
    // The command holds the writing end of the pipe: without it the reader sees the end.
    drop(command);
    let mut group = match started {
        Ok(child) => Group(child),
        Err(error) => {
            writeln!(file, "cannot start: {error}")?;
            return Ok(Ended::Code(127));
        }
    };
    let (finished, reading) = mpsc::channel::<()>();
    std::thread::Builder::new()
        .name("kfp-pod-log".to_owned())
        .spawn(move || {
            let mut buffer = [0; 8192];
            let mut kept = 0;
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                let room = LOG_LIMIT.saturating_sub(kept).min(count);
                if let Some(part) = buffer.get(..room) {
                    let _unwritten = file.write_all(part);
                }
                kept += room;
            }
            drop(finished);
        })?;
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut pause = Duration::from_millis(2);
    let ended = loop {
        if let Some(status) = group.0.try_wait()? {
            break Ended::Code(status.code().unwrap_or(137));
        }
        if over() {
            break Ended::Killed;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break Ended::TooLong;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(25));
    };
    drop(group);
    // What escaped the group could hold the pipe open for ever.
    let _closed = reading.recv_timeout(Duration::from_secs(2));
    Ok(ended)
}
