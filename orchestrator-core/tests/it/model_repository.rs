//! A model repository and a DVC store, small enough to be made for each test.

use std::path::Path;
use std::process::Command;

use md5_of::md5_hex;

/// A model repository with one commit, and the store with its dataset versions `v1` (10 rows) and `v2` (20 rows).
pub(crate) struct ModelRepository {
    folder: tempfile::TempDir,
    pub(crate) sha: String,
}

const MLPROJECT: &str = r#"name: mean
entry_points:
  train:
    parameters:
      train_data: string
      model_dir: string
      seed: {type: int, default: 0}
      fail: {type: int, default: 0}
    command: "python3 train.py {train_data} {model_dir} {fail}"
  evaluate:
    parameters: {test_data: string, model_dir: string, metrics_file: string}
    command: "python3 evaluate.py {test_data} {model_dir} {metrics_file}"
"#;

const TRAIN: &str = r#"
import csv, json, os, sys
data, model, fail = sys.argv[1:]
if fail != "0":
    print("the training gives up on purpose", flush=True)
    sys.exit(7)
rows = [float(row["y"]) for row in csv.DictReader(open(data))]
json.dump({"mean": sum(rows) / len(rows), "note": os.environ.get("NOTE", "")}, open(os.path.join(model, "model.json"), "w"))
print("trained on", len(rows), "rows", os.environ.get("NOTE", ""))
"#;

const EVALUATE: &str = r#"
import csv, json, os, sys
data, model, metrics = sys.argv[1:]
mean = json.load(open(os.path.join(model, "model.json")))["mean"]
rows = [float(row["y"]) for row in csv.DictReader(open(data))]
json.dump({"mean": mean, "rows": len(rows)}, open(metrics, "w"))
"#;

impl ModelRepository {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("mean");
        for (name, text) in [("MLproject", MLPROJECT), ("train.py", TRAIN), ("evaluate.py", EVALUATE)] {
            write(&code.join(name), text);
        }
        for (version, rows) in [("v1", 10), ("v2", 20)] {
            let data: String = std::iter::once("x,y\n".to_owned())
                .chain((0..rows).map(|n| format!("{n},{}\n", n * n)))
                .collect();
            let md5 = md5_hex(&data);
            let (first, rest) = md5.split_at(2);
            write(&folder.path().join("store/files/md5").join(first).join(rest), &data);
            let pointer = format!(
                "outs:\n- md5: {md5}\n  size: {}\n  hash: md5\n  path: {version}.csv\n",
                data.len()
            );
            write(&code.join(format!("data/{version}.csv.dvc")), &pointer);
        }
        git(&code, &["init", "--quiet", "."]);
        git(&code, &["add", "."]);
        git(
            &code,
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.com",
                "commit",
                "--quiet",
                "-m",
                "model",
            ],
        );
        let sha = git(&code, &["rev-parse", "HEAD"]);
        Self { folder, sha }
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.path().join("mean").display())
    }

    pub(crate) fn store(&self) -> String {
        self.folder.path().join("store").display().to_string()
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Python is needed for the steps anyway.
mod md5_of {
    pub(super) fn md5_hex(text: &str) -> String {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let program = "import hashlib, sys; print(hashlib.md5(sys.stdin.buffer.read()).hexdigest())";
        let mut child = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }
}
