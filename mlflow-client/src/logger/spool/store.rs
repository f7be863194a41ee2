//! The spool of one run: files that are written at one end, read at the other, and removed once they are delivered.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use super::{
    Fsync, Spool,
    frame::{self, BadHeader, Found},
    position::{Position, PositionFile},
};
use crate::logger::{
    entry::{Entry, KeyId, Keys},
    error::SpoolError,
};

const EXTENSION: &str = "spool";

/// A file with frames. Those of earlier processes are as long as they are; of our own only what was written in full
/// counts.
#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Writer {
    file: Arc<File>,
    path: PathBuf,
    defined: HashSet<KeyId>,
}

#[derive(Debug)]
struct Reader {
    segment: u64,
    file: File,
    offset: u64,
    numbers: HashMap<u32, KeyId>,
}

/// A frame that is being handed out.
#[derive(Debug)]
struct Frame {
    entries: vec::IntoIter<Entry>,
    offset: u64,
    length: u64,
    taken: u64,
}

#[derive(Debug)]
pub(in crate::logger) struct Store {
    folder: PathBuf,
    run_id: String,
    keys: Arc<Keys>,
    options: Spool,
    /// Locked for as long as this lives.
    lock: File,
    segments: VecDeque<Segment>,
    bytes: u64,
    /// The first file of this process.
    own: u64,
    next: u64,
    writer: Option<Writer>,
    dirty: Vec<Arc<File>>,
    reader: Option<Reader>,
    frame: Option<Frame>,
    cursor: Position,
    positions: PositionFile,
    buffer: Vec<u8>,
    unreadable: u64,
    /// Whether what earlier processes left was read once.
    counted: bool,
}

/// What an earlier process left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logger) struct Leftover {
    pub(in crate::logger) entries: u64,
    pub(in crate::logger) unreadable_bytes: u64,
}

