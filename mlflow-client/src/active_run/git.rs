//! The state of the code, as git tells it.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;
use url::Url;

use crate::tag::{Tag, tags};

/// How long one question may take: `git status` reads the whole work tree.
const LIMIT: Duration = Duration::from_secs(10);

/// Commit, branch, repository and whether there are changes that are not committed. What cannot be found out is left out: a
/// run is not worth less without it.
pub(super) async fn describe(folder: &Path) -> Vec<Tag> {
    let Some(commit) = ask(folder, &["rev-parse", "--verify", "HEAD"]).await else {
        return Vec::new();
    };
    let mut found = vec![Tag::new(tags::GIT_COMMIT, commit)];
    // Without a branch (detached) there is no answer.
    if let Some(branch) = ask(folder, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await {
        found.push(Tag::new(tags::GIT_BRANCH, branch));
    }
    let remotes = ask(folder, &["remote"]).await.unwrap_or_default();
    if let Some(remote) = remotes
        .lines()
        .find(|remote| *remote == "origin")
        .or_else(|| remotes.lines().next())
        && let Some(url) = ask(folder, &["remote", "get-url", remote]).await
    {
        found.push(Tag::new(tags::GIT_REPOSITORY_URL, without_credentials(&url)));
    }
    if let Some(changes) = ask(folder, &["status", "--porcelain", "--untracked-files=no"]).await {
        found.push(Tag::new(tags::GIT_DIRTY, (!changes.is_empty()).to_string()));
    }
    found
}

/// One question to `git`; `None` if it does not know, or is not there.
async fn ask(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command
        // The repository may order programs to be run, and nobody is there to type a password.
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// Remotes may hold user and password, or a token.
fn without_credentials(remote: &str) -> String {
    let Ok(mut url) = Url::parse(remote) else {
        // `git@host:path`, or a folder.
        return remote.to_owned();
    };
    if url.has_host() {
        let keep_user = url.scheme() == "ssh";
        let _ = url.set_password(None);
        if !keep_user {
            let _ = url.set_username("");
        }
        url.set_query(None);
        return url.into();
    }
    remote.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_remotes() {
        for (remote, shown) in [
            (
                "https://user:token@git.example.com/a.git",
                "https://git.example.com/a.git",
            ),
            (
                "https://token@git.example.com/a.git?x=secret",
                "https://git.example.com/a.git",
            ),
            ("ssh://git:pw@git.example.com/a.git", "ssh://git@git.example.com/a.git"),
            ("git@git.example.com:a.git", "git@git.example.com:a.git"),
            ("/srv/a.git", "/srv/a.git"),
        ] {
            assert_eq!(without_credentials(remote), shown);
        }
    }

    #[tokio::test]
    async fn a_repository_is_described() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert!(describe(at).await.is_empty());
        let git = |arguments: &'static [&'static str]| async move { ask(at, arguments).await };
        if git(&["init", "--quiet", "--initial-branch=trunk"]).await.is_none() {
            // Without git there is nothing to describe.
            return;
        }
        std::fs::write(at.join("f"), "1").unwrap();
        git(&["add", "f"]).await.unwrap();
        let identity = ["-c", "user.name=n", "-c", "user.email=e@example.com"];
        let commit = identity
            .into_iter()
            .chain(["commit", "--quiet", "-m", "m"])
            .collect::<Vec<_>>();
        ask(at, &commit).await.unwrap();
        git(&["remote", "add", "origin", "https://me:secret@git.example.com/x.git"])
            .await
            .unwrap();
        let tag = |found: &[Tag], key: &str| found.iter().find(|tag| tag.key == key).map(|tag| tag.value.clone());
        let found = describe(at).await;
        assert_eq!(tag(&found, tags::GIT_COMMIT).unwrap().len(), 40);
        assert_eq!(tag(&found, tags::GIT_BRANCH).as_deref(), Some("trunk"));
        assert_eq!(
            tag(&found, tags::GIT_REPOSITORY_URL).as_deref(),
            Some("https://git.example.com/x.git")
        );
        assert_eq!(tag(&found, tags::GIT_DIRTY).as_deref(), Some("false"));
        std::fs::write(at.join("f"), "2").unwrap();
        assert_eq!(tag(&describe(at).await, tags::GIT_DIRTY).as_deref(), Some("true"));
        assert!(describe(Path::new("/nowhere")).await.is_empty());
    }
}
