//! Searches.

use futures_util::TryStreamExt;
use mlflow_client::{
    Client, CreateRun, DatasetInput, Error, Filter, LogBatch, Metric, OrderBy, Run, RunKey, RunStatus, SearchRuns,
    UpdateRun, quote,
};

use super::unique;

pub(super) async fn runs_are_found_by_what_they_hold(client: &Client) {
    let experiment = client
        .experiments()
        .get_or_create(&unique("search"))
        .await
        .unwrap()
        .experiment_id;
    for (n, colour) in ["red", "green", "blue"].into_iter().enumerate() {
        let id = client
            .runs()
            .create(CreateRun::new(experiment.clone()).tag("colour", colour))
            .await
            .unwrap()
            .id()
            .clone();
        let batch = LogBatch::new()
            .metric(Metric::new("score", f64::from(u8::try_from(n).unwrap())))
            .param("n", n.to_string());
        client.runs().log_batch(&id, &batch).await.unwrap();
    }
    let search = |filter: &str| {
        SearchRuns::new([experiment.clone()])
            .filter(filter)
            .order_by("metrics.score DESC")
    };
    let found = |page: mlflow_client::Page<mlflow_client::Run>| -> Vec<String> {
        page.items
            .iter()
            .map(|run| run.tag("colour").unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        found(client.runs().search(search("")).await.unwrap()),
        ["blue", "green", "red"]
    );
    assert_eq!(
        found(client.runs().search(search("metrics.score > 0")).await.unwrap()),
        ["blue", "green"]
    );
    let filter = format!("tags.colour = {} and params.n = '0'", quote("red").unwrap());
    assert_eq!(found(client.runs().search(search(&filter)).await.unwrap()), ["red"]);
    assert_eq!(
        found(
            client
                .runs()
                .search(search("tags.colour LIKE '%e%' AND attributes.status = 'RUNNING'"))
                .await
                .unwrap()
        )
        .len(),
        3
    );
    assert!(found(client.runs().search(search("params.nothing = 'x'")).await.unwrap()).is_empty());
    assert!(matches!(
        client.runs().search(search("nonsense")).await,
        Err(Error::InvalidArgument(_))
    ));
    let pages: Vec<_> = client
        .runs()
        .search_all(search("").max_results(2))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(pages.len(), 3);
}

async fn found(client: &Client, search: SearchRuns) -> Vec<String> {
    let runs: Vec<Run> = client.runs().search_all(search).try_collect().await.unwrap();
    runs.into_iter().map(|run| run.info.run_name).collect()
}

pub(super) async fn filters_mean_what_they_say(client: &Client) {
    let experiment = client.experiments().create(unique("filters").as_str()).await.unwrap();
    let odd = "it's 50% \\ of \u{fc} -- ; \n #";
    for n in 0..3_i32 {
        let run = CreateRun::new(experiment.clone())
            .run_name(format!("run {n}"))
            .user_id("me")
            .tag("n", n.to_string())
            .tag("odd key: a/b.c", odd);
        let id = client.runs().create(run).await.unwrap().id().clone();
        let batch = LogBatch::new()
            .metric(Metric::new("val/loss 1", f64::from(n) * 1e-7))
            .param("p.q", format!("v{n}"));
        client.runs().log_batch(&id, &batch).await.unwrap();
        if n == 0 {
            client
                .runs()
                .update(&id, UpdateRun::ended(RunStatus::Failed))
                .await
                .unwrap();
            let dataset = DatasetInput::new("d's", "g", "local", "{}").context("test");
            client.runs().log_inputs(&id, &[dataset]).await.unwrap();
        }
    }
    let by_name = || RunKey::run_name().ascending();
    for (filter, names) in [
        (RunKey::metric("val/loss 1").greater_than(1e-8), vec!["run 1", "run 2"]),
        (RunKey::metric("val/loss 1").equals(2e-7), vec!["run 2"]),
        (RunKey::metric("val/loss 1").at_most(0), vec!["run 0"]),
        (RunKey::param("p.q").equals("v1"), vec!["run 1"]),
        (RunKey::param("p.q").not_equals("v1"), vec!["run 0", "run 2"]),
        (
            RunKey::tag("odd key: a/b.c")
                .equals(odd)
                .and(RunKey::tag("n").ilike("2")),
            vec!["run 2"],
        ),
        (RunKey::run_name().like("%1"), vec!["run 1"]),
        (RunKey::status().equals(RunStatus::Failed.as_str()), vec!["run 0"]),
        (
            RunKey::user_id().equals("me").and(RunKey::end_time().greater_than(0)),
            vec!["run 0"],
        ),
        (RunKey::start_time().less_than(jiff::Timestamp::UNIX_EPOCH), vec![]),
        (RunKey::dataset_name().equals("d's"), vec!["run 0"]),
        (RunKey::dataset_digest().one_of(["x", "g"]), vec!["run 0"]),
        (RunKey::dataset_context().equals("test"), vec!["run 0"]),
        (RunKey::run_id().one_of(["0123"]), vec![]),
        (RunKey::run_id().none_of(["0123"]).and("tags.n = '1'"), vec!["run 1"]),
    ] {
        let search = SearchRuns::new([&experiment])
            .filter(filter.clone())
            .order_by(by_name());
        assert_eq!(found(client, search).await, names, "{filter:?}");
    }
    let order = |order: OrderBy<Run>| SearchRuns::new([&experiment]).order_by(order).max_results(2);
    let down = ["run 2", "run 1", "run 0"];
    assert_eq!(
        found(client, order(RunKey::metric("val/loss 1").descending())).await,
        down
    );
    assert_eq!(found(client, order(RunKey::param("p.q").descending())).await, down);
    assert_eq!(found(client, order(RunKey::tag("n").descending())).await, down);
    assert_eq!(
        found(client, order(RunKey::start_time().ascending())).await,
        ["run 0", "run 1", "run 2"]
    );
    let null: Filter<Run> = RunKey::tag("none").is_null();
    let search = client.runs().search(SearchRuns::new([&experiment]).filter(null)).await;
    if client.server_version().await.unwrap().major >= 3 {
        assert_eq!(search.unwrap().items.len(), 3);
    } else {
        assert!(matches!(search, Err(Error::InvalidArgument(_))), "{search:?}");
    }
}

pub(super) async fn what_cannot_be_written_is_not_sent(client: &Client) {
    let search = SearchRuns::new(["0"]).filter(RunKey::tag("t").equals("'\""));
    assert!(matches!(
        client.runs().search(search).await,
        Err(Error::InvalidRequest(_))
    ));
    let search = SearchRuns::new(["0"]).order_by(RunKey::dataset_name().ascending());
    assert!(matches!(
        client.runs().search(search).await,
        Err(Error::InvalidRequest(_))
    ));
}
