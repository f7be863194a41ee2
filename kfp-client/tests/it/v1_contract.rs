//! The client of `v1beta1` and the fake server, held against each other: all generations, one user and several.

use std::time::Duration;

use futures_util::TryStreamExt;
use kfp_client::{
    Client, Error, Filter, PipelineFile, RunId, RunOutcome,
    argo::{Container, DagTask, NodePhase, Template, Workflow, WorkflowBuilder},
    testing::{Execution, Generation, KfpServer},
    v1::{
        AuthResource, AuthVerb, CreateJob, CreateRun, ListExperiments, ListJobs, ListPipelineVersions, ListPipelines,
        ListRuns, MetricStatus, ReportMetrics, RunDetail, RunMetric, StorageState, Trigger, UploadPipeline,
        UploadPipelineVersion,
    },
};

const USER: &str = "user@example.com";

fn workflow(script: &str) -> Workflow {
    let step = Container::new("busybox")
        .command(["sh", "-c", script])
        .args(["{{inputs.parameters.word}}"]);
    WorkflowBuilder::new("say-")
        .parameter("word", Some("nothing"))
        .template(Template::container("say", step).input("word").caching(false))
        .entrypoint(Template::dag(
            "main",
            [DagTask::new("say", "say").argument("word", "{{workflow.parameters.word}}")],
        ))
        .build()
        .unwrap()
}

struct Place {
    generation: Generation,
    namespace: Option<&'static str>,
    client: Client,
    fake: KfpServer,
}

impl Place {
    fn is_old(&self) -> bool {
        self.generation == Generation::V1_8
    }

