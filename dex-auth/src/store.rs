//! Sessions in a file, shared by the processes of one user.

mod entry;
#[cfg(feature = "rustls")]
mod refusal;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::error::Error;
use entry::Entry;
#[cfg(feature = "rustls")]
use refusal::Refusal;

const VERSION: u32 = 1;
/// A session takes up to some ten thousand bytes.
const LONGEST: u64 = 16 * 1024 * 1024;
/// How often a lock is tried that another process holds for the time of its login.
const AGAIN: Duration = Duration::from_millis(50);

/// A file that sessions are kept in.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    path: PathBuf,
}

/// The store while no other process may use it. Dropping it lets the next one in.
pub(crate) struct Locked {
    store: Store,
    _lock: File,
    contents: Contents,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    #[serde(default)]
    sessions: BTreeMap<String, Entry>,
    #[cfg(feature = "rustls")]
    #[serde(default)]
    refusals: BTreeMap<String, Refusal>,
}

impl Store {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn unusable(&self, problem: impl Into<String>) -> Error {
        Error::Store {
            path: self.path.display().to_string(),
            problem: problem.into(),
        }
    }

    /// Waits until no other process uses it; the caller sets the limit. Giving up leaves nothing behind.
    pub(crate) async fn lock(&self) -> Result<Locked, Error> {
        let mut name = self.path.clone().into_os_string();
        name.push(".lock");
        let lock = self.open(
            Path::new(&name),
            OpenOptions::new().write(true).create(true).truncate(false),
        )?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(AGAIN).await,
                Err(TryLockError::Error(error)) => {
                    return Err(self.unusable(format!("its lock cannot be had: {}", error.kind())));
                }
            }
        }
        let contents = self.read()?;
        Ok(Locked {
            store: self.clone(),
            _lock: lock,
            contents,
        })
    }

    /// Opens a file that is ours alone, or makes one.
    fn open(&self, path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
        let file = options
            .open(path)
            .map_err(|error| self.unusable(format!("it cannot be opened: {}", error.kind())))?;
        self.check_owner(&file)?;
        Ok(file)
    }

    #[cfg(unix)]
    fn check_owner(&self, file: &File) -> Result<(), Error> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = file
            .metadata()
            .map_err(|error| self.unusable(error.kind().to_string()))?;
        if !metadata.is_file() {
            return Err(self.unusable("it is no file"));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(self.unusable("it belongs to somebody else"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(self.unusable("others may read or change it; allow that to its owner only (chmod 600)"));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "there are no modes to check"
    )]
    fn check_owner(&self, _file: &File) -> Result<(), Error> {
        Ok(())
    }

    fn read(&self) -> Result<Contents, Error> {
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(self.unusable(format!("it cannot be opened: {}", error.kind()))),
            // It would be replaced by a file, and whoever made the link meant something else.
            Ok(metadata) if !metadata.is_file() => return Err(self.unusable("it is no file")),
            Ok(_) => {}
        }
        let file = self.open(&self.path, OpenOptions::new().read(true))?;
        let mut text = Zeroizing::new(Vec::new());
        file.take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| self.unusable(format!("it cannot be read: {}", error.kind())))?;
        let contents = serde_json::from_slice::<Contents>(&text).ok();
        Ok(contents
            .filter(|contents| contents.version == VERSION)
            .unwrap_or_else(|| {
                tracing::warn!(path = %self.path.display(), "the session store is broken and will be replaced");
                Contents::default()
            }))
    }

    fn write(&self, contents: &Contents) -> std::io::Result<()> {
        let text = Zeroizing::new(serde_json::to_vec(contents)?);
        let mut name = self.path.clone().into_os_string();
        // Only the holder of the lock writes; what another left behind when it was ended is in the way.
        name.push(".new");
        let new = PathBuf::from(name);
        let written = (|| {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written
    }
}

impl Locked {
    /// A session that was kept under this key.
    pub(crate) fn session(&self, key: &str) -> Option<Access> {
        self.contents.sessions.get(key)?.access()
    }

    /// Keeps a session. That it could not be kept is no failure of the login.
    pub(crate) fn keep(&mut self, key: &str, access: &Access, now: Timestamp) {
        // What has ended is of no use to anybody.
        self.contents.sessions.retain(|_, entry| entry.lasts(now));
        self.contents.sessions.insert(key.to_owned(), Entry::new(access, now));
        #[cfg(feature = "rustls")]
        self.contents.refusals.remove(key);
        self.save();
    }

    pub(crate) fn drop_session(&mut self, key: &str) {
        if self.contents.sessions.remove(key).is_some() {
            self.save();
        }
    }

    /// Remembers that this password was refused, by a salted hash that is slow to make.
    #[cfg(feature = "rustls")]
    pub(crate) async fn refuse(&mut self, key: &str, password: &SecretString, error: &Error) {
        if let Some(refusal) = Refusal::new(password, error).await {
            self.contents.refusals.insert(key.to_owned(), refusal);
            self.save();
        }
    }

    /// The refusal of this very password, by whichever process it was met.
    #[cfg(feature = "rustls")]
    pub(crate) async fn refusal(&self, key: &str, password: &SecretString) -> Option<Error> {
        self.contents.refusals.get(key)?.of(password).await
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn forgive(&mut self, key: &str) {
        if self.contents.refusals.remove(key).is_some() {
            self.save();
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "with TLS there is a hash to be made")]
    pub(crate) async fn refuse(&mut self, _: &str, _: &SecretString, _: &Error) {}

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "with TLS there is a hash to be made")]
    pub(crate) async fn refusal(&self, _: &str, _: &SecretString) -> Option<Error> {
        None
    }

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_self, reason = "with TLS there is something to forget")]
    pub(crate) fn forgive(&mut self, _: &str) {}

    fn save(&mut self) {
        self.contents.version = VERSION;
        if let Err(error) = self.store.write(&self.contents) {
            tracing::warn!(path = %self.store.path.display(), kind = %error.kind(), "the session could not be kept");
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cookie::SessionCookie;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn access(value: &str) -> Access {
        Access::Cookie(SessionCookie::new(vec![("s".into(), value.into())], at(10), Some(at(100))).unwrap())
    }

    fn header(access: &Access) -> String {
        access.header().unwrap().1.to_str().unwrap().to_owned()
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("sessions.json"));
        (folder, store)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn what_is_kept_is_found_again_and_others_cannot_read_it() {
        let (folder, store) = store();
        store.lock().await.unwrap().keep("a", &access("v"), at(10));
        let found = store.lock().await.unwrap().session("a").unwrap();
        assert_eq!((header(&found).as_str(), found.expires_at()), ("s=v", Some(at(100))));
        assert!(store.lock().await.unwrap().session("b").is_none());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
        // Nothing is left of what has ended when the next is kept.
        store.lock().await.unwrap().keep("b", &access("w"), at(100));
        let text = std::fs::read_to_string(&store.path).unwrap();
        assert!(!text.contains("\"a\""), "{text}");
    }

    #[tokio::test]
    async fn a_file_that_others_may_read_or_that_is_a_link_is_refused() {
        let (folder, store) = store();
        store.lock().await.unwrap().keep("a", &access("v"), at(10));
        std::fs::set_permissions(&store.path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = store.lock().await.err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::remove_file(&store.path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &store.path).unwrap();
        assert!(store.lock().await.err().unwrap().to_string().contains("no file"));
    }

    #[tokio::test]
    async fn a_broken_file_is_replaced() {
        let (_folder, store) = store();
        for text in [
            "",
            "{",
            "[]",
            r#"{"version":99,"sessions":{}}"#,
            r#"{"version":1,"sessions":{"a":{}}}"#,
        ] {
            std::fs::write(&store.path, text).unwrap();
            std::fs::set_permissions(&store.path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let mut locked = store.lock().await.unwrap();
            assert!(locked.session("a").is_none());
            locked.keep("a", &access("v"), at(10));
            drop(locked);
            assert!(store.lock().await.unwrap().session("a").is_some(), "{text}");
        }
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let (_folder, store) = store();
        let first = store.lock().await.unwrap();
        let second = store.lock();
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_no_failure() {
        let (folder, store) = store();
        let mut locked = store.lock().await.unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        locked.keep("a", &access("v"), at(10));
        assert!(locked.session("a").is_some());
    }
}
