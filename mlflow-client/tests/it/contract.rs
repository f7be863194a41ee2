//! What the client does on any server: each case is played on the fake and, where there is one, on the real server.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use mlflow_client::testing::MlflowServer;
use mlflow_client::{
    Client, CreateModelVersion, CreateRun, DatasetInput, Error, LogBatch, Metric, RunId, RunStatus,
    SearchModelVersions, SearchRuns, UpdateRun, ViewType, quote,
};

/// A name that no other test and no earlier run has used.
fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4().simple())
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        mod on_the_fake {
            $(
                #[tokio::test]
                async fn $name() {
                    let running = super::MlflowServer::builder().build().start().await;
                    super::$name(&super::Client::builder(running.url()).unwrap().build().unwrap()).await;
                }
            )*
        }
        mod on_the_real_server {
            $(
                #[tokio::test]
                async fn $name() {
                    let Ok(uri) = std::env::var("MLFLOW_TEST_URI") else {
                        eprintln!("SKIP: MLFLOW_TEST_URI names no server");
                        return;
                    };
                    super::$name(&super::Client::builder(uri).unwrap().build().unwrap()).await;
                }
            )*
        }
    };
}

cases! {
    a_run_is_written_and_read_back,
    experiments_are_made_once,
    a_parameter_keeps_its_value,
    metrics_of_all_kinds_come_back,
    what_does_not_exist_is_not_found,
    runs_are_found_by_what_they_hold,
    deleted_runs_take_no_more,
    files_go_up_and_come_down,
    versions_count_up_and_aliases_move,
    large_batches_are_split,
    datasets_are_inputs,
    the_server_says_what_it_is,
}

async fn run(client: &Client) -> RunId {
    let experiment = client.experiments().get_or_create(&unique("contract")).await.unwrap();
    client
        .runs()
        .create(CreateRun::new(experiment.experiment_id).run_name("a run"))
        .await
        .unwrap()
        .id()
        .clone()
}

async fn a_run_is_written_and_read_back(client: &Client) {
    let id = run(client).await;
    let batch = LogBatch::new()
        .param("rate", "0.1")
        .param("grüße/a b", "ä\n")
        .tag("colour", "red")
        .metric(Metric::new("accuracy", 0.5))
        .metric(Metric::new("accuracy", 0.75).step(1));
    client.runs().log_batch(&id, &batch).await.unwrap();
    client
        .runs()
        .log_metric(&id, Metric::new("loss", 1e-300))
        .await
        .unwrap();
    client.runs().log_param(&id, "more", "").await.unwrap();
    client.runs().set_tag(&id, "colour", "blue").await.unwrap();
    client
        .runs()
        .update(&id, UpdateRun::ended(RunStatus::Finished))
        .await
        .unwrap();
    let run = client.runs().get(&id).await.unwrap();
    assert_eq!(run.info.status, RunStatus::Finished);
    assert!(run.info.end_time.is_some());
    assert_eq!(run.info.run_name, "a run");
    assert_eq!(
        (run.param("rate"), run.param("grüße/a b"), run.param("more")),
        (Some("0.1"), Some("ä\n"), Some(""))
    );
    assert_eq!(run.tag("colour"), Some("blue"));
    assert_eq!((run.metric("accuracy"), run.metric("loss")), (Some(0.75), Some(1e-300)));
    let history = client.runs().metric_history(&id, "accuracy").await.unwrap();
    assert_eq!(
        history.iter().map(|metric| metric.value).collect::<Vec<_>>(),
        [0.5, 0.75]
    );
    client.runs().delete_tag(&id, "colour").await.unwrap();
    assert_eq!(client.runs().get(&id).await.unwrap().tag("colour"), None);
}

async fn experiments_are_made_once(client: &Client) {
    let name = unique("once");
    let make = || async { client.experiments().get_or_create(&name).await };
    let ids = futures_util::future::join_all((0..4).map(|_| make())).await;
    let ids: Vec<_> = ids
        .into_iter()
        .map(|experiment| experiment.unwrap().experiment_id)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(matches!(
        client.experiments().create(name.as_str()).await,
        Err(Error::AlreadyExists(_))
    ));
    client.experiments().delete(&ids[0]).await.unwrap();
    assert!(client.experiments().get_or_create(&name).await.is_err());
    client.experiments().restore(&ids[0]).await.unwrap();
    assert_eq!(
        client
            .experiments()
            .get_by_name(&name)
            .await
            .unwrap()
            .unwrap()
            .experiment_id,
        ids[0]
    );
}