    async fn ended(&self, id: &RunId) -> RunDetail {
        for _ in 0..600 {
            let run = self.client.v1().runs().get(id).await.unwrap();
            if run.outcome() != RunOutcome::Unfinished {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("run {id} does not end");
    }

    async fn experiments(&self) -> kfp_client::ExperimentId {
        let experiments = self.client.v1().experiments();
        let made = experiments.get_or_create("fraud 100%+", self.namespace).await.unwrap();
        assert_eq!(
            experiments.get_or_create("fraud 100%+", self.namespace).await.unwrap(),
            made
        );
        assert_eq!(made.namespace().as_deref(), self.namespace);
        assert_eq!(experiments.get_opt(&"nope".into()).await.unwrap(), None);
        let mut list = ListExperiments::new()
            .filter(Filter::new().contains("name", "100%+"))
            .page_size(1);
        if let Some(namespace) = self.namespace {
            list = list.namespace(namespace);
        }
        let found: Vec<_> = experiments.list_all(list).try_collect().await.unwrap();
        assert_eq!(found, std::slice::from_ref(&made));
        experiments.archive(&made.id).await.unwrap();
        let archived = experiments.get(&made.id).await.unwrap();
        assert_eq!(archived.storage_state, Some(StorageState::Archived));
        experiments.unarchive(&made.id).await.unwrap();
        made.id
    }

    async fn pipelines(&self, experiment: &kfp_client::ExperimentId) {
        let (pipelines, versions) = (self.client.v1().pipelines(), self.client.v1().pipeline_versions());
        let document = workflow("echo $0");
        let file = PipelineFile::try_from(&document).unwrap();
        let mut upload = UploadPipeline::new("say it", file.clone()).description("d");
        let mut list = ListPipelines::new();
        if let Some(namespace) = self.namespace {
            upload = upload.namespace(namespace);
            list = list.namespace(namespace);
        }
        let stored = pipelines.upload(&upload).await.unwrap();
        let taken = pipelines.upload(&upload).await.unwrap_err();
        assert!(matches!(taken, Error::AlreadyExists(_)), "{taken}");
        let version = UploadPipelineVersion::new(stored.id.clone(), "v2", file);
        let version = versions.upload(&version).await.unwrap();
        assert_eq!(version.pipeline_id().as_ref(), Some(&stored.id));
        assert_eq!(pipelines.get(&stored.id).await.unwrap().name, "say it");
        assert_eq!(pipelines.list(&list).await.unwrap().items.len(), 1);
        let listed = versions.list_all(stored.id.clone(), ListPipelineVersions::new().page_size(1));
        assert_eq!(listed.try_collect::<Vec<_>>().await.unwrap().len(), 2);
        let template = versions.template(&version.id).await.unwrap();
        // The server writes it anew, with empty parts.
        let same = pipelines.template(&stored.id).await.unwrap();
        for text in [template, same] {
            let read = Workflow::from_yaml(&text).unwrap();
            read.validate().unwrap();
            assert_eq!(read.metadata.generate_name, document.metadata.generate_name);
            assert_eq!(read.spec.arguments, document.spec.arguments);
            let command = |workflow: &Workflow| {
                workflow
                    .template("say")
                    .unwrap()
                    .container
                    .as_ref()
                    .unwrap()
                    .command
                    .clone()
            };
            assert_eq!(command(&read), command(&document));
        }
        match pipelines.get_by_name("say it", self.namespace).await {
            Ok(found) => assert_eq!(found.id, stored.id),
            // The client has asked the server for its release.
            Err(error) => assert!(self.is_old() && matches!(error, Error::OlderServer(_)), "{error}"),
        }
        pipelines.set_default_version(&stored.id, &version.id).await.unwrap();

        let request = CreateRun::new("by version", version.id.clone()).experiment(experiment.clone());
        let run = self
            .client
            .v1()
            .runs()
            .create(request.parameter("word", "w"))
            .await
            .unwrap();
        assert_eq!(run.run.pipeline_version_id(), Some(version.id.clone()));
        assert_eq!(self.ended(&run.run.id).await.outcome(), RunOutcome::Succeeded);

        versions.delete(&version.id).await.unwrap();
        assert_eq!(versions.get_opt(&version.id).await.unwrap(), None);
        let deleted = pipelines.delete(&stored.id).await;
        if self.is_old() {
            deleted.unwrap();
            assert_eq!(pipelines.get_opt(&stored.id).await.unwrap(), None);
        } else {
            assert!(matches!(deleted.unwrap_err(), Error::InvalidArgument(_)));
        }
    }

    async fn runs(&self, experiment: &kfp_client::ExperimentId) {
        let runs = self.client.v1().runs();
        let before = self.fake.workflows_started();
        let chosen = RunId::random();
        let request = CreateRun::with_unique_name("one", workflow("echo said $0"))
            .experiment(experiment.clone())
            .parameter("word", "hello")
            .run_id(chosen.clone());
        let made = runs.create(request.clone()).await.unwrap().run;
        assert_eq!(made.id == chosen, !self.is_old(), "{made:?}");
        assert_eq!(made.experiment_id().as_ref(), Some(experiment));
        let again = runs.create(request).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists(_)), "{again}");
        assert_eq!(self.fake.workflows_started() - before, 1);
        let within = kfp_client::v1::ResourceKey::new(kfp_client::v1::ResourceType::Experiment, experiment.clone());
        let found = runs.find_by_name(&made.name, Some(&within)).await.unwrap();
        assert_eq!(found.iter().map(|run| &run.id).collect::<Vec<_>>(), [&made.id]);

        let ended = self.ended(&made.id).await;
        assert_eq!(ended.outcome(), RunOutcome::Succeeded);
        assert!(ended.run.finished_at.is_some() && ended.run.status.as_ref().unwrap().is_final());
        let known = ended.pipeline_runtime.workflow().unwrap().unwrap();
        let status = known.status.unwrap();
        assert!(
            status
                .nodes
                .values()
                .any(|node| node.phase == Some(NodePhase::Succeeded)),
            "{status:?}"
        );
        assert_eq!(ended.run.pipeline_spec.unwrap().parameters[0].value, "hello");

        let metrics = [
            RunMetric::new("accuracy", "n1", 0.0),
            RunMetric::new("accuracy", "n1", 0.5),
        ];
        let results = runs
            .report_metrics(&made.id, &ReportMetrics::new(metrics))
            .await
            .unwrap();
        assert!(results[0].is_ok());
        assert_eq!(results[1].status, Some(MetricStatus::DuplicateReporting));
        assert_eq!(runs.get(&made.id).await.unwrap().run.metrics[0].number_value, Some(0.0));

        let error = runs.terminate(&made.id).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
        let error = runs.retry(&made.id).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error}");
        assert!(runs.get(&"nope".into()).await.unwrap_err().is_not_found());

        let slow = CreateRun::new("slow", workflow("sleep 30")).experiment(experiment.clone());
        let slow = runs.create(slow).await.unwrap().run.id;
        runs.terminate(&slow).await.unwrap();
        let outcome = self.ended(&slow).await.run.outcome();
        assert_eq!(outcome, RunOutcome::Failed);

