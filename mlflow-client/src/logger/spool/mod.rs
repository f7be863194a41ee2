//! A folder where entries are safe from the end of the process until they are delivered.

mod frame;
mod position;
mod store;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(super) use position::Position;
pub(super) use store::Store;

use super::{
    RunLogger,
    error::{LogError, SpoolError},
    report::Report,
};
use crate::{client::Client, ids::RunId};

/// When what was written is forced to the disk.
///
/// What is written survives the end of the process in any case. Only a crash of the operating system or a loss of power
/// can take what was not forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Before [`RunLogger::sync`] returns, so that what it acknowledges survives a loss of power. Some milliseconds each.
    Acknowledgement,
    /// In the background, once in a while. An acknowledgement then means that the end of the process loses nothing.
    Interval(Duration),
}

/// A folder with spools, one for each run, and how they are kept.
///
/// A logger with a spool writes all that it takes to files before it sends it, and removes them once the server has
/// confirmed it. Neither an outage of the server nor the end of the process, by whatever signal, loses what was
/// acknowledged, see [`RunLogger::sync`]. What a killed process left is delivered by [`recover`](Self::recover), or by the
/// next logger of the same run with this folder.
///
/// Files are readable by their owner only; every record has a checksum, and a record cut short at the end of a file is
/// what its writer had not acknowledged. A folder on a network file system without locks is not safe from two writers.
///
/// ```no_run
/// use std::time::Duration;
/// use mlflow_client::{Client, Fsync, Spool};
///
/// # async fn demo(client: Client, run: mlflow_client::Run) -> Result<(), Box<dyn std::error::Error>> {
/// let spool = Spool::new("/var/lib/training/spool").fsync(Fsync::Acknowledgement);
/// // What earlier processes could not deliver.
/// for recovered in spool.recover(&client, Duration::from_secs(60)).await? {
///     println!("{}: {:?}", recovered.run_id, recovered.result);
/// }
/// let logger = client.runs().logger(run.id()).spool(spool).start()?;
/// logger.log("loss", 0.3, 1)?;
/// logger.sync(Duration::from_secs(5)).await?; // From here on a killed process loses nothing of it.
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Spool {
    folder: PathBuf,
    fsync: Fsync,
    segment_bytes: u64,
    max_bytes: u64,
    full: Option<Arc<AtomicBool>>,
}

/// What [`Spool::recover`] did for one run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The run.
    pub run_id: RunId,
    /// What became of its spool. [`SpoolError::InUse`] if a logger still works on it.
    pub result: Result<Report, LogError>,
}

impl Spool {
    /// Spools in `folder`, which is made if need be.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            fsync: Fsync::Interval(Duration::from_secs(1)),
            segment_bytes: 8 << 20,
            max_bytes: 4 << 30,
            full: None,
        }
    }

    /// When what was written is forced to the disk; default every second.
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// The size at which a new file is begun; default 8 MiB. Room is given back file by file.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// What the files of one run may take together; default 4 GiB, some hundred million points. Beyond it the spool is
    /// full, as if the disk were.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// For tests: while the flag is set, writing fails as it does on a full disk.
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    pub fn full_while(mut self, flag: Arc<AtomicBool>) -> Self {
        self.full = Some(flag);
        self
    }

    /// Delivers what loggers that are no more have left in this folder, run after run, each for up to `limit`.
    ///
    /// What cannot be delivered stays. Spools that are in use are left alone. Sending again what had been delivered is
    /// harmless: the server keeps equal points once.
    ///
    /// # Errors
    ///
    /// [`LogError::Spool`] if the folder cannot be read; troubles with one spool are in its [`Recovered::result`].
    pub async fn recover(&self, client: &Client, limit: Duration) -> Result<Vec<Recovered>, LogError> {
        let mut recovered = Vec::new();
        for run_id in self.left().map_err(|error| SpoolError::io(&self.folder, error))? {
            let started = RunLogger::builder(client, run_id.clone())
                .spool(self.clone())
                .close_limit(limit)
                .start();
            let result = match started {
                Ok(logger) => Ok(logger.close().await),
                Err(error) => Err(error),
            };
            recovered.push(Recovered { run_id, result });
        }
        Ok(recovered)
    }

    /// The runs with a spool.
    fn left(&self) -> io::Result<Vec<RunId>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(name) = name.to_str().filter(|name| is_folder_name(name))
                && entry.path().join("position").exists()
            {
                runs.push(RunId::new(name));
            }
        }
        runs.sort();
        Ok(runs)
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        match self.fsync {
            Fsync::Acknowledgement => None,
            Fsync::Interval(interval) => Some(interval),
        }
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        if self.full.as_ref().is_some_and(|full| full.load(Ordering::SeqCst)) {
            // As much as there was room for.
            file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(bytes)
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("folder", &self.folder)
            .field("fsync", &self.fsync)
            .field("segment_bytes", &self.segment_bytes)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// Whether a run's id can name a folder.
pub(super) fn is_folder_name(run_id: &str) -> bool {
    (1..=128).contains(&run_id.len())
        && run_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