impl Store {
    /// Opens or makes the spool of a run, and counts what is in it.
    pub(in crate::logger) fn open(
        options: Spool,
        run_id: &str,
        keys: Arc<Keys>,
    ) -> Result<(Self, Leftover), SpoolError> {
        let folder = options.folder.join(run_id);
        let lock = lock(&folder)?;
        let path = folder.join("position");
        let file = private()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| SpoolError::io(&path, error))?;
        let (positions, position) = PositionFile::open(file).map_err(|error| SpoolError::io(&path, error))?;
        let segments = segments(&folder).map_err(|error| SpoolError::io(&folder, error))?;
        let next = segments.back().map_or(1, |last| last.number + 1).max(position.segment);
        let mut store = Self {
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            folder,
            run_id: run_id.to_owned(),
            keys,
            options,
            lock,
            segments,
            own: next,
            next,
            writer: None,
            dirty: Vec::new(),
            reader: None,
            frame: None,
            cursor: position,
            positions,
            buffer: Vec::new(),
            unreadable: 0,
            counted: false,
        };
        let mut leftover = Leftover {
            entries: 0,
            unreadable_bytes: 0,
        };
        let mut entries = Vec::new();
        loop {
            store.read(10_000, &mut entries)?;
            if entries.is_empty() {
                break;
            }
            leftover.entries += entries.len() as u64;
            entries.clear();
        }
        leftover.unreadable_bytes = store.unreadable;
        store.counted = true;
        store.cursor = position;
        store.reader = None;
        store.frame = None;
        Ok((store, leftover))
    }

    /// Appends entries; answers how many are written, and what stopped it.
    pub(in crate::logger) fn append(&mut self, entries: &[Entry]) -> (usize, Result<(), SpoolError>) {
        let mut written = 0;
        while let Some(rest) = entries.get(written..).filter(|rest| !rest.is_empty()) {
            match self.append_frame(rest) {
                Ok(count) => written += count,
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    fn append_frame(&mut self, entries: &[Entry]) -> Result<usize, SpoolError> {
        let mut writer = match self.writer.take() {
            Some(writer) if self.last_bytes() < self.options.segment_bytes => writer,
            _ => self.new_segment()?,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let count = frame::write(entries, &self.keys.read(), &mut writer.defined, &mut buffer);
        let result = self.write_frame(&writer, &buffer);
        self.buffer = buffer;
        match result {
            Ok(()) => {
                if !self.dirty.iter().any(|file| Arc::ptr_eq(file, &writer.file)) {
                    self.dirty.push(Arc::clone(&writer.file));
                }
                self.writer = Some(writer);
                Ok(count)
            }
            Err(error) => {
                // A file may have reached a limit of its own. An empty one is used again, so they do not add up.
                let empty = self.last_bytes() <= frame::MOST_HEADER as u64;
                writer.defined.clear();
                self.writer = empty.then_some(writer);
                Err(error)
            }
        }
    }

    fn write_frame(&mut self, writer: &Writer, frame: &[u8]) -> Result<(), SpoolError> {
        if self.bytes + frame.len() as u64 > self.options.max_bytes {
            return Err(SpoolError::Full {
                path: self.folder.clone(),
                source: None,
            });
        }
        if let Err(error) = self.options.write(&writer.file, frame) {
            // What was written of it would be read as damage after a restart.
            if let Err(error) = writer.file.set_len(self.last_bytes()) {
                tracing::warn!(path = %writer.path.display(), %error, "a half-written part of the spool stays");
            }
            return Err(SpoolError::io(&writer.path, error));
        }
        self.bytes += frame.len() as u64;
        if let Some(last) = self.segments.back_mut() {
            last.bytes += frame.len() as u64;
        }
        Ok(())
    }

    fn last_bytes(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.bytes)
    }

    fn new_segment(&mut self) -> Result<Writer, SpoolError> {
        let number = self.next;
        let path = self.path(number);
        let header = frame::header(&self.run_id);
        let failed = |error| SpoolError::io(&path, error);
        let file = private().append(true).create_new(true).open(&path).map_err(failed)?;
        let written = self
            .options
            .write(&file, &header)
            .and_then(|()| match self.options.fsync {
                Fsync::Acknowledgement => sync_folder(&self.folder),
                Fsync::Interval(_) => Ok(()),
            });
        if let Err(error) = written {
            drop(file);
            // If this fails too, the file is found torn, and nothing is missing.
            let _ = fs::remove_file(&path);
            self.next += u64::from(path.exists());
            return Err(failed(error));
        }
        self.next += 1;
        self.segments.push_back(Segment {
            number,
            bytes: header.len() as u64,
        });
        self.bytes += header.len() as u64;
        Ok(Writer {
            file: Arc::new(file),
            path,
            defined: HashSet::new(),
        })
    }

    /// The files with something that is not yet forced to the disk.
    pub(in crate::logger) fn take_dirty(&mut self) -> Vec<Arc<File>> {
        std::mem::take(&mut self.dirty)
    }

    pub(in crate::logger) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub(in crate::logger) fn keep_dirty(&mut self, files: Vec<Arc<File>>) {
        self.dirty.extend(files);
    }

    /// Reads on, until `out` holds `most` entries or there are no more; answers where it stopped.
    pub(in crate::logger) fn read(&mut self, most: usize, out: &mut Vec<Entry>) -> Result<Position, SpoolError> {
        while out.len() < most {
            if let Some(frame) = &mut self.frame {
                if let Some(entry) = frame.entries.next() {
                    out.push(entry);
                    frame.taken += 1;
                    self.cursor.offset = frame.offset;
                    self.cursor.skip = frame.taken;
                    continue;
                }
                self.cursor.offset = frame.offset + frame.length;
                self.cursor.skip = 0;
                self.frame = None;
            }
            if !self.next_frame()? {
                break;
            }
        }
        Ok(self.cursor)
    }

    /// Reads the frame at the cursor; `false` if there is none yet.
    fn next_frame(&mut self) -> Result<bool, SpoolError> {
        loop {
            let Some((number, end)) = self
                .segments
                .iter()
                .find(|segment| segment.number >= self.cursor.segment)
                .map(|segment| (segment.number, segment.bytes))
            else {
                return Ok(false);
            };
            if self.cursor.segment != number {
                self.cursor = Position {
                    segment: number,
                    ..Position::default()
                };
            }
            if self.reader.as_ref().is_none_or(|reader| reader.segment != number) {
                self.reader = self.open_segment(number, end)?;
            }
            let Some(reader) = &mut self.reader else {
                // Nothing in it can be read.
                self.cursor.segment = number + 1;
                continue;
            };
            let found = reader
                .frame(end, &self.keys)
                .map_err(|error| SpoolError::io(segment_path(&self.folder, number), error))?;
            match found {
                Found::Frame { entries, length } => {
                    let offset = reader.offset;
                    reader.offset += length as u64;
                    if offset < self.cursor.offset {
                        // Delivered already; read for the keys it defines.
                        continue;
                    }
                    let skip = if offset == self.cursor.offset {
                        self.cursor.skip
                    } else {
                        0
                    };
                    let mut entries = entries.into_iter();
                    if let Some(last) = usize::try_from(skip).ok().and_then(|skip| skip.checked_sub(1)) {
                        entries.nth(last);
                    }
                    self.frame = Some(Frame {
                        entries,
                        offset,
                        length: length as u64,
                        taken: skip,
                    });
                    return Ok(true);
                }
                Found::Damaged { length } => {
                    reader.offset += length as u64;
                    self.damaged(number, length as u64);
                }
                Found::Nothing if number + 1 == self.next && self.own <= number => return Ok(false),
                Found::Nothing => {
                    let torn = end.saturating_sub(reader.offset);
                    self.damaged(number, torn);
                    self.reader = None;
                    self.cursor = Position {
                        segment: number + 1,
                        ..Position::default()
                    };
                }
            }
        }
    }

    fn damaged(&mut self, number: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        // Those of earlier processes are read twice.
        let again = number < self.own && self.counted;
        if !again {
            self.unreadable += bytes;
            tracing::warn!(path = %self.path(number).display(), bytes, "a part of the spool cannot be read");
        }
    }

    fn open_segment(&mut self, number: u64, end: u64) -> Result<Option<Reader>, SpoolError> {
        let path = self.path(number);
        let failed = |error| SpoolError::io(&path, error);
        let mut file = File::open(&path).map_err(failed)?;
        let mut head = Vec::new();
        (&mut file)
            .take(frame::MOST_HEADER as u64)
            .read_to_end(&mut head)
            .map_err(failed)?;
        match frame::read_header(&head, &self.run_id) {
            Ok(length) => Ok(Some(Reader {
                segment: number,
                file,
                offset: length as u64,
                numbers: HashMap::new(),
            })),
            Err(BadHeader::Torn) => {
                self.damaged(number, end);
                Ok(None)
            }
            Err(BadHeader::Foreign(reason)) => Err(SpoolError::Format { path, reason }),
        }
    }

    /// Notes that everything before `position` is delivered, and removes the files that hold nothing else.
    pub(in crate::logger) fn confirm(&mut self, position: Position) -> Result<(), SpoolError> {
        self.positions
            .write(position)
            .map_err(|error| SpoolError::io(self.folder.join("position"), error))?;
        while let Some(first) = self.segments.front()
            && first.number < position.segment
        {
            let path = self.path(first.number);
            fs::remove_file(&path).map_err(|error| SpoolError::io(&path, error))?;
            self.bytes -= first.bytes;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Whether files could go if it were noted that everything before `position` is delivered.
    pub(in crate::logger) fn is_behind(&self, position: Position) -> bool {
        self.segments
            .front()
            .is_some_and(|first| first.number < position.segment)
    }

    /// Bytes that could not be read.
    pub(in crate::logger) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Removes the spool, of which everything is delivered.
    pub(in crate::logger) fn remove(self) -> Result<(), SpoolError> {
        let numbers = self.segments.iter().map(|segment| self.path(segment.number));
        let paths: Vec<_> = numbers
            .chain([self.folder.join("position"), lock_path(&self.folder)])
            .collect();
        drop((self.writer, self.reader, self.dirty));
        for path in paths {
            fs::remove_file(&path).map_err(|error| SpoolError::io(&path, error))?;
        }
        // Another file in it is not ours to remove.
        let _ = fs::remove_dir(&self.folder);
        drop(self.lock);
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        segment_path(&self.folder, number)
    }
}

impl Reader {
    /// The frame at the offset, of a file that ends at `end`.
    fn frame(&mut self, end: u64, keys: &Keys) -> io::Result<Found> {
        let left = end.saturating_sub(self.offset);
        if left < frame::FRAME_HEAD as u64 {
            return Ok(Found::Nothing);
        }
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = vec![0; frame::FRAME_HEAD];
        self.file.read_exact(&mut bytes)?;
        let Some(length) = frame::length(&bytes).filter(|length| *length as u64 <= left) else {
            return Ok(Found::Nothing);
        };
        bytes.resize(length, 0);
        if let Some(content) = bytes.get_mut(frame::FRAME_HEAD..) {
            self.file.read_exact(content)?;
        }
        Ok(frame::read(&bytes, keys, &mut self.numbers))
    }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{EXTENSION}"))
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// The files with frames, oldest first.
fn segments(folder: &Path) -> io::Result<VecDeque<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        if let Some(number) = number {
            found.push(Segment {
                number,
                bytes: entry.metadata()?.len(),
            });
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found.into())
}

/// Nobody but the owner may read or write the files.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn lock(folder: &Path) -> Result<File, SpoolError> {
    let path = lock_path(folder);
    let failed = |error| SpoolError::io(&path, error);
    // Its last owner may remove the folder at any moment before the lock is ours.
    for _ in 0..10 {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder).map_err(failed)?;
        let file = match private().write(true).create(true).truncate(false).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SpoolError::InUse {
                    path: folder.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Err(SpoolError::InUse {
        path: folder.to_owned(),
    })
}

/// Whether the file is still the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Makes the name of a new file as safe as its content.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}
