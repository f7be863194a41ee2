//! A disk on which the kernel refuses to write.
//!
//! What it refuses with is the limit of the size of files, which a process of its own sets for itself and takes back: it
//! writes as much as there is room for, and then fails, as on a disk that fills up. The limit holds for every file of the
//! process, so nothing else may run in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mlflow_client::{LogError, RunLogger, Spool, SpoolError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{LIMIT, SOON, Setup, is_empty, quick, steps, until};
use crate::child;

const CHILD: &str = "LOGGER_TEST_FULL_DISK";

/// The first eight bytes, version, length of the run's id, the id, checksum.
const HEADER: u64 = 8 + 2 + 2 + 32 + 4;

/// Files may have this many bytes from now on, or as many as they like.
fn room_for(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let current = bytes.or(maximum);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

fn is_file_of_spool(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "spool")
}

/// The files with frames, oldest first, and their sizes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| is_file_of_spool(&entry.path()))
        .map(|entry| (entry.path(), entry.metadata().unwrap().len()))
        .collect();
    files.sort();
    files
}

/// All files as they are, as if the process were killed now.
fn photograph(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into())
        .map(|name: PathBuf| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect()
}

fn assert_refused(refused: &Result<(), LogError>) {
    let Err(LogError::Spool(SpoolError::Full {
        source: Some(source), ..
    })) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge, "{source}");
}

#[tokio::test]
async fn what_the_kernel_refuses_to_write_is_told_and_nothing_is_lost() {
    if std::env::var_os(CHILD).is_some() {
        return filling_up().await;
    }
    // Signals that are ignored stay so in the program that takes the place of the shell.
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap '' XFSZ && exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1");
    let test = "logger::full_disk::what_the_kernel_refuses_to_write_is_told_and_nothing_is_lost";
    child::passes(command, test).await;
}

async fn filling_up() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(setup.run.as_str());
    let start = |limit: Duration| {
        let spool = Spool::new(folder.path());
        let builder = quick(RunLogger::builder(&setup.client, setup.run.clone()));
        builder.capacity(100).spool(spool).close_limit(limit).start().unwrap()
    };
    let logger = start(SOON);
    let mut step = 0;
    let mut log = |logger: &RunLogger, count: i64| {
        for _ in 0..count {
            logger.log("m", 0.5, step).unwrap();
            step += 1;
        }
    };
    setup.mlflow.down(true);
    log(&logger, 50);
    logger.sync(LIMIT).await.unwrap();
    let written = files(&own);
    let [(_, size)] = written.as_slice() else {
        panic!("{written:?}")
    };

    // A little of the next record fits into the file there is, and then a header and the beginning of a record into each
    // new one.
    room_for(Some(size + 20));
    log(&logger, 100);
    let refused = logger.sync(LIMIT).await;
    assert_refused(&refused);
    room_for(Some(HEADER + 12));
    log(&logger, 50);
    assert_refused(&logger.sync(LIMIT).await);
    let status = logger.status().report;
    assert!(matches!(status.spool_error, Some(SpoolError::Full { .. })), "{status}");
    assert_eq!((status.rejected, status.dropped), (0, 0), "{status}");
    // It tries again and again. In between no half of a record stays, neither in the first file nor in the next.
    let mut killed = BTreeMap::new();
    until("only whole records stay", || {
        killed = photograph(&own);
        let sizes: Vec<_> = killed
            .iter()
            .filter(|(name, _)| is_file_of_spool(name))
            .map(|(_, content)| content.len() as u64)
            .collect();
        sizes == [*size, HEADER]
    })
    .await;

    // Not a byte can be written anywhere, and all is delivered from memory.
    room_for(Some(0));
    log(&logger, 50);
    setup.mlflow.down(false);
    let report = logger.flush(LIMIT).await.unwrap();
    assert_eq!((report.logged, report.delivered), (250, 250), "{report}");
    assert!(report.spool_error.is_some());
    for _ in 0..5 {
        log(&logger, 50);
        logger.flush(LIMIT).await.unwrap();
    }
    assert_eq!(steps(&setup.history("m").await), (0..500).collect::<Vec<_>>());

    room_for(None);
    log(&logger, 50);
    until("the disk is written again", || {
        logger.status().report.spool_error.is_none()
    })
    .await;
    logger.flush(LIMIT).await.unwrap();
    setup.mlflow.down(true);
    log(&logger, 50);
    logger.sync(LIMIT).await.unwrap();
    let report = logger.close().await;
    assert_eq!(
        (report.logged, report.delivered, report.kept),
        (600, 550, 50),
        "{report}"
    );
    assert_eq!((report.undelivered, report.unreadable_bytes), (0, 0), "{report}");
    setup.mlflow.down(false);

    // What a process would have left that was killed while the disk was full: whole records and nothing else.
    let copy = tempfile::tempdir().unwrap();
    let of_run = copy.path().join(setup.run.as_str());
    fs::create_dir(&of_run).unwrap();
    for (name, content) in killed {
        fs::write(of_run.join(name), content).unwrap();
    }
    let recovered = Spool::new(copy.path()).recover(&setup.client, LIMIT).await.unwrap();
    let report = recovered[0].result.as_ref().unwrap();
    assert!(report.is_complete() && report.recovered == 50, "{report}");
    assert_eq!(report.unreadable_bytes, 0, "{report}");

    let logger = start(LIMIT);
    let report = logger.close().await;
    assert_eq!((report.recovered, report.delivered), (50, 50), "{report}");
    assert_eq!(report.unreadable_bytes, 0, "{report}");
    assert_eq!(steps(&setup.history("m").await), (0..600).collect::<Vec<_>>());
    assert!(is_empty(folder.path()));
}
