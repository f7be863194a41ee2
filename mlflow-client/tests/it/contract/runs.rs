//! Runs and what is logged to them.

use futures_util::TryStreamExt;
use mlflow_client::{
    BulkHistory, Client, CreateLoggedModel, DatasetInput, Error, LogBatch, Metric, ModelMetric, ModelOutput, RunId,
    RunStatus, SearchRuns, UpdateRun, ViewType,
};
use serde_json::json;

use super::{refused_as_too_old, run, unique};

pub(super) async fn a_run_is_written_and_read_back(client: &Client) {
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

pub(super) async fn a_parameter_keeps_its_value(client: &Client) {
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

pub(super) async fn metrics_of_all_kinds_come_back(client: &Client) {
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

pub(super) async fn what_does_not_exist_is_not_found(client: &Client) {
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

pub(super) async fn deleted_runs_take_no_more(client: &Client) {
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

pub(super) async fn large_batches_are_split(client: &Client) {
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

pub(super) async fn datasets_are_inputs(client: &Client) {
    let id = run(client).await;
    let dataset = DatasetInput::new("penguins", "0123456789abcdef0123456789abcdef", "local", "{}").context("training");
    client.runs().log_inputs(&id, &[dataset]).await.unwrap();
    let inputs = client.runs().get(&id).await.unwrap().inputs;
    assert_eq!(inputs.dataset_inputs.len(), 1);
    assert_eq!(inputs.dataset_inputs[0].dataset.name, "penguins");
}

pub(super) async fn histories_come_in_pages_and_thinned_out(client: &Client) {
    let id = run(client).await;
    let points = (0..10).map(|step| Metric::new("m", 1.0).step(step));
    client
        .runs()
        .log_batch(&id, &LogBatch::new().metrics(points))
        .await
        .unwrap();
    let page = client.runs().metric_history_page(&id, "m", 4, None).await.unwrap();
    // Version 2 gives it all at once.
    let old = client.server_version().await.unwrap() < mlflow_client::ServerVersion::V3;
    let expected = if old { (10, false) } else { (4, true) };
    assert_eq!((page.items.len(), page.next_page_token.is_some()), expected);
    let all: Vec<_> = client.runs().metric_history_all(&id, "m").try_collect().await.unwrap();
    assert_eq!(
        all.iter().map(|point| point.step).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    let bulk = |wanted: BulkHistory| async { client.runs().metric_history_bulk(wanted).await };
    let few = bulk(BulkHistory::new([&id], "m").max_results(3)).await.unwrap();
    // Version 2 keeps one more.
    assert!(
        (3..=4).contains(&few.len()) && few[0].step == 0 && few[few.len() - 1].step == 9,
        "{few:?}"
    );
    assert!(few.iter().all(|point| point.run_id == id && point.key == "m"));
    let part = bulk(BulkHistory::new([&id], "m").steps(2, 4)).await.unwrap();
    assert_eq!(part.iter().map(|point| point.step).collect::<Vec<_>>(), [2, 3, 4]);
    let none: [RunId; 0] = [];
    assert!(matches!(
        bulk(BulkHistory::new(none, "m")).await,
        Err(Error::InvalidRequest(_))
    ));
}

pub(super) async fn models_are_inputs_and_outputs(client: &Client) {
    let id = run(client).await;
    let output = [ModelOutput::new("m-0123456789abcdef0123456789abcdef", 7)];
    if refused_as_too_old(client, client.runs().log_outputs(&id, &output).await).await {
        let inputs = client.runs().log_model_inputs(&id, ["m-1"]).await;
        assert!(matches!(inputs, Err(Error::ServerTooOld(_))), "{inputs:?}");
        let metric = ModelMetric::new("m-1", Metric::new("m", 1.0));
        let metrics = client.runs().log_model_metrics(&id, &[metric]).await;
        assert!(matches!(metrics, Err(Error::ServerTooOld(_))), "{metrics:?}");
        // What an older server would keep only half of is not sent.
        assert!(client.runs().get(&id).await.unwrap().data.metrics.is_empty());
        return;
    }
    let experiment = client.runs().get(&id).await.unwrap().info.experiment_id;
    let model = CreateLoggedModel::new(experiment).name("forest").source_run_id(&id);
    let model = client.logged_models().create(model).await.unwrap();
    client.runs().log_model_inputs(&id, [model.id()]).await.unwrap();
    let found = client.runs().get(&id).await.unwrap();
    assert_eq!(found.outputs.model_outputs, output);
    assert_eq!(found.inputs.model_inputs[0].model_id, *model.id());
    client
        .runs()
        .log_inputs(&id, &[DatasetInput::new("penguins", "d1", "local", "{}")])
        .await
        .unwrap();
    let metric = ModelMetric::new(model.id(), Metric::new("accuracy", 0.5)).dataset("penguins", "d1");
    client.runs().log_model_metrics(&id, &[metric]).await.unwrap();
    let metrics = client.logged_models().get(model.id()).await.unwrap().data.metrics;
    assert_eq!((metrics[0].key.as_str(), metrics[0].value), ("accuracy", 0.5));
    assert_eq!(metrics[0].dataset_name.as_deref(), Some("penguins"));
    assert_eq!(metrics[0].run_id.as_ref(), Some(&id));
}

pub(super) async fn models_are_described_in_the_manner_of_version_2(client: &Client) {
    let id = run(client).await;
    let model = json!({
        "artifact_path": "model", "flavors": {}, "utc_time_created": "2024-01-01 00:00:00.000000", "run_id": id,
    });
    client.runs().log_model_description(&id, &model).await.unwrap();
    let tag = client.runs().get(&id).await.unwrap();
    let tag = tag.tag(mlflow_client::tags::LOGGED_MODEL_HISTORY).unwrap().to_owned();
    assert!(tag.contains("artifact_path") && tag.contains(id.as_str()), "{tag}");
    let incomplete = client.runs().log_model_description(&id, &json!({})).await;
    assert!(matches!(incomplete, Err(Error::InvalidRequest(_))), "{incomplete:?}");
}
