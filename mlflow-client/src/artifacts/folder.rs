//! Folders: what is below them, up and down.

use std::{collections::VecDeque, path::Path};

use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    FileInfo, local,
    path::{self, MOST_DEPTH},
    repository::{ArtifactRepository, TransferredFile},
};
use crate::{
    endpoint::Call,
    error::{Error, Result},
    http::context,
};

impl ArtifactRepository {
    /// Everything below `folder`, or below the root if it is empty: a folder comes before what is in it. It is asked for
    /// folder by folder, as the stream is read.
    ///
    /// The stream ends with [`Error::UnexpectedResponse`] if the server lists something that does not lie in the folder that
    /// was asked for.
    pub fn list_all(&self, folder: &str) -> impl Stream<Item = Result<FileInfo>> + Send + use<> {
        struct State {
            repository: ArtifactRepository,
            found: VecDeque<FileInfo>,
            /// Not yet asked for.
            folders: Vec<String>,
        }
        let state = State {
            repository: self.clone(),
            found: VecDeque::new(),
            folders: vec![folder.to_owned()],
        };
        stream::try_unfold(state, |mut state| async move {
            loop {
                if let Some(file) = state.found.pop_front() {
                    return Ok(Some((file, state)));
                }
                let Some(folder) = state.folders.pop() else {
                    return Ok(None);
                };
                let files = state.repository.list(&folder).await?;
                let mut below = Vec::new();
                for file in files {
                    let deep = file.path.split('/').count() > MOST_DEPTH;
                    if deep || path::child(&folder, &file.path).is_none() {
                        return Err(state.repository.misplaced(&file.path));
                    }
                    if file.is_dir {
                        below.push(file.path.clone());
                    }
                    state.found.push_back(file);
                }
                below.reverse();
                state.folders.extend(below);
            }
        })
    }

    fn misplaced(&self, path: &str) -> Error {
        let message = format!("`{}` is not where it is said to be", path.escape_debug());
        match Call::new("artifacts.list", http::Method::GET, &self.client().inner.base, []) {
            Ok(call) => Error::UnexpectedResponse(context(&call, message)),
            Err(error) => error,
        }
    }

    /// Sends all files below the local `folder` to below `path`, or to below the root if that is empty. Empty folders leave
    /// no trace, since MLflow knows only files.
    ///
    /// All names are checked before anything is sent. The first failure ends the whole; files sent by then stay.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for what cannot be read or may not be sent: symbolic links unless
    /// [`follow_symlinks`](crate::TransferOptions::follow_symlinks) is on, pipes and devices, names that are not UTF-8 or that
    /// MLflow refuses.
    pub async fn upload_folder(&self, path: &str, folder: impl AsRef<Path>) -> Result<Vec<TransferredFile>> {
        self.options().check()?;
        path::folder(path)?;
        let follow = self.options().follow_symlinks;
        let files = local::walk("artifacts.upload_folder", folder.as_ref(), follow).await?;
        let mut done: Vec<TransferredFile> = stream::iter(files)
            .map(|(below, place)| {
                let target = path::join(path, &below);
                async move { self.upload_file(&target, place).await }
            })
            .buffer_unordered(self.options().parallel)
            .try_collect()
            .await?;
        done.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(done)
    }

    /// Writes all files below `path`, or below the root if that is empty, to below the local `folder`, which is made if it is
    /// not there. Each file appears when it is whole. What else is in the folder stays.
    ///
    /// The names are the server's: one that would lead out of the folder is refused before anything is written, and so is a
    /// symbolic link on the way. The first failure ends the whole; files that are whole by then stay.
    pub async fn download_folder(&self, path: &str, folder: impl AsRef<Path>) -> Result<Vec<TransferredFile>> {
        let operation = "artifacts.download_folder";
        self.options().check()?;
        if self.options().expected.is_some() {
            return Err(Error::invalid("expect", "not set when a folder is downloaded"));
        }
        // First all names, so that listing does not wait for downloads, nor downloads for a name that is refused later.
        let files: Vec<FileInfo> = self.list_all(path).try_collect().await?;
        let below = |file: &str| {
            let rest = if path.is_empty() {
                Some(file)
            } else {
                file.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'))
            };
            rest.filter(|rest| rest.split('/').all(path::is_local_name))
                .map(str::to_owned)
        };
        let mut jobs = Vec::new();
        for file in files.into_iter().filter(|file| !file.is_dir) {
            let local = below(&file.path).ok_or_else(|| self.misplaced(&file.path))?;
            jobs.push((file, local));
        }
        let folder = folder.as_ref();
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|error| crate::error::FileError::of(operation, folder, error))?;
        let mut done: Vec<TransferredFile> = stream::iter(jobs)
            .map(|(file, local)| async move {
                let target = local::place_below(operation, folder, &local).await?;
                self.fetch(&file.path, &target, file.size()).await
            })
            .buffer_unordered(self.options().parallel)
            .try_collect()
            .await?;
        done.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(done)
    }
}
