//! A program that prints a token.

use std::ffi::OsString;
use std::fmt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::{SecretString, zeroize::Zeroizing};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{BearerToken, TokenContext, TokenSource, number};
use crate::error::{Error, one_line};

const TIME_LIMIT: Duration = Duration::from_secs(30);
const LONGEST: u64 = 256 * 1024;
/// Of its diagnostics only the beginning is of use.
const LONGEST_DIAGNOSTICS: u64 = 16 * 1024;

/// A program that prints a token to its standard output, started without a shell.
///
/// It may print
/// - the token alone;
/// - a JSON object with `token`, `id_token` or `access_token` (the first of these that is there), and its end as
///   `expires_in` (seconds) or `expires_at` (seconds since 1970, or a time such as `2026-01-31T12:00:00Z`);
/// - what plugins of `kubectl` print: an `ExecCredential` with `status.token` and `status.expirationTimestamp`.
///
/// Its standard input is empty. Where it runs too long, it and what it started are ended (on Unix). Its diagnostics become
/// part of the error, unless they might hold the token.
///
/// ```
/// use dex_auth::{Session, TokenCommand};
///
/// let session = Session::builder("https://kubeflow.example.com")?
///     .token(TokenCommand::new("gcloud").args(["auth", "print-identity-token", "--audiences=kubeflow"]))
///     .build()?;
/// # Ok::<(), dex_auth::Error>(())
/// ```
#[derive(Clone)]
pub struct TokenCommand {
    program: OsString,
    args: Vec<OsString>,
    time_limit: Duration,
}

impl TokenCommand {
    /// A program: a path, or a name that is looked for in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            time_limit: TIME_LIMIT,
        }
    }

    /// Its arguments, each as it is.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The longest time that it may take. Default 30 s.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    fn unavailable(&self, problem: impl Into<String>) -> Error {
        Error::TokenUnavailable {
            from: self.name(),
            problem: problem.into(),
        }
    }

    async fn run(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A group of its own, so that what it starts can be ended with it.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = Running(
            command
                .spawn()
                .map_err(|error| self.unavailable(format!("it could not be started: {}", error.kind())))?,
        );
        let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
        let all = futures_util::future::join3(
            read(stdout, LONGEST + 1),
            drain(stderr, LONGEST_DIAGNOSTICS),
            child.0.wait(),
        );
        let (output, diagnostics, status) = tokio::time::timeout(self.time_limit, all)
            .await
            .map_err(|_| self.unavailable(format!("it did not end within {} s", self.time_limit.as_secs_f32())))?;
        let status = status.map_err(|error| self.unavailable(error.kind().to_string()))?;
        if output.len() as u64 > LONGEST {
            return Err(self.unavailable("it printed too much for a token"));
        }
        if !status.success() {
            return Err(self.unavailable(failure(status, &diagnostics, &output)));
        }
        Ok(output)
    }
}

#[async_trait]
impl TokenSource for TokenCommand {
    fn name(&self) -> String {
        // Without its arguments, which may hold a secret.
        format!("the command `{}`", one_line(&self.program.to_string_lossy()))
    }

    async fn token(&self, context: &TokenContext) -> Result<BearerToken, Error> {
        let output = self.run().await?;
        parse(&output, context.now()).map_err(|problem| self.unavailable(problem))
    }

    fn time_limit(&self) -> Option<Duration> {
        // Its own limit says more than the session's.
        Some(self.time_limit + Duration::from_secs(5))
    }
}

impl fmt::Debug for TokenCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenCommand")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .finish_non_exhaustive()
    }
}

/// Ends the program, and what it started, when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // No id any more: it has ended, and the number may be another's.
        #[cfg(unix)]
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(stream) = stream {
        // What came before a fault is what can be judged.
        let _ = stream.take(limit).read_to_end(&mut bytes).await;
    }
    bytes
}

/// Reads to the end and keeps the beginning: a program must not hang for want of a reader.
async fn drain(stream: Option<impl AsyncRead + Unpin>, keep: u64) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(mut stream) = stream {
        let _ = (&mut stream).take(keep).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    bytes
}

fn failure(status: ExitStatus, diagnostics: &[u8], output: &[u8]) -> String {
    let (said, printed) = (String::from_utf8_lossy(diagnostics), String::from_utf8_lossy(output));
    // Anything long that stands in both could be the token; `eyJ` begins every JWT.
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| letter.is_whitespace() || "\"',:;={}".contains(letter))
            .filter(|word| word.len() >= 12)
            .map(str::to_owned)
            .collect()
    };
    let holds_secret = said.contains("eyJ") || words(&printed).iter().any(|word| said.contains(word.as_str()));
    if said.trim().is_empty() {
        format!("it failed ({status})")
    } else if holds_secret {
        format!("it failed ({status}); its diagnostics are not shown, since they may hold a token")
    } else {
        format!("it failed ({status}): {}", one_line(&said))
    }
}

