//! The bundled model repository, turned into a git repository so that a true commit exists.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exit::Failure;

/// A git repository on this machine.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its `file:///` address.
    pub url: String,
    /// Its only commit.
    pub sha: String,
}

/// The DVC store with the bundled dataset versions.
pub fn dataset_store() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets")
}

/// Makes the git repository, or finds the one that was made before from the same files.
///
/// It lies beside the programs in the build folder, where it outlives this process: a run that was submitted and not
/// waited for fetches from it later. Author and dates are fixed, so the same files always have the same commit.
///
/// # Errors
/// When git is missing or fails, or nothing can be written there.
pub fn repository() -> Result<Repository, Failure> {
    let home = home()?;
    std::fs::create_dir_all(&home).map_err(|error| cannot("create", &home, &error))?;
    let scratch = tempfile::tempdir_in(&home).map_err(|error| cannot("write to", &home, &error))?;
    let work = scratch.path().join("penguins");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model-repository"), &work)?;
    git(&work, &["init", "--quiet", "--initial-branch=main", "."])?;
    git(&work, &["add", "--all", "--force", "."])?;
    git(
        &work,
        &["commit", "--quiet", "--message", "Penguin species by body measures"],
    )?;
    let sha = git(&work, &["rev-parse", "HEAD"])?;
    let place = home.join(&sha);
    // Somebody else may have been quicker with the very same content.
    if !place.exists()
        && let Err(error) = std::fs::rename(scratch.path(), &place)
        && !place.exists()
    {
        return Err(cannot("write to", &place, &error));
    }
    let url = url::Url::from_file_path(place.join("penguins"))
        .map_err(|()| Failure::failed(format!("{} is not an absolute path", place.display())))?;
    Ok(Repository {
        url: url.to_string(),
        sha,
    })
}

fn home() -> Result<PathBuf, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let folder = program.parent().unwrap_or_else(|| Path::new("."));
    Ok(folder.join("model-repository"))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(|error| cannot("create", to, &error))?;
    let entries = std::fs::read_dir(from).map_err(|error| cannot("read", from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot("read", from, &error))?;
        let target = to.join(entry.file_name());
        let kind = entry
            .file_type()
            .map_err(|error| cannot("read", &entry.path(), &error))?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).map_err(|error| cannot("copy", &entry.path(), &error))?;
        }
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot {what} {}: {error}", path.display()))
}

/// Runs git without any configuration of the user, so that hooks, signing and templates cannot change the commit.
fn git(folder: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "core.autocrlf=false",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TEMPLATE_DIR", ""),
            ("GIT_AUTHOR_NAME", "Model Team"),
            ("GIT_AUTHOR_EMAIL", "models@example.com"),
            ("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z"),
            ("GIT_COMMITTER_NAME", "Model Team"),
            ("GIT_COMMITTER_EMAIL", "models@example.com"),
            ("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z"),
        ])
        .output()
        .map_err(|error| Failure::failed(format!("cannot run git ({error}): install it")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::failed(format!(
            "git {} failed: {}",
            arguments.join(" "),
            said.trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
