//! The artifact proxy: files in memory under the paths of `mlflow-artifacts:` addresses.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, Handled, Refusal, document, empty, put, put_list};
use super::state::State;

/// Checks a path as the server does, and takes out doubled slashes.
pub(super) fn safe(path: &str) -> Handled<String> {
    let mut decoded = path.to_owned();
    // What is encoded again and again is still found out.
    for _ in 0..8 {
        let next = decode(&decoded);
        if next == decoded {
            break;
        }
        decoded = next;
    }
    let bad = decoded.starts_with('/')
        || decoded.contains('#')
        || decoded.split('/').any(|part| part == "..")
        || decoded != path
        || decoded.starts_with("file:");
    if bad {
        return Err(Refusal::invalid("Invalid path"));
    }
    Ok(path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect::<Vec<_>>()
        .join("/"))
}

/// Undoes percent encoding; what is none stays.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%'
            && let Some(code) = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok())
            && code.bytes().all(|byte| byte.is_ascii_hexdigit())
            && let Ok(byte) = u8::from_str_radix(code, 16)
        {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The place in the store that an address of the proxy stands for.
fn place(uri: &str) -> Handled<String> {
    let rest = uri
        .strip_prefix("mlflow-artifacts:")
        .map(|rest| rest.trim_start_matches('/').to_owned());
    rest.ok_or_else(|| Refusal::internal(format!("The fake server has no store for '{uri}'")))
}

/// Contents by the whole path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) fn join(root: &str, path: &str) -> String {
    [root, path]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("/")
}

/// The files and directories right under a place, by name.
fn children(files: &Files, place: &str) -> BTreeMap<String, Option<usize>> {
    let prefix = if place.is_empty() {
        String::new()
    } else {
        format!("{place}/")
    };
    let mut found = BTreeMap::new();
    for (path, bytes) in files
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
    {
        let rest = path.get(prefix.len()..).unwrap_or_default();
        match rest.split_once('/') {
            Some((directory, _)) => found.insert(directory.to_owned(), None),
            None => found.insert(rest.to_owned(), Some(bytes.len())),
        };
    }
    found
}

fn listing(files: &Files, place: &str, shown: &str) -> Vec<Value> {
    let entry = |(name, size): (String, Option<usize>)| {
        let mut value = json!({"path": join(shown, &name), "is_dir": size.is_none()});
        put(
            &mut value,
            "file_size",
            size.filter(|size| *size > 0).map(|size| json!(size)),
        );
        value
    };
    children(files, place).into_iter().map(entry).collect()
}

/// What lies in a folder below an address, in the store of the proxy or in one that the server reaches itself.
fn below_address(state: &State, uri: &str, path: &str) -> Handled<Vec<Value>> {
    if let Some((bucket, root)) = state.bucket(uri) {
        return Ok(listing(&bucket.files, &join(root, path), path));
    }
    Ok(listing(&state.files, &join(&place(uri)?, path), path))
}

/// `artifacts/list`: paths relative to the run.
pub(super) fn list_of_run(state: &mut State, run: &str, path: &str) -> Handled<Answer> {
    let path = safe(path)?;
    let uri = state.run(run)?.uri.clone();
    let mut value = json!({"root_uri": uri});
    put_list(&mut value, "files", below_address(state, &uri, &path)?);
    Ok(document(&value))
}

/// The files of a logged model, relative to its own root.
pub(super) fn list_of_model(state: &State, uri: &str, path: &str) -> Handled<Answer> {
    let path = safe(path)?;
    let mut value = json!({"root_uri": uri});
    put_list(&mut value, "files", below_address(state, uri, &path)?);
    Ok(document(&value))
}

/// A file below an address of the proxy.
pub(super) fn below(state: &State, uri: &str, path: &str, range: Option<&str>) -> Handled<Answer> {
    let path = safe(path)?;
    download(state, &join(&place(uri)?, &path), range).map_err(coded)
}

/// The proxy's list: bare names.
pub(super) fn list(state: &State, path: &str) -> Handled<Answer> {
    let path = safe(path)?;
    let mut value = empty();
    put_list(&mut value, "files", listing(&state.files, &path, ""));
    Ok(document(&value))
}

pub(super) fn upload(state: &mut State, path: &str, bytes: &[u8]) -> Handled<Answer> {
    store(state, safe(path)?, bytes.to_vec())?;
    if state.is_3() {
        return Ok(Answer::new(200));
    }
    Ok(document(&empty()))
}

/// Keeps a file at a place.
pub(super) fn store(state: &mut State, path: String, bytes: Vec<u8>) -> Handled<()> {
    let below_file = path
        .match_indices('/')
        .any(|(at, _)| state.files.contains_key(path.get(..at).unwrap_or_default()));
    if path.is_empty() || below_file || !children(&state.files, &path).is_empty() {
        return Err(if state.is_3() {
            Refusal::Text(500, "Internal Server Error".to_owned())
        } else {
            Refusal::Page(500)
        });
    }
    state.files.insert(path, bytes);
    Ok(())
}

pub(super) fn delete(state: &mut State, path: &str) -> Handled<Answer> {
    let path = safe(path)?;
    let below = format!("{path}/");
    state.files.retain(|file, _| *file != path && !file.starts_with(&below));
    Ok(document(&empty()))
}