fn parse(output: &[u8], now: Timestamp) -> Result<BearerToken, String> {
    let text = std::str::from_utf8(output)
        .map_err(|_| "it printed no UTF-8".to_owned())?
        .trim();
    if text.is_empty() {
        return Err("it printed nothing".to_owned());
    }
    if !text.starts_with('{') {
        return if text.split_whitespace().count() == 1 {
            Ok(BearerToken::new(SecretString::from(text)))
        } else {
            Err("it printed more than one word, and no JSON".to_owned())
        };
    }
    let whole: Value = serde_json::from_str(text).map_err(|_| "it printed broken JSON".to_owned())?;
    let object = if whole.get("kind").and_then(Value::as_str) == Some("ExecCredential") {
        whole.get("status").unwrap_or(&Value::Null)
    } else {
        &whole
    };
    let token = ["token", "id_token", "access_token"]
        .iter()
        .find_map(|name| {
            object
                .get(*name)
                .and_then(Value::as_str)
                .filter(|token| !token.is_empty())
        })
        .ok_or("its JSON holds no `token`, `id_token` or `access_token`")?;
    let token = BearerToken::new(SecretString::from(token));
    let after = object.get("expires_in").and_then(number);
    let at = ["expires_at", "expirationTimestamp"]
        .iter()
        .find_map(|name| object.get(*name).and_then(time));
    let end = after
        .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok())
        .or(at);
    Ok(match end {
        Some(end) => token.valid_until(end),
        None => token,
    })
}

fn time(value: &Value) -> Option<Timestamp> {
    match number(value) {
        Some(second) => Timestamp::from_second(second).ok(),
        None => value.as_str()?.parse().ok(),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::token::tests_support::{at, context};

    fn parsed(text: &str) -> (String, Option<Timestamp>) {
        let token = parse(text.as_bytes(), at(1000)).unwrap();
        (token.token().expose_secret().to_owned(), token.expires_at())
    }

    #[test]
    fn every_form_is_read() {
        let end = Some(at(1060));
        for (text, expected) in [
            ("abc\n", ("abc", None)),
            (r#"{"token":"t","access_token":"a","expires_in":60}"#, ("t", end)),
            (r#"{"access_token":"a","id_token":"i","expires_in":"60"}"#, ("i", end)),
            (r#"{"access_token":"a","expires_at":1060}"#, ("a", end)),
            (
                r#"{"access_token":"a","expires_at":"1970-01-01T00:17:40Z"}"#,
                ("a", end),
            ),
            (
                r#"{"kind":"ExecCredential","status":{"token":"k","expirationTimestamp":"1970-01-01T00:17:40Z"}}"#,
                ("k", end),
            ),
        ] {
            let (token, ends) = parsed(text);
            assert_eq!((token.as_str(), ends), expected, "{text}");
        }
        for text in [
            "",
            " \n",
            "two words",
            "{",
            "{}",
            r#"{"kind":"ExecCredential"}"#,
            r#"{"token":""}"#,
        ] {
            let problem = parse(text.as_bytes(), at(0)).unwrap_err();
            assert!(problem.starts_with("it"), "{text}: {problem}");
        }
    }

    fn shell(script: &str) -> TokenCommand {
        TokenCommand::new("/bin/sh").args(["-c", script])
    }

    async fn problem(command: TokenCommand) -> String {
        let error = command.token(&context()).await.unwrap_err();
        assert!(matches!(error, Error::TokenUnavailable { .. }), "{error}");
        error.to_string()
    }

    #[tokio::test]
    async fn arguments_reach_the_program_as_they_are() {
        let command = TokenCommand::new("/bin/echo").args(["$HOME;*"]);
        let token = command.token(&context()).await.unwrap();
        assert_eq!(token.token().expose_secret(), "$HOME;*");
        assert!(!format!("{command:?}{}", command.name()).contains("HOME"));
    }

    #[tokio::test]
    async fn failures_are_told_without_the_token() {
        assert!(problem(shell("echo no login >&2; exit 3")).await.contains("no login"));
        let told = problem(shell(
            "echo secretsecretsecret; echo got secretsecretsecret >&2; exit 3",
        ))
        .await;
        assert!(
            !told.contains("secretsecretsecret") && told.contains("not shown"),
            "{told}"
        );
        let told = problem(shell("echo 'refused eyJhbGciOiJub25lIn0.e30.x' >&2; exit 3")).await;
        assert!(!told.contains("eyJ"), "{told}");
        assert!(problem(TokenCommand::new("/no/such/program")).await.contains("started"));
        assert!(problem(shell("head -c 300000 /dev/zero")).await.contains("too much"));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let told = problem(shell(&script).time_limit(Duration::from_millis(500))).await;
        assert!(told.contains("did not end"), "{told}");
        let child: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(child).unwrap();
        let begin = std::time::Instant::now();
        // It may be a zombie for as long as nobody adopts it; then it takes no CPU and holds no files.
        let gone = || {
            rustix::process::test_kill_process(pid).is_err()
                || std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(begin.elapsed() < Duration::from_secs(10), "it still runs");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn much_chatter_does_not_hang_it() {
        let command = shell("head -c 300000 /dev/zero >&2; echo fine");
        assert_eq!(command.token(&context()).await.unwrap().token().expose_secret(), "fine");
    }
}
