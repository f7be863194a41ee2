//! Registered models, their versions, prompts.

use futures_util::TryStreamExt;
use mlflow_client::{
    Client, CreateLoggedModel, CreateModelVersion, CreateRegisteredModel, Error, ModelVersionKey, RegisteredModelKey,
    SearchModelVersions, SearchRegisteredModels, Stage,
};

use super::{refused_as_too_old, run, unique};

pub(super) async fn versions_count_up_and_aliases_move(client: &Client) {
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

pub(super) async fn stages_and_tags_of_versions(client: &Client) {
    let name = unique("stages");
    let models = client.registered_models();
    let new = CreateRegisteredModel::new(&name).description("what").tag("team", "a");
    assert_eq!(models.create(new).await.unwrap().tag("team"), Some("a"));
    let versions = client.model_versions();
    for _ in 0..2 {
        versions
            .create(CreateModelVersion::new(&name, "s3://bucket/key").run_link("https://x"))
            .await
            .unwrap();
    }
    versions
        .transition_stage(&name, 1, Stage::Production, false)
        .await
        .unwrap();
    let second = versions
        .transition_stage(&name, 2, Stage::Production, true)
        .await
        .unwrap();
    assert_eq!(second.current_stage, Stage::Production);
    let first = versions.get(&name, 1).await.unwrap();
    assert_eq!(
        (first.current_stage, first.run_link.as_str()),
        (Stage::Archived, "https://x")
    );
    let latest = models.latest_versions(&name, &[Stage::Production]).await.unwrap();
    assert_eq!(
        latest.iter().map(|version| version.version.get()).collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(models.latest_versions(&name, &[]).await.unwrap().len(), 2);
    let archived = versions.transition_stage(&name, 2, Stage::Archived, true).await;
    assert!(matches!(archived, Err(Error::InvalidRequest(_))), "{archived:?}");
    versions.set_tag(&name, 1, "t", "1").await.unwrap();
    versions.delete_tag(&name, 1, "t").await.unwrap();
    versions.delete_tag(&name, 1, "t").await.unwrap();
    assert_eq!(versions.get(&name, 1).await.unwrap().tag("t"), None);
    assert_eq!(versions.update(&name, 1, "better").await.unwrap().description, "better");
    models.set_tag(&name, "team", "b").await.unwrap();
    models.delete_tag(&name, "team").await.unwrap();
    assert_eq!(models.update(&name, "new").await.unwrap().description, "new");
    let renamed = unique("renamed");
    assert_eq!(models.rename(&name, &renamed).await.unwrap().name, renamed);
    assert_eq!(versions.get(&renamed, 1).await.unwrap().name, renamed);
}

pub(super) async fn models_and_versions_are_found(client: &Client) {
    let mark = unique("found");
    let (models, versions) = (client.registered_models(), client.model_versions());
    for n in ["a", "b", "c"] {
        let name = format!("{mark}-{n}");
        models
            .create(CreateRegisteredModel::new(&name).tag("n", n))
            .await
            .unwrap();
        for _ in 0..2 {
            let source = format!("s3://bucket/{mark}/{n}");
            versions
                .create(CreateModelVersion::new(&name, source).tag("n", n))
                .await
                .unwrap();
        }
    }
    let names = |filter| async {
        let search = SearchRegisteredModels::new().filter(filter).max_results(2);
        let all: Vec<_> = models.search_all(search).try_collect().await.unwrap();
        all.into_iter()
            .map(|model| model.name.rsplit('-').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mine = || RegisteredModelKey::name().like(format!("{mark}-%"));
    assert_eq!(names(mine()).await, ["a", "b", "c"]);
    assert_eq!(names(mine().and(RegisteredModelKey::tag("n").equals("b"))).await, ["b"]);
    // Version 2 knows no lists of names.
    let modern = client.server_version().await.unwrap() >= mlflow_client::ServerVersion::V3;
    if modern {
        assert_eq!(
            names(RegisteredModelKey::name().one_of([format!("{mark}-c")])).await,
            ["c"]
        );
    }
    let numbers = |filter| async {
        let search = SearchModelVersions::new()
            .filter(filter)
            .order_by(ModelVersionKey::name().ascending())
            .order_by(ModelVersionKey::version_number().descending())
            .max_results(2);
        let all: Vec<_> = versions.search_all(search).try_collect().await.unwrap();
        all.into_iter().map(|version| version.version.get()).collect::<Vec<_>>()
    };
    let mine = || ModelVersionKey::source_path().like(format!("s3://bucket/{mark}/%"));
    assert_eq!(numbers(mine()).await, [2, 1, 2, 1, 2, 1]);
    assert_eq!(numbers(mine().and(ModelVersionKey::tag("n").equals("a"))).await, [2, 1]);
    assert_eq!(
        numbers(mine().and(ModelVersionKey::version_number().greater_than(1))).await,
        [2, 2, 2]
    );
    if modern {
        assert_eq!(
            numbers(ModelVersionKey::name().one_of([format!("{mark}-a")])).await,
            [2, 1]
        );
    }
    assert_eq!(numbers(ModelVersionKey::run_id().equals(&mark)).await, [0; 0]);
}

pub(super) async fn prompts_are_kept_apart(client: &Client) {
    let name = unique("prompt");
    let prompts = client.prompts();
    let made = prompts.create_version(&name, "Hello {{name}}", "first").await;
    let made = made.unwrap();
    assert_eq!((made.version.get(), made.template.as_str()), (1, "Hello {{name}}"));
    assert_eq!(
        prompts
            .create_version(&name, "Hi {{name}}", "")
            .await
            .unwrap()
            .version
            .get(),
        2
    );
    client
        .registered_models()
        .set_alias(&name, "production", 1)
        .await
        .unwrap();
    let found = prompts.get_by_alias(&name, "production").await.unwrap().unwrap();
    assert_eq!(
        (found.template.as_str(), found.description.as_str()),
        ("Hello {{name}}", "first")
    );
    assert!(found.tags.is_empty());
    assert_eq!(prompts.get(&name, 9).await.unwrap(), None);
    let search = || SearchRegisteredModels::new().filter(RegisteredModelKey::name().equals(&name));
    assert_eq!(prompts.search(search()).await.unwrap().items.len(), 1);
    assert!(
        client
            .registered_models()
            .search(search())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let model = unique("model");
    client.registered_models().create(model.as_str()).await.unwrap();
    let taken = prompts.create_version(&model, "x", "").await;
    assert!(matches!(taken, Err(Error::AlreadyExists(_))), "{taken:?}");
}

pub(super) async fn logged_models_become_versions(client: &Client) {
    let id = run(client).await;
    let experiment = client.runs().get(&id).await.unwrap().info.experiment_id;
    let model = client
        .logged_models()
        .create(CreateLoggedModel::new(experiment).source_run_id(&id))
        .await;
    let name = unique("becomes");
    client.registered_models().create(name.as_str()).await.unwrap();
    if let Err(Error::ServerTooOld(_)) = model {
        let version = CreateModelVersion::of_logged_model(&name, "m-0123456789abcdef0123456789abcdef");
        let refused = client.model_versions().create(version).await;
        assert!(refused_as_too_old(client, refused).await);
        assert_eq!(client.model_versions().newest(&name).await.unwrap(), None);
        return;
    }
    let model = model.unwrap();
    let version = CreateModelVersion::of_logged_model(&name, model.id());
    let version = client.model_versions().create(version).await.unwrap();
    assert_eq!(
        (&version.source, &version.run_id),
        (&format!("models:/{}", model.id()), &id)
    );
    assert_eq!(
        client.model_versions().download_uri(&name, 1).await.unwrap(),
        model.info.artifact_uri
    );
}
