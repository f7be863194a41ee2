//! Paths of artifacts: what may be sent, and what a server may name.

use std::path::Path;

use crate::error::{Error, Result};

/// Deeper folders are taken for a loop.
pub(super) const MOST_DEPTH: usize = 128;

/// The parts of a path that stays below its root. `#` and what looks percent-encoded MLflow refuses itself (3.17).
pub(super) fn segments(path: &str) -> Result<Vec<&str>> {
    const ALLOWED: &str = "a path relative to the root, with '/', without empty parts, '.', '..', '\\', '#', percent-encoding and control characters";
    let parts: Vec<&str> = path.split('/').collect();
    let encoded = |three: &[u8]| matches!(three, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    let sendable = |part: &&str| is_plain(part) && !part.contains('#');
    if !parts.iter().all(sendable) || path.as_bytes().windows(3).any(encoded) {
        return Err(Error::invalid("path", ALLOWED));
    }
    Ok(parts)
}

/// The same for a folder, of which the root is one: it has no parts.
pub(super) fn folder(path: &str) -> Result<Vec<&str>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    segments(path)
}

/// Whether it is one name, and means the same to every file system.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

/// Whether a name that came from a server may become a file here.
pub(super) fn is_local_name(name: &str) -> bool {
    // `C:` and `name:stream` lead elsewhere on Windows, and trailing dots and blanks are dropped there.
    let kept_by_windows = !name.contains(':') && !name.ends_with(['.', ' ']);
    is_plain(name) && (!cfg!(windows) || kept_by_windows)
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// The name of an entry that is said to lie directly in `folder`, if that is true.
pub(super) fn child<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let name = if folder.is_empty() {
        path
    } else {
        path.strip_prefix(folder)?.strip_prefix('/')?
    };
    is_plain(name).then_some(name)
}

/// The last part of a local path, as the name of an artifact.
pub(super) fn name_of(local: &Path) -> Result<&str> {
    local.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::invalid(
            "local path",
            format!("one that ends in a name in UTF-8, not {}", local.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_root() {
        assert_eq!(segments("model/weights v1.bin").unwrap(), ["model", "weights v1.bin"]);
        assert_eq!(segments("100%/50% off").unwrap(), ["100%", "50% off"]);
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "a#b", "a%2e%2e", "a\nb", "a\0b",
        ] {
            assert!(segments(path).is_err(), "{path:?}");
        }
        assert!(folder("").unwrap().is_empty());
        assert!(folder("/").is_err());
    }

    #[test]
    fn entries_lie_where_they_are_said_to() {
        assert_eq!(child("", "a"), Some("a"));
        assert_eq!(child("d/e", "d/e/f"), Some("f"));
        for (folder, path) in [
            ("d", "e/f"),
            ("d", "d"),
            ("d", "d/"),
            ("d", "d/../f"),
            ("d", "d/e/f"),
            ("d", "dd/f"),
            ("", "../x"),
            ("", "/etc/passwd"),
            ("", ".."),
            ("", "a\\..\\b"),
            ("", "a\0b"),
            ("", ""),
        ] {
            assert_eq!(child(folder, path), None, "{folder:?} {path:?}");
        }
    }
}
