//! The logger, against a server that fails in every way.

#[cfg(unix)]
mod full_disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use mlflow_client::testing::{Fault, MlflowServer, RunningMlflowServer};
use mlflow_client::{
    Client, CreateRun, LogError, Logged, Metric, Recovered, RunId, RunLogger, RunLoggerBuilder, Spool, SpoolError,
    WhenFull,
};

/// No test takes so long.
const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(1);

struct Setup {
    mlflow: MlflowServer,
    running: RunningMlflowServer,
    client: Client,
    run: RunId,
}

impl Setup {
    async fn new() -> Self {
        let mlflow = MlflowServer::builder().build();
        let running = mlflow.start().await;
        let client = Client::builder(running.url()).unwrap().build().unwrap();
        let run = client.runs().create(CreateRun::new("0")).await.unwrap();
        let run = run.id().clone();
        Self {
            mlflow,
            running,
            client,
            run,
        }
    }

    fn logger(&self) -> RunLoggerBuilder {
        quick(self.client.runs().logger(&self.run))
    }

    async fn history(&self, key: &str) -> Vec<Metric> {
        self.client.runs().metric_history(&self.run, key).await.unwrap()
    }

    fn requests(&self) -> usize {
        let requests = self.mlflow.requests();
        requests
            .iter()
            .filter(|request| request.path.ends_with("log-batch"))
            .count()
    }
}

fn quick(builder: RunLoggerBuilder) -> RunLoggerBuilder {
    builder.linger(SOON).pauses(SOON, SOON * 10).close_limit(LIMIT)
}

fn half(step: i64) -> f64 {
    0.5 * f64::from(i32::try_from(step).unwrap())
}

fn steps(points: &[Metric]) -> Vec<i64> {
    points.iter().map(|point| point.step).collect()
}

/// Waits for something that comes by itself.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(SOON).await;
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_through_every_fault() {
    const EACH: i64 = 3_000;
    let setup = Setup::new().await;
    for fault in [
        Fault::status(503).times(3),
        Fault::overload(),
        Fault::status(429).retry_after(0),
        Fault::status(401),
        Fault::status(403).body("<html>sign in</html>"),
        Fault::status(404).body("no such route"),
        Fault::status(500),
        Fault::status(502).times(2),
    ] {
        setup.mlflow.fault(fault.path("log-batch"));
    }
    // Small, so that writers wait for room; two requests at once.
    let logger = setup.logger().capacity(500).concurrency(2).start().unwrap();
    let tasks = (0..8).map(|task: i64| {
        let logger = logger.clone();
        tokio::spawn(async move {
            let metric = logger.metric(&format!("m/{task}")).unwrap();
            for step in 0..EACH {
                metric.log_async(half(step), step).await.unwrap();
            }
            logger.param_async(&format!("p{task}"), "x").await.unwrap();
            logger.tag_async("last", &task.to_string()).await.unwrap();
        })
    });
    futures_util::future::join_all(tasks)
        .await
        .into_iter()
        .for_each(Result::unwrap);
    let report = logger.close().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.logged, 8 * 3_000 + 16);
    for task in 0..8 {
        let mut history = setup.history(&format!("m/{task}")).await;
        history.sort_by_key(|point| point.step);
        assert_eq!(steps(&history), (0..EACH).collect::<Vec<_>>());
        let values: Vec<_> = history.iter().map(|point| point.value).collect();
        let expected: Vec<_> = (0..EACH).map(half).collect();
        assert_eq!(values, expected);
    }
    let run = setup.client.runs().get(&setup.run).await.unwrap();
    assert_eq!(run.data.params.len(), 8);
    // Collected, not one by one.
    assert!(setup.requests() < 1_000, "{}", setup.requests());
}

/// MLflow 2 refuses a point without a number that it has.
#[tokio::test]
async fn what_is_no_number_is_not_lost_when_it_is_sent_again() {
    let mlflow = MlflowServer::builder().version("2.22.5").build();
    let running = mlflow.start().await;
    let client = Client::builder(running.url()).unwrap().build().unwrap();
    let run = client.runs().create(CreateRun::new("0")).await.unwrap();
    mlflow.fault(Fault::lost_answer().path("log-batch"));
    let logger = quick(client.runs().logger(run.id())).start().unwrap();
    for step in 0..5 {
        logger
            .log_at("m", if step == 2 { f64::NAN } else { half(step) }, step, 7)
            .unwrap();
    }
    let report = logger.close().await;
    assert_eq!((report.delivered, report.rejected), (5, 0), "{report}");
    let history = client.runs().metric_history(run.id(), "m").await.unwrap();
    assert_eq!(steps(&history), [0, 1, 2, 3, 4]);
}

