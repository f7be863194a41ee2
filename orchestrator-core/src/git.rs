//! Where the code comes from: a repository and one commit of it.

use std::fmt;

use url::Url;

/// The address of a git repository that is safe to hand to git.
///
/// Accepted are `https://host/path`, `ssh://[user@]host[:port]/path` and `user@host:path`; `file:///path` only where
/// [`Settings::allow_local_repositories`](crate::Settings::allow_local_repositories) says so. Refused are addresses that make git run a program (`ext::…`, a leading `-`), credentials inside the
/// address (they would end up in parameters and logs), white space and control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitRepository(String);

impl GitRepository {
    /// Checks an address. `allow_local` also admits `file:///…`.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(text: &str, allow_local: bool) -> Result<Self, String> {
        const ALLOWED: &str = "give https://host/path, ssh://user@host/path or user@host:path";
        if text.is_empty() {
            return Err(format!("is required: {ALLOWED}"));
        }
        if text.len() > 2048 {
            return Err("is longer than 2048 characters".to_owned());
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("holds white space or control characters".to_owned());
        }
        if text.starts_with('-') || text.contains("::") {
            return Err(format!("is not an address that git may be given: {ALLOWED}"));
        }
        if !text.contains("://") {
            return Self::parse_scp(text).ok_or_else(|| format!("is not a repository address: {ALLOWED}"));
        }
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}): {ALLOWED}"))?;
        if url.password().is_some() || (url.scheme() != "ssh" && !url.username().is_empty()) {
            return Err(
                "holds credentials: leave them out, they are configured as a secret of the installation".to_owned(),
            );
        }
        let host = url.host_str().unwrap_or_default();
        let local = match url.scheme() {
            "https" | "ssh" => false,
            "file" => true,
            "http" => return Err(format!("is not encrypted: {ALLOWED}")),
            other => return Err(format!("has the scheme {other}: {ALLOWED}")),
        };
        if local && !allow_local {
            return Err(format!(
                "is on this machine, which this installation does not allow: {ALLOWED}"
            ));
        }
        if url.scheme() == "file" {
            if !host.is_empty() {
                return Err("names a host: give file:///path".to_owned());
            }
        } else if host.is_empty() || host.starts_with('-') {
            return Err(format!("has no host: {ALLOWED}"));
        }
        if url.path().trim_matches('/').is_empty() || url.path().starts_with("/-") {
            return Err("has no path to a repository".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or fragment, which git does not know".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn parse_scp(text: &str) -> Option<Self> {
        let (login, path) = text.split_once(':')?;
        let (user, host) = login.split_once('@')?;
        let plain = |s: &str, extra: &str| {
            s.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
                && s.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        let ok = plain(user, "._-") && plain(host, ".-") && !path.is_empty() && !path.starts_with(['-', ':']);
        ok.then(|| Self(text.to_owned()))
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment of the path without `.git`: the name a person would call the repository.
    pub fn short_name(&self) -> &str {
        let path = self.0.trim_end_matches('/');
        let last = path.rsplit(['/', ':']).next().unwrap_or(path);
        last.strip_suffix(".git").unwrap_or(last)
    }
}

impl fmt::Display for GitRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The full id of one commit: 40 (SHA-1) or 64 (SHA-256) hexadecimal digits, kept in lower case.
///
/// Abbreviated ids, branches and tags are refused: they can mean another commit tomorrow, and servers do not
/// hand out commits by abbreviated id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitSha(String);

impl GitSha {
    /// Checks a commit id.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    ///
    /// ```
    /// use orchestrator_core::GitSha;
    ///
    /// assert!(GitSha::parse("4F2A9C1D4F2A9C1D4F2A9C1D4F2A9C1D4F2A9C1D").is_ok());
    /// assert!(GitSha::parse("main").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let sha = text.to_ascii_lowercase();
        if sha.is_empty() {
            return Err("is required: the full id of a commit (git rev-parse HEAD)".to_owned());
        }
        if !matches!(sha.len(), 40 | 64) || !sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("is not a full commit id: give 40 or 64 hexadecimal digits (git rev-parse HEAD)".to_owned());
        }
        if sha.bytes().all(|b| b == b'0') {
            return Err("is all zero, which no commit is".to_owned());
        }
        Ok(Self(sha))
    }

    /// The id in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_git_may_be_given() {
        for text in [
            "https://git.example.com/fraud.git",
            "ssh://git@git.example.com:2222/a/b",
            "git@github.com:a/b.git",
        ] {
            assert!(GitRepository::parse(text, false).is_ok(), "{text}");
        }
        assert!(GitRepository::parse("file:///srv/repo", true).is_ok());
        assert!(GitRepository::parse("file:///srv/repo", false).is_err());
    }

    #[test]
    fn addresses_that_would_run_programs_or_leak_credentials_are_refused() {
        for text in [
            "",
            "--upload-pack=touch x",
            "-x",
            "ext::sh -c id",
            "ext::sh%20-c",
            "https://user:token@git.example.com/r",
            "https://token@git.example.com/r",
            "ssh://-oProxyCommand=id/r",
            "git://git.example.com/r",
            "http://git.example.com/r",
            "http://localhost/r",
            "https://git.example.com/",
            "https://git.example.com/-x",
            "https://git.example.com/r?x=1",
            "https://git.example.com/a b",
            "/srv/repo",
            "git@-host:repo",
            "git@host:-repo",
            "file://host/repo",
        ] {
            assert!(GitRepository::parse(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn short_name_is_what_a_person_says() {
        for (text, name) in [
            ("https://h/a/fraud.git", "fraud"),
            ("git@h:a/fraud", "fraud"),
            ("git@h:fraud.git", "fraud"),
            ("https://h/x/", "x"),
        ] {
            assert_eq!(GitRepository::parse(text, false).unwrap().short_name(), name);
        }
    }

    #[test]
    fn only_full_commit_ids() {
        assert_eq!(GitSha::parse(&"A".repeat(40)).unwrap().as_str(), "a".repeat(40));
        assert!(GitSha::parse(&"a".repeat(64)).is_ok());
        for text in ["", "abc", "HEAD", &"g".repeat(40), &"0".repeat(40), &"a".repeat(41)] {
            assert!(GitSha::parse(text).is_err(), "{text}");
        }
    }
}
