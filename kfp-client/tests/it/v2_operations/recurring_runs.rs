//! Recurring runs, and what else a run can be given.

use futures_util::TryStreamExt;
use kfp_client::{
    CreateRecurringRun, CreateRun, DeletePropagationPolicy, ListRecurringRuns, PipelineSource, RecurringRunMode,
    RecurringRunStatus, Trigger, UploadPipeline,
    testing::{Generation, KfpServer},
};
use serde_json::{Value, json};

use super::{client, document, file, refused};
use crate::scripted::{Act, Seen, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_recurring_run_lives_through_the_client() {
    for generation in [Generation::V2_5, Generation::V2_17] {
        let fake = KfpServer::builder().generation(generation).build();
        let server = fake.start().await;
        let client = client(&server.url());
        let experiment = client
            .experiments()
            .get_or_create("nightly", None)
            .await
            .unwrap()
            .experiment_id;
        let recurring = client.recurring_runs();
        let start = "2030-01-01T00:00:00Z".parse().unwrap();
        let new = CreateRecurringRun::new(
            "rr",
            experiment.clone(),
            document(),
            Trigger::cron("0 0 3 * * *").start_time(start),
        );
        let made = recurring
            .create(&new.description("d").no_catchup(true).max_concurrency(3))
            .await
            .unwrap();
        assert!(
            made.is_enabled() && made.no_catchup && made.max_concurrency == 3,
            "{made:?}"
        );
        assert_eq!(made.mode, Some(RecurringRunMode::Enable));
        assert_eq!(made.experiment_id, experiment);
        let cron = made.trigger.clone().unwrap().cron_schedule.unwrap();
        assert_eq!((cron.cron.as_str(), cron.start_time), ("0 0 3 * * *", Some(start)));
        let id = made.recurring_run_id.clone();
        assert_eq!(recurring.get(&id).await.unwrap(), made);

        recurring.disable(&id).await.unwrap();
        let off = recurring.get(&id).await.unwrap();
        assert_eq!(
            (off.is_enabled(), off.status),
            (false, Some(RecurringRunStatus::Disabled))
        );
        recurring.enable(&id).await.unwrap();
        assert!(recurring.get(&id).await.unwrap().is_enabled());

        let uploaded = client
            .pipelines()
            .upload(&UploadPipeline::new("say", file()))
            .await
            .unwrap();
        let latest = PipelineSource::Version {
            pipeline_id: Some(uploaded.pipeline_id),
            pipeline_version_id: None,
        };
        let new = CreateRecurringRun::new("rr2", experiment.clone(), latest, Trigger::periodic(60)).enabled(false);
        let second = recurring.create(&new).await.unwrap();
        assert!(!second.is_enabled());
        assert_eq!(second.trigger.unwrap().periodic_schedule.unwrap().interval_second, 60);
        assert!(
            second
                .pipeline_version_reference
                .unwrap()
                .pipeline_version_id
                .is_empty()
        );

        let list = ListRecurringRuns::new()
            .experiment_id(experiment)
            .page_size(1)
            .sort_by("display_name");
        let first = recurring.list(&list).await.unwrap();
        assert_eq!((first.items.len(), first.total_size), (1, 2));
        let all: Vec<_> = recurring.list_all(list).try_collect().await.unwrap();
        assert_eq!(
            all.iter().map(|it| it.display_name.as_str()).collect::<Vec<_>>(),
            ["rr", "rr2"]
        );

        recurring
            .delete_with(&id, &DeletePropagationPolicy::Orphan)
            .await
            .unwrap();
        assert_eq!(recurring.get_opt(&id).await.unwrap(), None);
        assert!(recurring.delete(&id).await.unwrap_err().is_not_found());
        let policies = fake.requests().into_iter().filter(|request| request.method == "DELETE");
        let policies: Vec<_> = policies.map(|request| request.query).collect();
        assert_eq!(
            policies,
            [vec![("propagation_policy".to_owned(), "ORPHAN".to_owned())], vec![]]
        );
    }
}

#[tokio::test]
async fn faulty_recurring_runs_are_not_sent() {
    let server = Server::start(|_, _| Act::json(200, json!({}))).await;
    let recurring = server.client().build().unwrap().recurring_runs();
    let new = |trigger| CreateRecurringRun::new("x", "e", json!({"pipelineInfo": {}}), trigger);
    let daily = || Trigger::cron("@daily");
    for (request, field) in [
        (new(Trigger::cron("0 0 0 * * 7")), "trigger.cron_schedule.cron"),
        (new(Trigger::periodic(0)), "trigger.periodic_schedule.interval_second"),
        (new(daily()).max_concurrency(0), "max_concurrency"),
        (new(daily()).max_concurrency(11), "max_concurrency"),
        (new(daily()).parameter("p", Value::Null), "parameters.p"),
        (new(daily()).plugin("mlflow", "x"), "plugins_input.mlflow"),
        (new(daily()).description("🎉"), "description"),
        (new(daily()).parameter("p", "🎉"), "pipeline or parameters"),
        (CreateRecurringRun::new("", "e", json!({}), daily()), "display_name"),
        (CreateRecurringRun::new("x", "e", json!([]), daily()), "source"),
    ] {
        refused(&recurring.create(&request).await.unwrap_err(), field);
    }
    refused(&recurring.get(&"a:b".into()).await.unwrap_err(), "recurring_run_id");
    let policy = DeletePropagationPolicy::from("SOMETIMES");
    refused(
        &recurring.delete_with(&"x".into(), &policy).await.unwrap_err(),
        "propagation_policy",
    );
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn settings_of_plugins_go_with_a_run() {
    let server = Server::start(|seen: &Seen, _| Act::json(200, json!({"run_id": seen.json()["run_id"]}))).await;
    let runs = server.client().build().unwrap().runs();
    let new = || CreateRun::new("x", "e", json!({"pipelineInfo": {}}));
    let error = runs.create(new().plugin("mlflow", "fraud")).await.unwrap_err();
    refused(&error, "plugins_input.mlflow");
    runs.create(new().plugin("mlflow", json!({"experiment_name": "fraud"})))
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].json()["plugins_input"],
        json!({"mlflow": {"experiment_name": "fraud"}})
    );
    assert_eq!(
        seen[0].target, "/apis/v2beta1/runs",
        "the experiment goes in the body alone"
    );
}
