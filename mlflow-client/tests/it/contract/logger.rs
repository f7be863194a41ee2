//! The logger.

use std::time::Duration;

use mlflow_client::{Client, Spool};

use super::run;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn what_a_logger_takes_is_there_once_it_is_closed(client: &Client) {
    let plain = run(client).await;
    log_and_read_back(client, &plain, None).await;
    let folder = tempfile::tempdir().unwrap();
    let spooled = run(client).await;
    log_and_read_back(client, &spooled, Some(Spool::new(folder.path()))).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

async fn log_and_read_back(client: &Client, id: &mlflow_client::RunId, spool: Option<Spool>) {
    // More than one request takes.
    const STEPS: i64 = 1_200;
    let mut builder = client.runs().logger(id).close_limit(LIMIT);
    if let Some(spool) = spool {
        builder = builder.spool(spool);
    }
    let logger = builder.start().unwrap();
    let value = |step: i64| match step % 5 {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => 1e-300,
        _ => -0.1,
    };
    let metric = logger.metric("train/loss é").unwrap();
    for step in 0..STEPS {
        metric.log_at(value(step), step, 1_700_000_000_000 + step).unwrap();
    }
    // Different values of one step and time all stay, and equal ones are one.
    for value in [2.0, 1.0, 2.0, f64::NAN] {
        logger.log_at("same", value, -7, 5).unwrap();
    }
    for number in 0..110 {
        logger.param(&format!("p{number}"), &number.to_string()).unwrap();
        logger.tag(&format!("t {number}"), "ä\n").unwrap();
    }
    // The last word counts.
    logger.tag("t 0", "new").unwrap();
    let flushed = logger.flush(LIMIT).await.unwrap();
    assert_eq!(flushed.delivered, 1_200 + 4 + 220 + 1, "{flushed}");
    logger.param("late", "").unwrap();
    let report = logger.close().await;
    assert!(report.is_complete(), "{report}");

    let history = client.runs().metric_history(id, "train/loss é").await.unwrap();
    let mut history: Vec<_> = history
        .iter()
        .map(|point| (point.step, point.timestamp, point.value))
        .collect();
    history.sort_by_key(|(step, ..)| *step);
    assert_eq!(history.len(), 1_200);
    for (at, (step, timestamp, read)) in (0..).zip(&history) {
        assert_eq!((*step, *timestamp), (at, 1_700_000_000_000 + at));
        let wrote = value(at);
        assert!(
            read.to_bits() == wrote.to_bits() || read.is_nan() && wrote.is_nan(),
            "{at}: {read} for {wrote}"
        );
    }
    let mut same: Vec<_> = client.runs().metric_history(id, "same").await.unwrap();
    same.sort_by(|one, other| one.value.total_cmp(&other.value));
    let values: Vec<_> = same.iter().map(|point| point.value.to_string()).collect();
    assert_eq!(values, ["1", "2", "NaN"]);
    assert!(same.iter().all(|point| (point.step, point.timestamp) == (-7, 5)));
    let read = client.runs().get(id).await.unwrap();
    assert_eq!(read.data.params.len(), 111);
    assert_eq!((read.param("p109"), read.param("late")), (Some("109"), Some("")));
    assert_eq!((read.tag("t 0"), read.tag("t 109")), (Some("new"), Some("ä\n")));
}
