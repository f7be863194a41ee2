//! Files on this machine: read in pieces, written beside their target first, and never outside the folder meant.

use std::{
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use super::path::{self, MOST_DEPTH, is_local_name};
use crate::error::{Error, FileError, Result};

/// Read and handed on at once.
const PIECE: usize = 256 << 10;

/// A file to be sent, as it was when it was first looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    modified: Option<SystemTime>,
}

impl LocalFile {
    pub(super) async fn look(operation: &'static str, path: &Path) -> Result<Self> {
        let metadata = tokio::fs::metadata(path).await;
        let metadata = metadata.map_err(|error| FileError::of(operation, path, error))?;
        // A pipe would keep the caller waiting for ever.
        if !metadata.is_file() {
            let kind = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(FileError::of(operation, path, kind));
        }
        Ok(Self {
            path: path.to_owned(),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    /// Whether the file is still what it was. Otherwise what was sent may be half of one state and half of another.
    pub(super) async fn unchanged(&self, operation: &'static str) -> Result<()> {
        if Self::look(operation, &self.path).await? == *self {
            return Ok(());
        }
        let changed = io::Error::other("it changed while it was read");
        Err(FileError::of(operation, &self.path, changed))
    }

    /// The bytes from `from` on, `length` of them.
    pub(super) async fn bytes(
        &self,
        from: u64,
        length: u64,
    ) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        let mut file = File::open(&self.path).await?;
        file.set_max_buf_size(PIECE);
        if from > 0 {
            file.seek(SeekFrom::Start(from)).await?;
        }
        Ok(stream::try_unfold((file, length), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let mut buffer = BytesMut::with_capacity(size);
            while buffer.len() < size {
                let missing = (size - buffer.len()) as u64;
                if (&mut file).take(missing).read_buf(&mut buffer).await? == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
                }
            }
            let left = left - buffer.len() as u64;
            Ok(Some((buffer.freeze(), (file, left))))
        })
        .boxed())
    }
}

/// A file in the making, beside its target. Without [`persist`](Self::persist) it is gone when this is dropped.
#[derive(Debug)]
pub(super) struct PartialFile {
    operation: &'static str,
    path: PathBuf,
    target: PathBuf,
    file: Option<File>,
    persisted: bool,
}

impl PartialFile {
    pub(super) async fn create(operation: &'static str, target: &Path) -> Result<Self> {
        let name = path::name_of(target)?;
        // Renaming onto a folder fails at the very end otherwise.
        if tokio::fs::metadata(target)
            .await
            .is_ok_and(|metadata| metadata.is_dir())
        {
            let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
            return Err(FileError::of(operation, target, error));
        }
        // Names have a limit of their own.
        let short: String = name.chars().take(40).collect();
        let path = target.with_file_name(format!(".{short}.{}.part", uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path).await;
        let mut file = file.map_err(|error| FileError::of(operation, &path, error))?;
        file.set_max_buf_size(PIECE);
        Ok(Self {
            operation,
            path,
            target: target.to_owned(),
            file: Some(file),
            persisted: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, error: io::Error) -> Error {
        FileError::of(self.operation, &self.path, error)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let done = match &mut self.file {
            Some(file) => file.write_all(bytes).await,
            None => Err(io::Error::other("closed")),
        };
        done.map_err(|error| self.failed(error))
    }

    /// Begins anew.
    pub(super) async fn truncate(&mut self) -> Result<()> {
        let done = match &mut self.file {
            Some(file) => {
                async {
                    file.flush().await?;
                    file.set_len(0).await?;
                    file.seek(SeekFrom::Start(0)).await.map(drop)
                }
                .await
            }
            None => Err(io::Error::other("closed")),
        };
        done.map_err(|error| self.failed(error))
    }

    /// Makes it so large, for parts that are written in any order.
    pub(super) async fn reserve(&mut self, size: u64) -> Result<()> {
        let done = match &mut self.file {
            Some(file) => file.set_len(size).await,
            None => Err(io::Error::other("closed")),
        };
        done.map_err(|error| self.failed(error))
    }

    /// Another handle to it, which writes from `offset` on.
    pub(super) async fn writer_at(&self, offset: u64) -> Result<PartWriter> {
        let opened = async {
            let mut file = OpenOptions::new().write(true).open(&self.path).await?;
            file.set_max_buf_size(PIECE);
            file.seek(SeekFrom::Start(offset)).await?;
            Ok::<_, io::Error>(file)
        };
        let file = opened.await.map_err(|error| self.failed(error))?;
        Ok(PartWriter {
            operation: self.operation,
            path: self.path.clone(),
            file,
        })
    }

    /// All is written: to be called before the content is read or [persisted](Self::persist).
    pub(super) async fn close(&mut self, sync: bool) -> Result<()> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let done = async {
            file.flush().await?;
            if sync {
                file.sync_all().await?;
            }
            Ok::<_, io::Error>(())
        };
        done.await.map_err(|error| self.failed(error))
    }

    /// Takes the place of the target.
    pub(super) async fn persist(mut self, sync: bool) -> Result<()> {
        self.close(sync).await?;
        let renamed = tokio::fs::rename(&self.path, &self.target).await;
        renamed.map_err(|error| FileError::of(self.operation, &self.target, error))?;
        self.persisted = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.persisted
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a partial file could not be removed");
        }
    }
}

/// Writes a part of a [`PartialFile`].
#[derive(Debug)]
pub(super) struct PartWriter {
    operation: &'static str,
    path: PathBuf,
    file: File,
}

impl PartWriter {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let done = self.file.write_all(bytes).await;
        done.map_err(|error| FileError::of(self.operation, &self.path, error))
    }

