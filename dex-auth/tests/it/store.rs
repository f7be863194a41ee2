//! One store for several sessions and processes.

use std::process::{Command, Stdio};
use std::time::Duration;

use dex_auth::testing::{Clock, Gateway, Release};
use dex_auth::{Credentials, Error, Session, SessionBuilder};
use secrecy::ExposeSecret;
use wiremock::ResponseTemplate;

const USER: &str = "user@example.com";
const PASSWORD: &str = "correct horse";
/// Tells a process of this test what to do: address, store and password, parted by blanks.
const JOB: &str = "DEX_AUTH_STORE_TEST";

async fn gateway(clock: &Clock) -> Gateway {
    let gateway = Gateway::builder().release(Release::Kubeflow1_11).user(USER, PASSWORD);
    gateway
        .clock(clock.clone())
        .upstream("/pipeline", ResponseTemplate::new(200).set_body_json("fine"))
        .start()
        .await
}

fn builder(gateway: &Gateway, folder: &tempfile::TempDir, password: &str) -> SessionBuilder {
    let clock = gateway.clock().clone();
    Session::builder(gateway.url())
        .unwrap()
        .credentials(Credentials::new(USER, password))
        .store(folder.path().join("sessions"))
        .clock(move || clock.now())
}

#[tokio::test]
async fn sessions_that_share_a_store_log_in_once_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap());
    let gateway = gateway(&clock).await;
    let sessions: Vec<_> = (0..5)
        .map(|_| builder(&gateway, &folder, PASSWORD).build().unwrap())
        .collect();
    let all = async || {
        let logins = sessions.iter().map(|session| async { session.login().await.unwrap() });
        futures_util::future::join_all(logins).await
    };
    let first = all().await;
    assert_eq!(gateway.password_attempts(), 1);
    assert!(
        first
            .iter()
            .all(|cookie| cookie.value().expose_secret() == first[0].value().expose_secret())
    );
    assert!(first.iter().all(|cookie| cookie.expires_at() == first[0].expires_at()));
    // Ended by the clock.
    clock.advance(Duration::from_secs(86_400));
    all().await;
    assert_eq!(gateway.password_attempts(), 2);
    // Ended by the gateway: what is in the store is of no use, and only one finds that out by a login.
    gateway.expire_sessions();
    for session in &sessions {
        let answer = session
            .http_client()
            .get(format!("{}/pipeline/apis/x", gateway.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(gateway.password_attempts(), 3);
    // Another way in, or another user, has a session of its own.
    let other = builder(&gateway, &folder, PASSWORD).connector("local").build().unwrap();
    other.login().await.unwrap();
    assert_eq!(gateway.password_attempts(), 4);
    let nobody = Credentials::new("nobody@example.com", PASSWORD);
    let nobody = builder(&gateway, &folder, PASSWORD)
        .credentials(nobody)
        .build()
        .unwrap();
    assert!(nobody.login().await.is_err());
}

#[tokio::test]
async fn what_the_gateway_no_longer_takes_is_not_taken_from_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(&Clock::system()).await;
    let (one, two) = (
        builder(&gateway, &folder, PASSWORD).build().unwrap(),
        builder(&gateway, &folder, PASSWORD).build().unwrap(),
    );
    one.login().await.unwrap();
    two.login().await.unwrap();
    // The cookie's own check still passes, and only the token in it is refused.
    gateway.restart_dex();
    for session in [&one, &two] {
        let answer = session
            .http_client()
            .get(format!("{}/pipeline/apis/x", gateway.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(gateway.password_attempts(), 2);
    // Forgotten: the next login is a new one.
    one.forget();
    one.login().await.unwrap();
    assert_eq!(gateway.password_attempts(), 3);
}

#[tokio::test]
async fn a_refused_password_is_not_tried_again_by_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(&Clock::system()).await;
    let login = async |password: &str| builder(&gateway, &folder, password).build().unwrap().login().await;
    for _ in 0..3 {
        let error = login("wrong horse").await.unwrap_err();
        assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
    }
    let session = builder(&gateway, &folder, "wrong horse").build().unwrap();
    let clone = session.clone();
    assert!(clone.login().await.is_err() && session.login().await.is_err());
    assert_eq!(gateway.password_attempts(), 1);
    let text = std::fs::read_to_string(folder.path().join("sessions")).unwrap();
    assert!(!text.contains("wrong horse"), "{text}");
    // Another one is another matter.
    login(PASSWORD).await.unwrap();
    assert_eq!(gateway.password_attempts(), 2);
    // A person who sets it again wants it tried again.
    let session = builder(&gateway, &folder, "wrong horse")
        .connector("local")
        .build()
        .unwrap();
    assert!(session.login().await.is_err());
    session.set_credentials(Credentials::new(USER, "wrong horse"));
    assert!(session.login().await.is_err());
    assert_eq!(gateway.password_attempts(), 4);
}

#[tokio::test]
async fn a_store_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    std::fs::write(&path, "{}").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let gateway = gateway(&Clock::system()).await;
    let error = builder(&gateway, &folder, PASSWORD)
        .build()
        .unwrap()
        .login()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Store { .. }), "{error}");
    assert_eq!(gateway.password_attempts(), 0);
}

fn start(gateway: &Gateway, folder: &tempfile::TempDir, password: &str) -> std::process::Child {
    let job = format!(
        "{} {} {password}",
        gateway.url(),
        folder.path().join("sessions").display()
    );
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::a_process_of_its_own", "--nocapture"])
        .env(JOB, job)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the processes of the next test run; nothing without a job.
#[tokio::test]
async fn a_process_of_its_own() {
    let Ok(job) = std::env::var(JOB) else { return };
    let parts: Vec<_> = job.splitn(3, ' ').collect();
    let session = Session::builder(parts[0])
        .unwrap()
        .credentials(Credentials::new(USER, parts[2].to_owned()))
        .store(parts[1])
        .build()
        .unwrap();
    match session.login().await {
        Ok(cookie) => println!("\nlogged in {}", cookie.value().expose_secret().len()),
        Err(error) => println!("\nfailed {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_share_a_store_log_in_once_between_them() {
    for (password, said) in [(PASSWORD, "logged in"), ("wronghorse", "failed")] {
        let folder = tempfile::tempdir().unwrap();
        let gateway = gateway(&Clock::system()).await;
        let processes: Vec<_> = (0..4).map(|_| start(&gateway, &folder, password)).collect();
        for process in processes {
            let output = tokio::task::spawn_blocking(|| process.wait_with_output().unwrap())
                .await
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(&format!("\n{said}")), "{text}");
        }
        assert_eq!(gateway.password_attempts(), 1, "{said}");
    }
}
