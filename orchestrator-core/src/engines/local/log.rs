//! The log of a step: what its processes wrote, within bounds.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::LogTail;

/// A step can write without end; the newest one or two segments are kept, because errors come last.
const SEGMENT: u64 = 8 * 1024 * 1024;
/// Longest text that a tail is taken from, whatever number of lines is asked for.
const LONGEST_TAIL: u64 = 4 * 1024 * 1024;

fn current(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn previous(folder: &Path) -> PathBuf {
    folder.join("log.previous")
}

/// Writes the log of one attempt.
pub(super) struct Log<'a> {
    folder: PathBuf,
    file: Option<File>,
    written: u64,
    // Readers hold it while they open both segments, so that none is renamed in between.
    turning: &'a Mutex<()>,
}

impl<'a> Log<'a> {
    /// An empty log, in place of that of an earlier attempt.
    pub(super) fn new(folder: &Path, turning: &'a Mutex<()>) -> io::Result<Self> {
        let _turn = turning.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::remove_file(previous(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            folder: folder.to_owned(),
            file: Some(File::create(current(folder))?),
            written: 0,
            turning,
        })
    }

    /// Adds to the log. A full disk must not stop the step, so errors end the log and nothing else.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_write(bytes) {
            tracing::warn!(folder = %self.folder.display(), %error, "the log of a step cannot be written any more");
            self.file = None;
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.written >= SEGMENT {
            let _turn = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
            fs::rename(current(&self.folder), previous(&self.folder))?;
            *file = File::create(current(&self.folder))?;
            self.written = 0;
        }
        file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// The last lines of a step's log; empty if there is no log.
pub(super) fn tail(folder: &Path, turning: &Mutex<()>, lines: usize) -> io::Result<LogTail> {
    let (mut newer, mut older) = {
        let _turn = turning.lock().unwrap_or_else(PoisonError::into_inner);
        (open(&current(folder))?, open(&previous(folder))?)
    };
    let mut wanted = 64 * 1024;
    loop {
        let (bytes, whole) = last_bytes(&mut newer, &mut older, wanted)?;
        if whole || wanted >= LONGEST_TAIL || bytes.split(|byte| *byte == b'\n').count() > lines + 1 {
            let text = String::from_utf8_lossy(&bytes);
            let from_line_start = match text.split_once('\n') {
                Some((_, rest)) if !whole => rest,
                _ => &text,
            };
            let mut tail = LogTail::of(from_line_start, lines);
            tail.truncated |= !whole;
            return Ok(tail);
        }
        wanted *= 4;
    }
}

fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let length = file.metadata()?.len();
            Ok(Some((file, length)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last `wanted` bytes of both files, and whether that is all there is.
fn last_bytes(
    newer: &mut Option<(File, u64)>,
    older: &mut Option<(File, u64)>,
    wanted: u64,
) -> io::Result<(Vec<u8>, bool)> {
    let length = |file: &Option<(File, u64)>| file.as_ref().map_or(0, |(_, length)| *length);
    let of_newer = wanted.min(length(newer));
    let of_older = (wanted - of_newer).min(length(older));
    let whole = of_newer + of_older == length(newer) + length(older);
    let mut bytes = Vec::new();
    for (file, count) in [(older, of_older), (newer, of_newer)] {
        if let Some((file, length)) = file {
            file.seek(SeekFrom::Start(*length - count))?;
            file.take(count).read_to_end(&mut bytes)?;
        }
    }
    Ok((bytes, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_log_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let turning = Mutex::new(());
        let mut log = Log::new(folder.path(), &turning).unwrap();
        let line = vec![b'x'; 64 * 1024 - 1];
        for _ in 0..400 {
            log.write(&line);
            log.write(b"\n");
        }
        log.write(b"the last \xff line\n");
        let size = [current(folder.path()), previous(folder.path())].map(|path| fs::metadata(path).unwrap().len());
        assert!(size.iter().sum::<u64>() <= 2 * SEGMENT + 128 * 1024, "{size:?}");
        let tail = tail(folder.path(), &turning, 2).unwrap();
        assert!(tail.truncated);
        assert_eq!(tail.lines.len(), 2);
        assert_eq!(tail.lines[0].len(), line.len());
        assert_eq!(tail.lines[1], "the last \u{fffd} line");
    }

    #[test]
    fn a_tail_reaches_back_over_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let turning = Mutex::new(());
        let mut log = Log::new(folder.path(), &turning).unwrap();
        log.write(b"before\n");
        log.written = SEGMENT;
        log.write(b"after\n");
        let both = tail(folder.path(), &turning, 5).unwrap();
        assert_eq!(both.lines, ["before", "after"]);
        assert!(!both.truncated);
        assert!(tail(folder.path(), &turning, 1).unwrap().truncated);
        let log = Log::new(folder.path(), &turning).unwrap();
        drop(log);
        assert_eq!(tail(folder.path(), &turning, 5).unwrap(), LogTail::default());
    }

    #[test]
    fn no_log_is_an_empty_tail() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(tail(folder.path(), &Mutex::new(()), 5).unwrap(), LogTail::default());
    }
}