    pub(super) async fn finish(mut self) -> Result<()> {
        let done = self.file.flush().await;
        done.map_err(|error| FileError::of(self.operation, &self.path, error))
    }
}

/// A file of a folder: its path below the folder, with `/`, and where it is.
pub(super) type Found = (String, PathBuf);

/// All files below `root`, in order of their paths. Every name is checked before any file is sent.
pub(super) async fn walk(operation: &'static str, root: &Path, follow_symlinks: bool) -> Result<Vec<Found>> {
    let root = root.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let mut files = Vec::new();
        below(operation, &root, "", 0, follow_symlinks, &mut files)?;
        files.sort();
        Ok(files)
    });
    work.await
        .unwrap_or_else(|error| Err(FileError::of(operation, Path::new(""), io::Error::other(error))))
}

fn below(
    operation: &'static str,
    folder: &Path,
    shown: &str,
    depth: usize,
    follow_symlinks: bool,
    files: &mut Vec<Found>,
) -> Result<()> {
    let failed = |path: &Path, error| FileError::of(operation, path, error);
    let refused = |path: &Path, why: &str| failed(path, io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if depth > MOST_DEPTH {
        return Err(refused(folder, "folders too deep"));
    }
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let place = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(refused(&place, "its name is not UTF-8"));
        };
        if path::segments(name).is_err() {
            return Err(refused(
                &place,
                "MLflow takes no such name: '\\', '#', percent-encoding or control characters",
            ));
        }
        let shown = path::join(shown, name);
        let mut kind = entry.file_type().map_err(|error| failed(&place, error))?;
        if kind.is_symlink() {
            if !follow_symlinks {
                return Err(refused(
                    &place,
                    "a symbolic link, which is not followed unless asked for",
                ));
            }
            kind = std::fs::metadata(&place)
                .map_err(|error| failed(&place, error))?
                .file_type();
            if kind.is_dir() {
                return Err(refused(&place, "a symbolic link to a folder, which is not followed"));
            }
        }
        if kind.is_dir() {
            below(operation, &place, &shown, depth + 1, follow_symlinks, files)?;
        } else if kind.is_file() {
            files.push((shown, place));
        } else {
            return Err(refused(&place, "neither a file nor a folder"));
        }
    }
    Ok(())
}

