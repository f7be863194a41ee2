//! Experiments.

use futures_util::TryStreamExt;
use mlflow_client::{
    Client, CreateExperiment, DatasetInput, Error, ExperimentKey, LifecycleStage, SearchExperiments, ViewType,
};

use super::{refused_as_too_old, run, unique};

pub(super) async fn experiments_are_made_once(client: &Client) {
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

pub(super) async fn experiments_are_found_tagged_and_renamed(client: &Client) {
    let mark = unique("mark");
    let experiments = client.experiments();
    let mut ids = Vec::new();
    for n in 0..3 {
        let new = CreateExperiment::new(format!("{mark}-{n}"))
            .tag("mark", &mark)
            .tag("n", n.to_string());
        ids.push(experiments.create(new).await.unwrap());
    }
    experiments.delete(&ids[2]).await.unwrap();
    let search = |view| {
        SearchExperiments::new()
            .filter(
                ExperimentKey::tag("mark")
                    .equals(&mark)
                    .and(ExperimentKey::name().like(format!("{mark}-%"))),
            )
            .order_by(ExperimentKey::name().descending())
            .view_type(view)
            .max_results(1)
    };
    let found = |view| async move {
        let all: Vec<_> = experiments_of(client, search(view)).await;
        all
    };
    assert_eq!(found(ViewType::ActiveOnly).await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(found(ViewType::DeletedOnly).await, [ids[2].clone()]);
    assert_eq!(found(ViewType::All).await.len(), 3);
    let some = SearchExperiments::new().filter(ExperimentKey::experiment_id().one_of([ids[0].as_str(), "99999999"]));
    if client.server_version().await.unwrap() >= mlflow_client::ServerVersion::V3 {
        assert_eq!(experiments_of(client, some).await, [ids[0].clone()]);
    }
    let renamed = unique("renamed");
    experiments.update(&ids[0], &renamed).await.unwrap();
    experiments.set_tag(&ids[0], "more", "grün").await.unwrap();
    let experiment = experiments.get(&ids[0]).await.unwrap();
    assert_eq!(
        (experiment.name.as_str(), experiment.tag("more")),
        (renamed.as_str(), Some("grün"))
    );
    assert_eq!(experiment.lifecycle_stage, LifecycleStage::Active);
    let taken = experiments.update(&ids[1], &renamed).await;
    assert!(matches!(taken, Err(Error::InvalidArgument(_))), "{taken:?}");
    let deleted = experiments.update(&ids[2], "x").await;
    assert!(
        matches!(&deleted, Err(error @ Error::Server(_)) if !error.is_retryable()),
        "{deleted:?}"
    );
    assert!(matches!(experiments.get("99999999").await, Err(Error::NotFound(_))));
    if !refused_as_too_old(client, experiments.delete_tag(&ids[0], "more").await).await {
        assert_eq!(experiments.get(&ids[0]).await.unwrap().tag("more"), None);
        assert!(matches!(
            experiments.delete_tag(&ids[0], "more").await,
            Err(Error::NotFound(_))
        ));
    }
}

async fn experiments_of(client: &Client, search: SearchExperiments) -> Vec<mlflow_client::ExperimentId> {
    let all: Vec<_> = client.experiments().search_all(search).try_collect().await.unwrap();
    all.into_iter()
        .map(|experiment: mlflow_client::Experiment| experiment.experiment_id)
        .collect()
}

pub(super) async fn datasets_of_experiments_are_listed(client: &Client) {
    let id = run(client).await;
    let experiment = client.runs().get(&id).await.unwrap().info.experiment_id;
    // MLflow 2 knows a dataset by name and digest, whichever experiment it is of.
    let name = unique("penguins");
    let dataset = DatasetInput::new(&name, "d1", "local", "{}").context("training");
    client.runs().log_inputs(&id, &[dataset]).await.unwrap();
    let found = client.experiments().search_datasets([&experiment]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (
            found[0].name.as_str(),
            found[0].digest.as_str(),
            found[0].context.as_str()
        ),
        (name.as_str(), "d1", "training")
    );
    assert_eq!(found[0].experiment_id, experiment);
    let many = client.experiments().search_datasets(vec!["1"; 21]).await;
    assert!(matches!(many, Err(Error::InvalidRequest(_))), "{many:?}");
}

pub(super) async fn without_a_name_the_default_experiment_is_used(client: &Client) {
    assert_eq!(client.default_experiment().await.unwrap().experiment_id, "0");
}