async fn a_parameter_keeps_its_value(client: &Client) {
    let id = run(client).await;
    client.runs().log_param(&id, "p", "1").await.unwrap();
    client.runs().log_param(&id, "p", "1").await.unwrap();
    let changed = client.runs().log_param(&id, "p", "2").await;
    assert!(matches!(changed, Err(Error::InvalidArgument(_))), "{changed:?}");
    let batch = LogBatch::new()
        .param("q", "1")
        .param("p", "3")
        .metric(Metric::new("m", 1.0));
    assert!(client.runs().log_batch(&id, &batch).await.is_err());
    let run = client.runs().get(&id).await.unwrap();
    assert_eq!(
        (run.param("p"), run.param("q"), run.metric("m")),
        (Some("1"), None, None)
    );
}

async fn metrics_of_all_kinds_come_back(client: &Client) {
    let id = run(client).await;
    let batch = LogBatch::new()
        .metric(Metric::new("nan", f64::NAN))
        .metric(Metric::new("up", f64::INFINITY))
        .metric(Metric::new("down", f64::NEG_INFINITY))
        .metric(Metric::new("whole", 3.0).step(-5));
    client.runs().log_batch(&id, &batch).await.unwrap();
    let run = client.runs().get(&id).await.unwrap();
    assert!(run.metric("nan").unwrap().is_nan());
    // The server keeps infinities as the largest finite numbers.
    assert!(run.metric("up").unwrap() >= f64::MAX && run.metric("down").unwrap() <= f64::MIN);
    assert_eq!(client.runs().metric_history(&id, "whole").await.unwrap()[0].step, -5);
}

async fn what_does_not_exist_is_not_found(client: &Client) {
    let nobody = RunId::new("0123456789abcdef0123456789abcdef");
    assert!(matches!(client.runs().get(&nobody).await, Err(Error::NotFound(_))));
    assert_eq!(client.runs().get_opt(&nobody).await.unwrap(), None);
    assert!(matches!(
        client.runs().log_param(&nobody, "a", "b").await,
        Err(Error::NotFound(_))
    ));
    let name = unique("nothing");
    assert_eq!(client.experiments().get_by_name(&name).await.unwrap(), None);
    assert_eq!(client.registered_models().get_opt(&name).await.unwrap(), None);
    assert_eq!(
        client
            .registered_models()
            .get_by_alias(&name, "champion")
            .await
            .unwrap(),
        None
    );
    assert_eq!(client.model_versions().newest(&name).await.unwrap(), None);
    let id = run(client).await;
    assert!(matches!(
        client.artifacts().read(&id, "nothing.txt").await,
        Err(Error::NotFound(_))
    ));
    assert!(client.artifacts().list(&id, "").await.unwrap().is_empty());
}

async fn runs_are_found_by_what_they_hold(client: &Client) {
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

async fn deleted_runs_take_no_more(client: &Client) {
    let id = run(client).await;
    client.runs().delete(&id).await.unwrap();
    client.runs().delete(&id).await.unwrap();
    assert!(client.runs().log_param(&id, "a", "b").await.is_err());
    let experiment = client.runs().get(&id).await.unwrap().info.experiment_id;
    let active = client
        .runs()
        .search(SearchRuns::new([experiment.clone()]))
        .await
        .unwrap();
    assert!(active.items.is_empty());
    let all = client
        .runs()
        .search(SearchRuns::new([experiment]).view_type(ViewType::All))
        .await
        .unwrap();
    assert_eq!(all.items.len(), 1);
    client.runs().restore(&id).await.unwrap();
    client.runs().log_param(&id, "a", "b").await.unwrap();
}

async fn files_go_up_and_come_down(client: &Client) {
    let id = run(client).await;
    let files = client.artifacts();
    files
        .upload(&id, "model/weights v1+ü.bin", Bytes::from_static(b"\0\x01weights"))
        .await
        .unwrap();
    let chunks = stream::iter((0..100).map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![n; 1000]))));
    files.upload_stream(&id, "model/large.bin", chunks).await.unwrap();
    let mut listed: Vec<_> = files
        .list(&id, "model")
        .await
        .unwrap()
        .into_iter()
        .map(|file| (file.path, file.file_size))
        .collect();
    listed.sort();
    assert_eq!(
        listed,
        [
            ("model/large.bin".to_owned(), Some(100_000)),
            ("model/weights v1+ü.bin".to_owned(), Some(9))
        ]
    );
    assert!(files.list(&id, "").await.unwrap()[0].is_dir);
    assert_eq!(
        files.read(&id, "model/weights v1+ü.bin").await.unwrap(),
        Bytes::from_static(b"\0\x01weights")
    );
    let down = files.download(&id, "model/large.bin").await.unwrap();
    let size: usize = down
        .map(|chunk| chunk.unwrap().len())
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .sum();
    assert_eq!(size, 100_000);
    for path in ["../x", "/x", "a//b", "a/./b", ""] {
        assert!(
            matches!(files.upload(&id, path, "x").await, Err(Error::InvalidRequest(_))),
            "{path:?}"
        );
    }
    files.delete(&id, "model").await.unwrap();
    assert!(files.list(&id, "").await.unwrap().is_empty());
}