/// Where a file that a server names goes below `root`; makes the folders it needs. No part of the way may be a link, which
/// could lead out.
pub(super) async fn place_below(operation: &'static str, root: &Path, path: &str) -> Result<PathBuf> {
    let root = root.to_owned();
    let path = path.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let failed = |place: &Path, error| FileError::of(operation, place, error);
        let refused =
            |place: &Path, why: &str| failed(place, io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
        std::fs::create_dir_all(&root).map_err(|error| failed(&root, error))?;
        let mut place = root;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if !is_local_name(part) {
                return Err(refused(
                    &place.join("?"),
                    "the server names a file that cannot be one here",
                ));
            }
            place.push(part);
            let found = std::fs::symlink_metadata(&place);
            if parts.peek().is_none() {
                if found.is_ok_and(|found| found.is_dir()) {
                    return Err(refused(&place, "a folder is where a file is to be"));
                }
                break;
            }
            match found {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(refused(&place, "a link or a file is where a folder is to be")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => match std::fs::create_dir(&place) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&place, error)),
                    _ => {}
                },
                Err(error) => return Err(failed(&place, error)),
            }
        }
        Ok(place)
    });
    work.await
        .unwrap_or_else(|error| Err(FileError::of(operation, Path::new(""), io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_part_of_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, (0..=255_u8).cycle().take(700_000).collect::<Vec<_>>()).unwrap();
        let file = LocalFile::look("t", &path).await.unwrap();
        let read: Vec<Bytes> = file.bytes(256, 600_000).await.unwrap().try_collect().await.unwrap();
        assert_eq!(read.iter().map(Bytes::len).sum::<usize>(), 600_000);
        assert_eq!(read[0][..3], [0, 1, 2]);
        assert!(read.iter().all(|piece| piece.len() <= PIECE));
        let beyond: io::Result<Vec<Bytes>> = file.bytes(0, 700_001).await.unwrap().try_collect().await;
        assert!(beyond.is_err());
        std::fs::write(&path, "other").unwrap();
        assert!(matches!(file.unchanged("t").await, Err(Error::File(_))));
        assert!(matches!(LocalFile::look("t", folder.path()).await, Err(Error::File(_))));
    }

    #[tokio::test]
    async fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model.bin");
        std::fs::write(&target, "old").unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        {
            let mut part = PartialFile::create("t", &target).await.unwrap();
            part.write(b"ne").await.unwrap();
            assert_eq!(names(), 2);
        }
        assert_eq!(names(), 1);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        let mut part = PartialFile::create("t", &target).await.unwrap();
        part.write(b"nothing").await.unwrap();
        part.truncate().await.unwrap();
        part.write(b"new").await.unwrap();
        part.persist(true).await.unwrap();
        assert_eq!((names(), std::fs::read(&target).unwrap()), (1, b"new".to_vec()));
        assert!(PartialFile::create("t", folder.path()).await.is_err());
        assert!(PartialFile::create("t", &folder.path().join("no/where")).await.is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_do_not_lead_out() {
        use std::os::unix::fs::symlink;
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), folder.path().join("link")).unwrap();
        let refused = place_below("t", folder.path(), "link/f").await;
        assert!(matches!(refused, Err(Error::File(_))), "{refused:?}");
        for bad in ["../f", "a/../../f", "/f", "a//f", "a\\..\\f", "a\0"] {
            assert!(place_below("t", folder.path(), bad).await.is_err(), "{bad:?}");
        }
        let good = place_below("t", folder.path(), "a/b/f").await.unwrap();
        assert_eq!(good, folder.path().join("a/b/f"));
        assert!(folder.path().join("a/b").is_dir());

        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let up = tempfile::tempdir().unwrap();
        std::fs::create_dir(up.path().join("d")).unwrap();
        std::fs::write(up.path().join("d/f"), "x").unwrap();
        symlink(outside.path().join("secret"), up.path().join("key")).unwrap();
        let refused = walk("t", up.path(), false).await.unwrap_err();
        assert!(refused.to_string().contains("key"), "{refused}");
        let followed = walk("t", up.path(), true).await.unwrap();
        assert_eq!(
            followed.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            ["d/f", "key"]
        );
        symlink(outside.path(), up.path().join("out")).unwrap();
        assert!(walk("t", up.path(), true).await.is_err());
    }

    #[tokio::test]
    async fn names_that_mlflow_refuses_are_found_before_anything_is_sent() {
        for bad in ["a#b", "a%41"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("good"), "x").unwrap();
            std::fs::write(folder.path().join(bad), "x").unwrap();
            let error = walk("t", folder.path(), false).await.unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }
}
