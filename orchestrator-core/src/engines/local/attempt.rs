//! One attempt of a step: a process group from its start to its end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::log::Log;

/// How long what a process wrote before its end is still waited for, if somebody who left the group holds the pipe.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What is said through the pipe that wakes the thread of a step.
const ENDED: u8 = b'e';
const CANCEL: u8 = b'c';

/// Asks the thread of a step to stop it.
pub(super) fn ask_to_stop(mut control: &PipeWriter) {
    if let Err(error) = control.write_all(&[CANCEL]) {
        tracing::debug!(%error, "the step has ended already");
    }
}

/// Kills what is left of a process group.
pub(super) fn kill(group: Pid) {
    signal(group, Signal::KILL);
}

fn signal(group: Pid, signal: Signal) {
    // The only failure is that nobody is left.
    if let Err(error) = kill_process_group(group, signal) {
        tracing::trace!(%error, ?group, "no process to signal");
    }
}

/// What an attempt starts.
pub(super) struct Attempt<'a> {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) folder: &'a Path,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Status 0.
    Succeeded,
    /// Anything else, in words that follow the step's name.
    Failed(String),
    /// Stopped because somebody asked for it.
    Stopped,
}

/// A process group that somebody must know of as long as it may be signalled.
pub(super) trait Registry {
    /// A group has been started; `false` if it is not wanted any more.
    fn started(&self, group: Pid) -> bool;
    /// The group's number is about to become free.
    fn ended(&self);
}