/// A file, or the part of it that `Range` asks for.
pub(super) fn download(state: &State, path: &str, range: Option<&str>) -> Handled<Answer> {
    let path = safe(path)?;
    let Some(bytes) = state.files.get(&path) else {
        if children(&state.files, &path).is_empty() {
            return Err(if state.is_3() {
                Refusal::missing(format!("Artifact not found: {path}"))
            } else {
                Refusal::internal(format!("[Errno 2] No such file or directory: '{path}'"))
            });
        }
        return Err(if state.is_3() {
            Refusal::Detail(
                400,
                format!("Artifact path refers to a directory, not a file: '{path}'"),
            )
        } else {
            Refusal::Page(500)
        });
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let kind = match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "txt" | "log" | "py" | "yaml" | "yml" | "md" | "cfg" | "csv" | "html" | "json" | "js" | "MLmodel" => {
            "text/plain"
        }
        "png" => "image/png",
        _ => "application/octet-stream",
    };
    let safe_name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
    let token = safe_name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "!#$&+-.^_`|~".contains(c));
    let file_name = if token { safe_name } else { format!("\"{safe_name}\"") };
    let modern = state.is_3();
    let template = |status| {
        let answer = Answer::new(status).header("content-disposition", &format!("attachment; filename={file_name}"));
        if modern {
            answer.header("accept-ranges", "bytes")
        } else {
            answer
        }
    };
    ranged(bytes, range.filter(|_| modern), kind, template)
}

/// A content, or the part of it that `Range` asks for.
pub(super) fn ranged(
    bytes: &[u8],
    range: Option<&str>,
    kind: &str,
    template: impl Fn(u16) -> Answer,
) -> Handled<Answer> {
    let Some(range) = range else {
        return Ok(template(200).body(bytes, kind));
    };
    let (from, to) = match bounds(range, bytes.len()) {
        Bounds::Part(from, to) => (from, to),
        Bounds::Outside => {
            return Ok(template(416)
                .header("content-range", &format!("bytes */{}", bytes.len()))
                .body("", "text/plain; charset=utf-8"));
        }
        Bounds::Malformed(why) => return Err(Refusal::Text(400, why.to_owned())),
    };
    let part = bytes.get(from..=to).unwrap_or_default().to_vec();
    let content_range = format!("bytes {from}-{to}/{}", bytes.len());
    Ok(template(206).header("content-range", &content_range).body(part, kind))
}

/// What a header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Bounds {
    /// From the first to the last byte.
    Part(usize, usize),
    /// Nothing that the file has.
    Outside,
    /// Nothing that is understood.
    Malformed(&'static str),
}

/// The part that a header with a single range asks for.
fn bounds(range: &str, length: usize) -> Bounds {
    const NO_RANGE: Bounds = Bounds::Malformed("Range header: range must be requested");
    let Some(range) = range.strip_prefix("bytes=") else {
        return Bounds::Malformed("Only support bytes range");
    };
    let Some((from, to)) = range.split_once('-') else {
        return NO_RANGE;
    };
    let last = length.checked_sub(1);
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Err(_), Ok(count)) if from.is_empty() => (length.saturating_sub(count), last),
        (Ok(from), Err(_)) if to.is_empty() => (from, last),
        (Ok(from), Ok(to)) if from > to => return Bounds::Malformed("Range header: start must be less than end"),
        (Ok(from), Ok(to)) => (from, last.map(|last| last.min(to))),
        _ => return NO_RANGE,
    };
    to.filter(|to| from <= *to)
        .map_or(Bounds::Outside, |to| Bounds::Part(from, to))
}

/// The same refusal as routes outside the proxy word it.
fn coded(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Detail(_, text) => Refusal::invalid(text),
        other => other,
    }
}

/// `/get-artifact`: a file of a run.
pub(super) fn of_run(state: &mut State, run: &str, path: &str, range: Option<&str>) -> Handled<Answer> {
    let path = safe(path)?;
    let root = place(&state.run(run)?.uri)?;
    download(state, &join(&root, &path), range).map_err(coded)
}

/// `/model-versions/get-artifact`: a file of a model version.
pub(super) fn of_version(state: &State, name: &str, version: &str, path: &str, range: Option<&str>) -> Handled<Answer> {
    let path = safe(path)?;
    let number = super::model_versions::number(version)?;
    let found = state
        .space
        .models
        .get(name)
        .and_then(|model| model.versions.get(&number));
    let found =
        found.ok_or_else(|| Refusal::missing(format!("Model Version (name={name}, version={version}) not found")))?;
    let root = place(&found.storage)?;
    download(state, &join(&safe(&root)?, &path), range).map_err(coded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked() {
        for bad in ["..", "a/../b", "/a", "a#b", "a%23b", "%2e%2e", "a%252e"] {
            assert!(safe(bad).is_err(), "{bad}");
        }
        for (good, same) in [("a//b", "a/b"), ("a b+ü", "a b+ü"), ("100%", "100%")] {
            assert_eq!(safe(good).unwrap(), same);
        }
    }

    #[test]
    fn files_and_directories() {
        let mut state = State::new("3.17.2".to_owned());
        upload(&mut state, "0/r/artifacts/d/f.txt", b"hello").unwrap();
        assert!(upload(&mut state, "0/r/artifacts/d/f.txt/x", b"").is_err());
        assert_eq!(
            listing(&state.files, "0/r/artifacts", ""),
            [json!({"path": "d", "is_dir": true})]
        );
        assert_eq!(
            listing(&state.files, "0/r/artifacts/d", "d"),
            [json!({"path": "d/f.txt", "is_dir": false, "file_size": 5})]
        );
        assert_eq!(bounds("bytes=1-2", 5), Bounds::Part(1, 2));
        assert_eq!(bounds("bytes=-2", 5), Bounds::Part(3, 4));
        assert_eq!(bounds("bytes=5-", 5), Bounds::Outside);
        assert!(matches!(bounds("bytes=3-2", 5), Bounds::Malformed(_)));
        delete(&mut state, "0/r").unwrap();
        assert!(state.files.is_empty());
    }
}