        let failed = ListRuns::new().experiment(experiment.clone());
        let failed = failed.filter(Filter::new().equals("status", "Failed"));
        let failed = runs.list(&failed).await.unwrap();
        assert_eq!(failed.items.iter().map(|run| &run.id).collect::<Vec<_>>(), [&slow]);

        runs.archive(&slow).await.unwrap();
        assert_eq!(
            runs.get(&slow).await.unwrap().run.storage_state,
            Some(StorageState::Archived)
        );
        runs.unarchive(&slow).await.unwrap();
        runs.delete(&slow).await.unwrap();
        assert_eq!(runs.get_opt(&slow).await.unwrap(), None);
    }

    async fn jobs(&self, experiment: &kfp_client::ExperimentId) {
        let jobs = self.client.v1().jobs();
        let request = CreateJob::new("nightly", workflow("true"), Trigger::every(3600)).experiment(experiment.clone());
        let made = jobs
            .create(request.no_catchup(true).parameter("word", "w"))
            .await
            .unwrap();
        assert!(made.enabled && made.no_catchup, "{made:?}");
        assert_eq!(made.max_concurrency, Some(1));
        assert_eq!(
            made.trigger
                .as_ref()
                .unwrap()
                .periodic_schedule
                .as_ref()
                .unwrap()
                .interval_second,
            Some(3600)
        );
        assert_eq!(made.experiment_id().as_ref(), Some(experiment));
        jobs.disable(&made.id).await.unwrap();
        assert!(!jobs.get(&made.id).await.unwrap().enabled);
        jobs.enable(&made.id).await.unwrap();
        assert!(jobs.get(&made.id).await.unwrap().enabled);
        let listed = jobs.list_all(ListJobs::new().experiment(experiment.clone()).page_size(1));
        assert_eq!(listed.try_collect::<Vec<_>>().await.unwrap().len(), 1);
        jobs.delete(&made.id).await.unwrap();
        assert_eq!(jobs.get_opt(&made.id).await.unwrap(), None);
        let off = CreateJob::new("off", workflow("true"), Trigger::cron("0 0 * * * *")).enabled(false);
        assert!(!jobs.create(off.experiment(experiment.clone())).await.unwrap().enabled);
    }

    async fn all(&self) {
        let health = self.client.v1().health().await.unwrap();
        assert_eq!(health.multi_user, self.namespace.is_some());
        let experiment = self.experiments().await;
        self.pipelines(&experiment).await;
        self.runs(&experiment).await;
        self.jobs(&experiment).await;
        let auth = self.client.v1().auth();
        let namespace = self.namespace.unwrap_or("kubeflow");
        assert!(
            auth.is_allowed(namespace, &AuthResource::Viewers, &AuthVerb::Get)
                .await
                .unwrap()
        );
        if self.namespace.is_some() {
            assert!(
                !auth
                    .is_allowed("team-b", &AuthResource::Viewers, &AuthVerb::Get)
                    .await
                    .unwrap()
            );
            let list = ListRuns::new().namespace("team-b");
            let denied = self.client.v1().runs().list(&list).await.unwrap_err();
            assert!(matches!(denied, Error::PermissionDenied(_)), "{denied}");
        }
        self.client.v1().experiments().delete(&experiment).await.unwrap();
    }
}

async fn everything(generation: Generation, multi_user: bool) {
    let fake = KfpServer::builder()
        .generation(generation)
        .multi_user(multi_user)
        .owner(USER, "team-a")
        .execution(Execution::Processes)
        .build();
    let server = fake.start().await;
    let mut client = Client::builder(&server.url()).unwrap();
    if multi_user {
        client = client.user_id(USER);
    }
    let place = Place {
        generation,
        namespace: multi_user.then_some("team-a"),
        client: client.build().unwrap(),
        fake: fake.clone(),
    };
    place.all().await;
    if multi_user {
        let nobody = Client::builder(&server.url()).unwrap().build().unwrap();
        let error = nobody
            .v1()
            .runs()
            .list(&ListRuns::new().namespace("team-a"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unauthenticated(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn single_user_1_8() {
    everything(Generation::V1_8, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_user_1_8() {
    everything(Generation::V1_8, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_user_2_5() {
    everything(Generation::V2_5, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_user_2_5() {
    everything(Generation::V2_5, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_user_2_17() {
    everything(Generation::V2_17, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_user_2_17() {
    everything(Generation::V2_17, true).await;
}
