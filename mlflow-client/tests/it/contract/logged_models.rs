//! Logged models.

use futures_util::TryStreamExt;
use mlflow_client::{
    Client, CreateLoggedModel, Error, LogBatch, LoggedModelId, LoggedModelKey, LoggedModelOrder, LoggedModelStatus,
    Metric, ModelMetric, SearchLoggedModels,
};

use super::{refused_as_too_old, run};

pub(super) async fn a_logged_model_from_beginning_to_end(client: &Client) {
    let id = run(client).await;
    let experiment = client.runs().get(&id).await.unwrap().info.experiment_id;
    let models = client.logged_models();
    let new = CreateLoggedModel::new(&experiment)
        .name("forest")
        .model_type("Agent")
        .source_run_id(&id)
        .param("depth", "3")
        .tag("colour", "red");
    let made = models.create(new).await;
    if refused_as_too_old(client, made.as_ref().map(drop)).await {
        let unknown = models.get(&LoggedModelId::new("m-1")).await;
        assert!(matches!(unknown, Err(Error::ServerTooOld(_))), "{unknown:?}");
        return;
    }
    let model = made.unwrap();
    let id_of_model = model.id();
    assert_eq!(
        (model.info.name.as_str(), &model.info.status),
        ("forest", &LoggedModelStatus::Pending)
    );
    assert_eq!(
        (model.info.model_type.as_str(), &model.info.source_run_id),
        ("Agent", &id)
    );
    assert_eq!((model.param("depth"), model.tag("colour")), (Some("3"), Some("red")));
    let ready = models.finalize(id_of_model, LoggedModelStatus::Ready).await.unwrap();
    assert_eq!(ready.info.status, LoggedModelStatus::Ready);
    models
        .set_tags(id_of_model, [("colour", "blue"), ("more", "1")])
        .await
        .unwrap();
    models.delete_tag(id_of_model, "more").await.unwrap();
    assert!(matches!(
        models.delete_tag(id_of_model, "more").await,
        Err(Error::NotFound(_))
    ));
    models.log_params(id_of_model, [("trees", "7")]).await.unwrap();
    let again = models.log_params(id_of_model, [("trees", "7")]).await;
    assert!(matches!(again, Err(Error::InvalidArgument(_))), "{again:?}");
    let found = models.get(id_of_model).await.unwrap();
    assert_eq!(
        (found.param("trees"), found.tag("colour"), found.tag("more")),
        (Some("7"), Some("blue"), None)
    );
    assert!(
        models
            .list_artifacts(id_of_model, "", None)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    models.delete(id_of_model).await.unwrap();
    models.delete(id_of_model).await.unwrap();
    assert_eq!(models.get_opt(id_of_model).await.unwrap(), None);
    let unknown = models
        .finalize(id_of_model, LoggedModelStatus::Unknown("READY".to_owned()))
        .await;
    assert!(matches!(unknown, Err(Error::InvalidRequest(_))), "{unknown:?}");
}

pub(super) async fn logged_models_are_found(client: &Client) {
    let id = run(client).await;
    let experiment = client.runs().get(&id).await.unwrap().info.experiment_id;
    if client.server_version().await.unwrap() < mlflow_client::ServerVersion::V3 {
        let refused = client
            .logged_models()
            .search(SearchLoggedModels::new([&experiment]))
            .await;
        assert!(matches!(refused, Err(Error::ServerTooOld(_))), "{refused:?}");
        return;
    }
    let models = client.logged_models();
    for n in 0..3_i32 {
        let new = CreateLoggedModel::new(&experiment)
            .name(format!("n{n}"))
            .param("n", n.to_string());
        let model = models.create(new).await.unwrap();
        let metric = ModelMetric::new(model.id(), Metric::new("acc", f64::from(n)));
        client.runs().log_model_metrics(&id, &[metric]).await.unwrap();
        if n == 1 {
            models.finalize(model.id(), LoggedModelStatus::Ready).await.unwrap();
        }
    }
    client
        .runs()
        .log_batch(&id, &LogBatch::new().metric(Metric::new("acc", 9.0)))
        .await
        .unwrap();
    let found = |search: SearchLoggedModels| async {
        let all: Vec<_> = models.search_all(search.max_results(2)).try_collect().await.unwrap();
        all.into_iter().map(|model| model.info.name).collect::<Vec<_>>()
    };
    let search = || SearchLoggedModels::new([&experiment]).order_by(LoggedModelOrder::attribute("name"));
    assert_eq!(found(search()).await, ["n0", "n1", "n2"]);
    assert_eq!(
        found(search().filter(LoggedModelKey::metric("acc").at_least(1))).await,
        ["n1", "n2"]
    );
    assert_eq!(
        found(search().filter(LoggedModelKey::param("n").equals("2"))).await,
        ["n2"]
    );
    assert_eq!(
        found(search().filter(LoggedModelKey::name().one_of(["n0", "n2"]))).await,
        ["n0", "n2"]
    );
    assert_eq!(
        found(search().filter(LoggedModelKey::status_is(&LoggedModelStatus::Ready))).await,
        ["n1"]
    );
    let down = SearchLoggedModels::new([&experiment]).order_by(LoggedModelOrder::metric("acc").descending());
    assert_eq!(found(down).await, ["n2", "n1", "n0"]);
}