impl Attempt<'_> {
    /// Runs the attempt to its end. `control` and `waker` are the ends of one pipe.
    pub(super) fn run(
        self,
        control: &PipeReader,
        waker: &PipeWriter,
        registry: &impl Registry,
        log: &mut Log<'_>,
    ) -> End {
        let program = PathBuf::from(&self.program);
        let (mut child, output) = match self.spawn() {
            Ok(started) => started,
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "it is not on this machine".to_owned(),
                    _ => error.to_string(),
                };
                let message = format!("could not start {}: {why}", program.display());
                log.write(message.as_bytes());
                log.write(b"\n");
                return End::Failed(message);
            }
        };
        let group = Pid::from_child(&child);
        let wanted = registry.started(group);
        if !wanted {
            kill(group);
        }
        let watched = watch(group, waker);
        if watched.is_err() {
            kill(group);
        }
        let mut reader = Reader {
            output: Some(output),
            log,
            buffer: vec![0; 64 * 1024],
        };
        let stopped = match watched {
            Ok(()) => self.follow(group, control, &mut reader),
            Err(_) => None,
        };
        // Background processes of the step do not outlive it.
        kill(group);
        reader.drain();
        registry.ended();
        let status = child.wait();
        match (stopped, watched, status) {
            _ if !wanted => End::Stopped,
            (Some(Stop::Cancelled), ..) => End::Stopped,
            (Some(Stop::TookTooLong(limit)), ..) => End::Failed(format!("took longer than {limit:?}")),
            (None, Err(error), _) => End::Failed(format!("could not be watched: {error}")),
            (None, Ok(()), Err(error)) => End::Failed(format!("ended, and how is not known: {error}")),
            (None, Ok(()), Ok(status)) => verdict(status),
        }
    }

    fn spawn(&self) -> io::Result<(Child, PipeReader)> {
        let (output, input) = io::pipe()?;
        // The writing end lives in the command, so it must be gone before the end of the output is waited for.
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            .process_group(0)
            .spawn()?;
        Ok((child, output))
    }

    /// Copies output to the log until the main process has ended, and ends it when it is time to.
    fn follow(&self, group: Pid, mut control: &PipeReader, reader: &mut Reader<'_, '_>) -> Option<Stop> {
        let begun = Instant::now();
        let mut stopped = None;
        let mut deadline = self.timeout.and_then(|timeout| begun.checked_add(timeout));
        loop {
            let ready = reader.wait(control, deadline);
            if ready.control {
                let mut said = [0; 16];
                // The pipe cannot end, since this very step holds a writing end.
                let count = control.read(&mut said).unwrap_or(0);
                for word in said.iter().take(count) {
                    match *word {
                        ENDED => return stopped,
                        CANCEL if stopped.is_none() => {
                            stopped = Some(Stop::Cancelled);
                            signal(group, Signal::TERM);
                            deadline = Instant::now().checked_add(self.grace);
                        }
                        _ => {}
                    }
                }
            }
            if ready.output {
                reader.read();
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                if stopped.is_none() {
                    stopped = self.timeout.map(Stop::TookTooLong);
                    signal(group, Signal::TERM);
                    deadline = Instant::now().checked_add(self.grace);
                } else {
                    kill(group);
                    deadline = None;
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Stop {
    Cancelled,
    TookTooLong(Duration),
}

/// Says [`ENDED`] when the main process has ended. It stays a zombie, so its number is not given to another process
/// while signals may still be sent to the group.
fn watch(group: Pid, waker: &PipeWriter) -> io::Result<()> {
    let mut waker = waker.try_clone()?;
    let wait = move || {
        while let Err(rustix::io::Errno::INTR) =
            waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        if let Err(error) = waker.write_all(&[ENDED]) {
            tracing::debug!(%error, "nobody waits for the end of a step");
        }
    };
    thread::Builder::new().name("step-end".to_owned()).spawn(wait).map(drop)
}

fn verdict(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Succeeded,
        (Some(code), _) => End::Failed(format!("ended with status {code}")),
        (None, Some(signal)) => End::Failed(format!("was ended by signal {signal}")),
        (None, None) => End::Failed("ended in an unknown way".to_owned()),
    }
}

struct Ready {
    control: bool,
    output: bool,
}

/// Copies what a step writes into its log.
struct Reader<'a, 'b> {
    output: Option<PipeReader>,
    log: &'a mut Log<'b>,
    buffer: Vec<u8>,
}

impl Reader<'_, '_> {
    fn wait(&self, control: &PipeReader, deadline: Option<Instant>) -> Ready {
        let timeout = deadline.map(until);
        let mut control = PollFd::new(control, PollFlags::IN);
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let Some(output) = &self.output else {
            let mut fds = [control];
            let polled = poll(&mut fds, timeout.as_ref());
            let [control] = fds;
            return Ready {
                control: polled.is_ok() && ready(&control),
                output: false,
            };
        };
        let mut fds = [control.clone(), PollFd::new(output, PollFlags::IN)];
        let polled = poll(&mut fds, timeout.as_ref()).is_ok();
        let output;
        [control, output] = fds;
        Ready {
            control: polled && ready(&control),
            output: polled && ready(&output),
        }
    }

    fn read(&mut self) {
        let Some(output) = &mut self.output else { return };
        match output.read(&mut self.buffer) {
            Ok(0) | Err(_) => self.output = None,
            Ok(count) => self.log.write(self.buffer.get(..count).unwrap_or_default()),
        }
    }

    /// Copies what is left, without waiting long for processes that have left the group.
    fn drain(&mut self) {
        let Some(deadline) = Instant::now().checked_add(LAST_WORDS) else {
            return;
        };
        while let Some(output) = &self.output {
            let mut fds = [PollFd::new(output, PollFlags::IN)];
            if !matches!(poll(&mut fds, Some(&until(deadline))), Ok(1..)) || deadline <= Instant::now() {
                return;
            }
            self.read();
        }
    }
}

/// At most an hour, because some systems refuse long times; whoever waits looks again.
fn until(deadline: Instant) -> Timespec {
    let left = deadline
        .saturating_duration_since(Instant::now())
        .min(Duration::from_secs(3600));
    Timespec {
        tv_sec: left.as_secs().cast_signed(),
        tv_nsec: left.subsec_nanos().into(),
    }
}