async fn versions_count_up_and_aliases_move(client: &Client) {
    let (name, id) = (unique("model"), run(client).await);
    let models = client.registered_models();
    models.get_or_create(&name).await.unwrap();
    models.get_or_create(&name).await.unwrap();
    assert!(matches!(
        models.create(name.as_str()).await,
        Err(Error::AlreadyExists(_))
    ));
    for number in 1..=2 {
        let version = CreateModelVersion::of_run(&name, &id, "model").tag("n", number.to_string());
        let made = client.model_versions().create(version).await.unwrap();
        assert_eq!((made.version.get(), made.run_id.clone()), (number, id.clone()));
    }
    assert_eq!(
        client
            .model_versions()
            .newest(&name)
            .await
            .unwrap()
            .unwrap()
            .version
            .get(),
        2
    );
    models.set_alias(&name, "champion", 1).await.unwrap();
    models.set_alias(&name, "champion", 2).await.unwrap();
    let champion = models.get_by_alias(&name, "champion").await.unwrap().unwrap();
    assert_eq!((champion.version.get(), champion.tag("n")), (2, Some("2")));
    assert_eq!(models.get(&name).await.unwrap().alias("champion").unwrap().get(), 2);
    assert_eq!(models.get_by_alias(&name, "challenger").await.unwrap(), None);
    client
        .model_versions()
        .set_tag(&name, 1, "colour", "red")
        .await
        .unwrap();
    let of_run = SearchModelVersions::new().filter(format!("run_id = '{id}'"));
    assert_eq!(client.model_versions().search(of_run).await.unwrap().items.len(), 2);
    assert_eq!(
        client.model_versions().download_uri(&name, 1).await.unwrap(),
        format!("runs:/{id}/model")
    );
    client.model_versions().delete(&name, 2).await.unwrap();
    assert_eq!(models.get_by_alias(&name, "champion").await.unwrap(), None);
    let third = client
        .model_versions()
        .create(CreateModelVersion::of_run(&name, &id, "model"))
        .await
        .unwrap();
    assert_eq!(third.version.get(), 3);
    models.delete(&name).await.unwrap();
    assert_eq!(models.get_opt(&name).await.unwrap(), None);
}

async fn large_batches_are_split(client: &Client) {
    let id = run(client).await;
    let metrics = (0..2500).map(|step| Metric::new("m", 1.0).step(step));
    let params = (0..150).map(|n| (format!("p{n}"), n.to_string()));
    client
        .runs()
        .log_batch(&id, &LogBatch::new().metrics(metrics).params(params))
        .await
        .unwrap();
    let run = client.runs().get(&id).await.unwrap();
    assert_eq!(run.data.params.len(), 150);
    assert_eq!(client.runs().metric_history(&id, "m").await.unwrap().len(), 2500);
    let long = LogBatch::new().param("k".repeat(251), "x");
    assert!(matches!(
        client.runs().log_batch(&id, &long).await,
        Err(Error::InvalidRequest(_))
    ));
}

async fn datasets_are_inputs(client: &Client) {
    let id = run(client).await;
    let dataset = DatasetInput::new("penguins", "0123456789abcdef0123456789abcdef", "local", "{}").context("training");
    client.runs().log_inputs(&id, &[dataset]).await.unwrap();
    let inputs = client.runs().get(&id).await.unwrap().inputs;
    assert_eq!(inputs.dataset_inputs.len(), 1);
    assert_eq!(inputs.dataset_inputs[0].dataset.name, "penguins");
}

async fn the_server_says_what_it_is(client: &Client) {
    client.health().await.unwrap();
    assert!(client.version().await.unwrap().contains('.'));
}