/// The server takes long over points that it has.
#[tokio::test]
async fn what_arrived_though_its_answer_was_lost_is_not_sent_again() {
    let setup = Setup::new().await;
    let logger = setup.logger().start().unwrap();
    for (number, fault) in [None, Some(Fault::lost_answer()), Some(Fault::truncated())]
        .into_iter()
        .enumerate()
    {
        if let Some(fault) = fault {
            setup.mlflow.fault(fault.path("log-batch"));
        }
        let first = 100 * i64::try_from(number).unwrap();
        for step in first..first + 100 {
            for key in ["a", "b"] {
                logger.log_at(key, half(step), step, 7).unwrap();
            }
        }
        logger.log_at("a", f64::INFINITY, first + 100, 7).unwrap();
        let before = setup.requests();
        logger.flush(LIMIT).await.unwrap();
        assert_eq!(setup.requests(), before + 1);
    }
    assert!(logger.close().await.is_complete());
    assert_eq!(setup.history("a").await.len(), 303);
    assert_eq!(steps(&setup.history("b").await), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_did_not_arrive_is_sent_again_whatever_the_run_has() {
    let setup = Setup::new().await;
    let logger = setup.logger().start().unwrap();
    logger.log_at("m", 1.0, 5, 7).unwrap();
    logger.flush(LIMIT).await.unwrap();
    let lost = || setup.mlflow.fault(Fault::reset().path("log-batch"));
    // The latest point of the request is one that the server has.
    lost();
    logger.log_at("m", 1.0, 3, 7).unwrap();
    logger.log_at("m", 1.0, 5, 7).unwrap();
    logger.flush(LIMIT).await.unwrap();
    // Somebody else has logged a later one.
    let other = Metric::new("m", 1.0).step(100);
    setup.client.runs().log_metric(&setup.run, other).await.unwrap();
    lost();
    logger.log_at("m", 1.0, 6, 7).unwrap();
    logger.flush(LIMIT).await.unwrap();
    // Nor can the run be read.
    lost();
    setup.mlflow.fault(Fault::status(403).path("runs/get"));
    logger.log_at("m", 1.0, 101, 7).unwrap();
    logger.tag("t", "x").unwrap();
    let report = logger.close().await;
    assert!(report.is_complete(), "{report}");
    let mut steps = steps(&setup.history("m").await);
    steps.sort_unstable();
    assert_eq!(steps, [3, 5, 6, 100, 101]);
}

#[test]
fn threads_without_a_runtime_log_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let setup = runtime.block_on(Setup::new());
    let now = Arc::new(AtomicI64::new(1_000));
    let clock = Arc::clone(&now);
    let logger = setup
        .logger()
        .clock(move || clock.fetch_add(1, Ordering::SeqCst))
        .start()
        .unwrap();
    let thread = std::thread::spawn({
        let metric = logger.metric("a").unwrap();
        move || {
            metric.log(f64::NAN, -1).unwrap();
            metric.log(f64::INFINITY, 0).unwrap();
            metric.log(f64::NEG_INFINITY, i64::MAX).unwrap();
            metric.log_at(0.1, 3, 7).unwrap();
        }
    });
    thread.join().unwrap();
    let report = logger.flush_blocking(LIMIT).unwrap();
    assert_eq!(report.delivered, 4);
    logger.sync_blocking(LIMIT).unwrap();
    let history = runtime.block_on(setup.history("a"));
    let told: Vec<_> = history.iter().map(|point| (point.timestamp, point.step)).collect();
    assert_eq!(told, [(7, 3), (1_000, -1), (1_001, 0), (1_002, i64::MAX)]);
    assert!(history[1].value.is_nan());
    assert_eq!((history[2].value, history[3].value), (f64::INFINITY, f64::NEG_INFINITY));
    assert!(logger.close_blocking().is_complete());
}

#[tokio::test]
async fn what_is_wrong_is_refused_at_the_call() {
    let setup = Setup::new().await;
    let logger = setup.logger().start().unwrap();
    let long = "x".repeat(8001);
    for result in [
        logger.metric("a//b").map(drop),
        logger.log("", 1.0, 0),
        logger.log_at("a", 1.0, 0, -1),
        logger.metric("a").unwrap().log_at(1.0, 0, -1),
        logger.param("a$", "x"),
        logger.param("a", &long),
        logger.tag("a", &long),
    ] {
        assert!(matches!(result, Err(LogError::Invalid(_))), "{result:?}");
    }
    let report = logger.close().await;
    assert_eq!((report.logged, setup.requests()), (0, 0));
    for builder in [
        setup.logger().capacity(0),
        setup.logger().concurrency(9),
        setup.logger().pauses(Duration::ZERO, SOON),
        setup.client.runs().logger(&RunId::new("")),
        setup
            .client
            .runs()
            .logger(&RunId::new("../x"))
            .spool(Spool::new("/nowhere")),
    ] {
        assert!(matches!(builder.start(), Err(LogError::Invalid(_))));
    }
}

#[tokio::test]
async fn one_bad_entry_does_not_take_others_with_it() {
    let setup = Setup::new().await;
    setup.client.runs().log_param(&setup.run, "p", "old").await.unwrap();
    let logger = setup.logger().start().unwrap();
    for step in 0..50 {
        logger.log("m", 1.0, step).unwrap();
        if step == 25 {
            logger.param("p", "new").unwrap();
            logger.param("q", "1").unwrap();
        }
    }
    let report = logger.close().await;
    assert_eq!((report.logged, report.delivered, report.rejected), (52, 51, 1));
    let [rejection] = report.rejections.as_slice() else {
        panic!("{report:?}")
    };
    assert!(matches!(&rejection.entry, Logged::Param(param) if param.key == "p" && param.value == "new"));
    assert!(
        rejection.reason.contains("Changing param values"),
        "{}",
        rejection.reason
    );
    assert_eq!(setup.history("m").await.len(), 50);
}

#[tokio::test]
async fn a_run_that_is_gone_refuses_everything_at_once() {
    let setup = Setup::new().await;
    setup.client.runs().delete(&setup.run).await.unwrap();
    for run in [setup.run.clone(), RunId::new("0123456789abcdef0123456789abcdef")] {
        let before = setup.requests();
        let logger = quick(setup.client.runs().logger(&run)).start().unwrap();
        for step in 0..500 {
            logger.log("m", 1.0, step).unwrap();
        }
        let report = logger.close().await;
        assert_eq!((report.logged, report.delivered, report.rejected), (500, 0, 500));
        assert_eq!(report.rejections.len(), 100);
        assert!(setup.requests() - before < 20);
    }
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let setup = Setup::new().await;
    setup.mlflow.down(true);
    let builder = setup.logger().capacity(100).when_full(WhenFull::Drop);
    let logger = builder.close_limit(SOON).start().unwrap();
    let mut refused = 0;
    for step in 0..5_000 {
        match logger.log("m", 1.0, step) {
            Ok(()) => {}
            Err(LogError::Full { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
    until("the server fails", || logger.status().report.last_error.is_some()).await;
    let report = logger.close().await;
    assert_eq!(report.dropped, refused);
    assert_eq!((report.logged, report.undelivered), (5_000 - refused, 5_000 - refused));
    assert!(report.last_error.unwrap().contains("503"));
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let setup = Setup::new().await;
    setup.mlflow.down(true);
    let builder = setup.logger().capacity(10).when_full(WhenFull::Wait(LIMIT));
    let logger = builder.start().unwrap();
    let metric = logger.metric("m").unwrap();
    let writer = tokio::spawn(async move {
        for step in 0..3_000 {
            metric.log_async(1.0, step).await.unwrap();
        }
    });
    until("the server fails", || logger.status().report.last_error.is_some()).await;
    let late = logger.flush(SOON).await;
    assert!(
        matches!(&late, Err(LogError::TooLate { outstanding: 1.., .. })),
        "{late:?}"
    );
    assert!(!writer.is_finished());
    setup.mlflow.down(false);
    writer.await.unwrap();
    logger.flush(LIMIT).await.unwrap();
    assert_eq!(steps(&setup.history("m").await), (0..3_000).collect::<Vec<_>>());
    let short = setup.logger().capacity(1).when_full(WhenFull::Wait(SOON));
    setup.mlflow.down(true);
    let short = short.close_limit(SOON).start().unwrap();
    let refused = (0..3_000).find_map(|step| short.log("m", 1.0, step).err());
    assert!(matches!(refused, Some(LogError::Full { waited }) if waited == SOON));
}

#[tokio::test]
async fn what_is_given_up_is_told() {
    let setup = Setup::new().await;
    setup.mlflow.down(true);
    let logger = setup.logger().give_up_after(SOON * 20).start().unwrap();
    logger.log("m", 1.0, 0).unwrap();
    let report = logger.flush(LIMIT).await.unwrap();
    assert_eq!((report.logged, report.delivered, report.undelivered), (1, 0, 1));
    setup.mlflow.down(false);
    logger.log("m", 1.0, 1).unwrap();
    let report = logger.close().await;
    assert_eq!((report.delivered, report.undelivered), (1, 1));
    assert!(!report.is_complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_delivers() {
    let setup = Setup::new().await;
    let logger = setup.logger().linger(LIMIT).start().unwrap();
    let metric = logger.metric("m").unwrap();
    drop(logger);
    metric.log(1.0, 0).unwrap();
    drop(metric);
    assert_eq!(setup.history("m").await.len(), 1);
    // A server that is down does not hold up the end for longer than was allowed.
    setup.mlflow.down(true);
    let logger = setup.logger().close_limit(SOON).start().unwrap();
    logger.log("m", 1.0, 1).unwrap();
    drop(logger);
}

#[tokio::test]
async fn a_closed_logger_takes_nothing() {
    let setup = Setup::new().await;
    let logger = setup.logger().start().unwrap();
    let (metric, other) = (logger.metric("m").unwrap(), logger.clone());
    logger.close().await;
    assert!(matches!(metric.log(1.0, 0), Err(LogError::Closed)));
    assert!(matches!(metric.log_async(1.0, 0).await, Err(LogError::Closed)));
    assert!(matches!(other.flush(LIMIT).await, Err(LogError::Closed)));
    assert!(other.status().finished);
    assert_eq!(other.close().await.logged, 0);
}

#[tokio::test]
async fn what_was_confirmed_and_not_stored_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    verified(None).await;
    verified(Some(Spool::new(folder.path()))).await;
    assert!(is_empty(folder.path()));
}

async fn verified(spool: Option<Spool>) {
    let setup = Setup::new().await;
    let confirm = || Fault::status(200).body("{}").path("log-batch");
    setup.mlflow.fault(confirm());
    let builder = setup.logger().verify(true);
    let builder = match spool {
        Some(spool) => builder.spool(spool),
        None => builder,
    };
    let logger = builder.start().unwrap();
    for step in 0..1_500 {
        logger.log("m", 1.0, step).unwrap();
    }
    logger.log("inf", f64::INFINITY, 0).unwrap();
    until("the points are delivered", || setup.requests() > 1).await;
    let report = logger.flush(LIMIT).await.unwrap();
    assert!(report.sent_again > 0);
    assert_eq!((report.logged, report.delivered), (1_501, 1_501));
    assert_eq!(setup.history("m").await.len(), 1_500);
    assert_eq!(setup.history("inf").await.len(), 1);
    // A server that never stores anything is found out.
    setup.mlflow.fault(confirm().times(100));
    logger.log("m", 1.0, 9_999).unwrap();
    let report = logger.close().await;
    assert_eq!((report.delivered, report.rejected), (1_501, 1));
}

#[tokio::test]
async fn the_spool_outlives_an_outage_and_the_logger() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path()).segment_bytes(10_000);
    setup.mlflow.down(true);
    let logger = setup.logger().spool(spool.clone()).close_limit(SOON).start().unwrap();
    for step in 0..2_000 {
        logger.log("m", 1.0, step).unwrap();
    }
    logger.param("p", "x").unwrap();
    logger.tag("t", "y").unwrap();
    logger.sync(LIMIT).await.unwrap();
    let second = setup.logger().spool(spool.clone()).start();
    assert!(
        matches!(second, Err(LogError::Spool(SpoolError::InUse { .. }))),
        "{second:?}"
    );
    let recovered = spool.recover(&setup.client, LIMIT).await.unwrap();
    assert!(matches!(
        recovered[0].result,
        Err(LogError::Spool(SpoolError::InUse { .. }))
    ));
    let report = logger.close().await;
    assert_eq!((report.logged, report.kept, report.undelivered), (2_002, 2_002, 0));

    // Still down: everything stays.
    let recovered = spool.recover(&setup.client, SOON).await.unwrap();
    assert_eq!(recovered[0].result.as_ref().unwrap().kept, 2_002);
    setup.mlflow.down(false);
    // The next logger of the run delivers it, in order, before its own.
    let logger = setup.logger().spool(spool.clone()).start().unwrap();
    logger.log("m", 1.0, 2_000).unwrap();
    let report = logger.close().await;
    assert_eq!(
        (report.logged, report.recovered, report.delivered),
        (2_003, 2_002, 2_003)
    );
    let mut history = setup.history("m").await;
    history.sort_by_key(|point| point.step);
    assert_eq!(steps(&history), (0..2_001).collect::<Vec<_>>());
    let run = setup.client.runs().get(&setup.run).await.unwrap();
    assert_eq!((run.param("p"), run.tag("t")), (Some("x"), Some("y")));
    assert!(is_empty(folder.path()));
    assert!(spool.recover(&setup.client, LIMIT).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_deleted_run_keeps_its_spool() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    setup.client.runs().delete(&setup.run).await.unwrap();
    let logger = setup.logger().spool(spool.clone()).start().unwrap();
    logger.log("m", 1.0, 0).unwrap();
    let report = logger.close().await;
    assert_eq!((report.kept, report.rejected), (1, 0), "{report}");
    setup.client.runs().restore(&setup.run).await.unwrap();
    let recovered = spool.recover(&setup.client, LIMIT).await.unwrap();
    assert!(recovered[0].result.as_ref().unwrap().is_complete());
    assert_eq!(setup.history("m").await.len(), 1);
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let spool = Spool::new(folder.path()).full_while(Arc::clone(&full));
    let logger = setup.logger().capacity(100).spool(spool).start().unwrap();
    let mut step = 0;
    let mut log = |count: i64| {
        for _ in 0..count {
            logger.log("m", 1.0, step).unwrap();
            step += 1;
        }
    };
    setup.mlflow.down(true);
    log(50);
    logger.sync(LIMIT).await.unwrap();
    full.store(true, Ordering::SeqCst);
    log(50);
    let refused = logger.sync(LIMIT).await;
    assert!(
        matches!(&refused, Err(LogError::Spool(SpoolError::Full { .. }))),
        "{refused:?}"
    );
    assert!(logger.status().report.spool_error.is_some());
    // With the server back, all is delivered although the disk is still full.
    setup.mlflow.down(false);
    let report = logger.flush(LIMIT).await.unwrap();
    assert_eq!(report.delivered, 100);
    log(500);
    logger.flush(LIMIT).await.unwrap();
    full.store(false, Ordering::SeqCst);
    log(50);
    until("the disk is written again", || {
        logger.status().report.spool_error.is_none()
    })
    .await;
    logger.sync(LIMIT).await.unwrap();
    let report = logger.close().await;
    assert!(report.is_complete() && report.logged == 650, "{report}");
    assert_eq!(steps(&setup.history("m").await), (0..650).collect::<Vec<_>>());
    assert!(is_empty(folder.path()));
}

const CHILD: &str = "LOGGER_TEST_CHILD";

/// Not a test by itself: logs and acknowledges until it is killed.
#[test]
fn child() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let [url, run, folder] = arguments.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{arguments}")
    };
    let client = Client::builder(url).unwrap().build().unwrap();
    let builder = quick(RunLogger::builder(&client, run));
    let logger = builder.spool(Spool::new(folder)).start().unwrap();
    for step in 0..10_000_000 {
        logger.log("m", 0.5, step).unwrap();
        if step % 500 == 0 {
            logger.sync_blocking(LIMIT).unwrap();
            println!("\nacknowledged {step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    use std::io::{BufRead, BufReader};
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        setup.running.url(),
        setup.run.to_string(),
        folder.path().display().to_string(),
    ];
    let mut acknowledged = 0;
    // Killed with the server up and down.
    for round in 0..4 {
        setup.mlflow.down(round % 2 == 1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logger::child", "--nocapture"])
            .env(CHILD, arguments.join("\n"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let last = tokio::task::spawn_blocking(move || {
            let mut last = 0;
            for line in BufReader::new(output).lines() {
                if let Some(step) = line.unwrap().strip_prefix("acknowledged ") {
                    last = step.parse::<i64>().unwrap();
                    if last >= 3_000 {
                        // It goes on logging while it is killed.
                        child.kill().unwrap();
                    }
                }
            }
            child.wait().unwrap();
            last
        });
        let last = tokio::time::timeout(LIMIT, last).await.unwrap().unwrap();
        assert!(last >= 3_000, "{last}");
        acknowledged = acknowledged.max(last);
    }
    setup.mlflow.down(false);
    let recovered = Spool::new(folder.path()).recover(&setup.client, LIMIT).await.unwrap();
    for Recovered { result, .. } in recovered {
        assert!(
            result.as_ref().is_ok_and(mlflow_client::Report::is_complete),
            "{result:?}"
        );
    }
    // Each child began with step 0 at another time; every one of its steps up to the acknowledged one is there.
    let mut count = BTreeMap::<i64, usize>::new();
    for point in setup.history("m").await {
        *count.entry(point.step).or_default() += 1;
    }
    for step in 0..=3_000 {
        assert_eq!(count.get(&step), Some(&4), "{step}");
    }
    assert!((0..=acknowledged).all(|step| count.contains_key(&step)));
    assert!(is_empty(folder.path()));
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}
