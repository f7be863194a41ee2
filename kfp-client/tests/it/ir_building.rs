//! Everything that can be built, held against what the official compiler writes for the same.

use std::{path::PathBuf, time::Duration};

use kfp_client::{
    Client, CreateRun, Run, RunOutcome, Wait,
    ir::{
        ArtifactSource, ArtifactSpec, Branches, ContainerComponent, CreatePvc, DagBuilder, GenericEphemeralVolume,
        ImporterComponent, NodeAffinityTerm, ParameterSource, ParameterSpec, ParameterType, PipelineBuilder,
        PipelineConfig, PipelineDocument, RetryPolicy, TaskBuilder, TaskConfigField, Toleration, WorkspaceConfig,
    },
    testing::{Execution, KfpServer},
};
use serde_json::{Value, json};

fn say() -> ContainerComponent {
    ContainerComponent::new("busybox")
        .command(["sh", "-ec", "printf \"%s\" \"$0\" > \"$1\"; echo \"said $0\""])
        .args([
            "{{$.inputs.parameters['word']}}",
            "{{$.outputs.parameters['said'].output_file}}",
        ])
        .input("word", ParameterType::String)
        .output("said", ParameterType::String)
}

fn say_task(key: &str, word: impl Into<ParameterSource>) -> TaskBuilder {
    TaskBuilder::new(key, say()).input("word", word).caching(false)
}

fn write() -> ContainerComponent {
    ContainerComponent::new("busybox")
        .command(["sh", "-ec", "echo \"$0\" > \"$1\""])
        .args([
            "{{$.inputs.parameters['word']}}",
            "{{$.outputs.artifacts['file'].path}}",
        ])
        .input("word", ParameterType::String)
        .output_artifact("file", "system.Dataset")
}

fn show() -> ContainerComponent {
    ContainerComponent::new("busybox")
        .command(["cat", "{{$.inputs.artifacts['file'].path}}"])
        .input_artifact("file", "system.Dataset")
}

fn branch(word: &str) -> DagBuilder {
    let file = TaskBuilder::new("write", write()).input("word", word);
    DagBuilder::new()
        .task(say_task("say", word))
        .task(file)
        .output("said", ParameterType::String, "say", "said")
        .output_artifact("file", "system.Dataset", "write", "file")
}

fn choice() -> PipelineBuilder {
    let grade = Branches::new()
        .input("score", ParameterType::NumberDouble)
        .when("inputs.parameter_values['score'] > 0.9", branch("good"))
        .when("inputs.parameter_values['score'] > 0.5", branch("fair"))
        .otherwise(branch("poor"))
        .output("said", ParameterType::String)
        .output_artifact("file", "system.Dataset");
    PipelineBuilder::new("choice")
        .parameter("score", ParameterType::NumberDouble, Some(json!(0.7)))
        .task(TaskBuilder::sub_dag("grade", grade).input("score", ParameterSource::input("score")))
        .task(TaskBuilder::new("tell", say()).input_from("word", "grade", "said"))
        .task(TaskBuilder::new("show", show()).artifact_from("file", "grade", "file"))
        .output("said", ParameterType::String, "tell", "said")
}

fn loops() -> PipelineBuilder {
    let each = DagBuilder::new()
        .input("item", ParameterType::String)
        .task(say_task("say", ParameterSource::input("item")))
        .output("said", ParameterType::String, "say", "said");
    let members = DagBuilder::new()
        .input("item", ParameterType::Struct)
        .task(say_task("say", ParameterSource::input("item").member("name")));
    let list = ContainerComponent::new("busybox")
        .command(["sh", "-ec", "printf \"%s\" \"$0\" > \"$1\""])
        .args([
            "{{$.inputs.parameters['all']}}",
            "{{$.outputs.parameters['all'].output_file}}",
        ])
        .input("all", ParameterType::List)
        .output("all", ParameterType::List);
    PipelineBuilder::new("loops")
        .parameter("given", ParameterType::List, Some(json!(["x", "y"])))
        .task(
            TaskBuilder::sub_dag("fixed", each.clone())
                .for_each("item", &[json!("a"), json!("b")])
                .parallelism(1),
        )
        .task(TaskBuilder::sub_dag("of-a-parameter", each.clone()).for_each_in("item", ParameterSource::input("given")))
        .task(TaskBuilder::new("collected", list).input_from("all", "fixed", "said"))
        .task(TaskBuilder::sub_dag("again", each).for_each_in("item", ParameterSource::output("collected", "all")))
        .task(
            TaskBuilder::sub_dag("members", members)
                .for_each("item", &[json!({"name": "one"}), json!({"name": "two"})]),
        )
}

fn part() -> PipelineBuilder {
    PipelineBuilder::new("part")
        .parameter("word", ParameterType::String, Some("part".into()))
        .task(
            TaskBuilder::new(
                "say",
                say().secret_env("part", [("a", "A")]).kubernetes(|settings| {
                    for secret in &mut settings.secret_as_env {
                        secret.optional = Some(true);
                    }
                }),
            )
            .input("word", ParameterSource::input("word")),
        )
        .output("said", ParameterType::String, "say", "said")
}

fn nested() -> PipelineBuilder {
    let part = part().build().unwrap();
    PipelineBuilder::new("nested")
        .task(TaskBuilder::pipeline("first", part.clone()).input("word", "once"))
        .task(TaskBuilder::pipeline("second", part).input_from("word", "first", "said"))
        .task(TaskBuilder::new("say", say()).input_from("word", "second", "said"))
}

fn failing() -> PipelineBuilder {
    let fail = ContainerComponent::new("busybox").command(["sh", "-c", "exit 3"]);
    let notify = ContainerComponent::new("busybox")
        .command([
            "echo",
            "{{$.inputs.parameters['status']}}",
            "{{$.inputs.parameters['team']}}",
        ])
        .input("status", ParameterType::TaskFinalStatus)
        .input("team", ParameterType::String);
    PipelineBuilder::new("failing")
        .parameter("team", ParameterType::String, Some("fraud".into()))
        .task(TaskBuilder::new("fail", fail).retry(RetryPolicy::new(1)))
        .task(
            say_task("after-all", ParameterSource::input("team"))
                .after("fail")
                .ignore_upstream_failure(),
        )
        .exit_task(
            TaskBuilder::new("notify", notify)
                .input("status", ParameterSource::final_status("exit-handler-1"))
                .input("team", ParameterSource::input("team")),
        )
}

fn platform() -> PipelineBuilder {
    let everything = say()
        .secret_env("credentials", [("password", "PASSWORD")])
        .secret_env(ParameterSource::input("secret"), [("token", "TOKEN")])
        .secret_volume("certificates", "/etc/certificates")
        .config_map_env("settings", [("region", "REGION")])
        .config_map_volume("files", "/etc/files")
        .pvc_mount(ParameterSource::output("claim", "name"), "/data")
        .pvc_mount("shared", "/shared")
        .pvc_mount(ParameterSource::input("secret"), "/odd")
        .empty_dir("cache", "/cache")
        .shared_memory("64Mi")
        .field_path_env("NODE", "spec.nodeName")
        .node_label("disk", "ssd")
        .toleration(Toleration::equal("gpu", "true", "NoSchedule"))
        .toleration(Toleration::exists("spot", ""))
        .pod_label("team", "fraud")
        .pod_annotation("note", "yes")
        .image_pull_secret("registry")
        .image_pull_policy("Always")
        .active_deadline_seconds(600)
        .run_as(1000, 100)
        .cpu_request("500m")
        .cpu_limit("2")
        .memory_request("1Gi")
        .memory_limit("4G")
        .accelerator("nvidia.com/gpu", 2)
        .pass_through(TaskConfigField::Env, true)
        .kubernetes(|settings| {
            for secret in &mut settings.secret_as_env {
                secret.optional = Some(true);
            }
            let mut scratch = GenericEphemeralVolume::default();
            "scratch".clone_into(&mut scratch.volume_name);
            "/scratch".clone_into(&mut scratch.mount_path);
            scratch.access_modes = vec!["ReadWriteOnce".to_owned()];
            "5Gi".clone_into(&mut scratch.size);
            scratch.default_storage_class = true;
            settings.generic_ephemeral_volume.push(scratch);
            let mut near = NodeAffinityTerm::default();
            near.weight = Some(10);
            settings.node_affinity.push(near);
        });
    let mut config = PipelineConfig::default();
    config.workspace = Some(WorkspaceConfig::new("1Gi"));
    config.active_deadline_seconds = Some(7200);
    let claim = CreatePvc::with_suffix("-data", ["ReadWriteOnce"], "1Gi").storage_class("standard");
    PipelineBuilder::new("platform")
        .display_name("Everything on Kubernetes")
        .config(config)
        .parameter("secret", ParameterType::String, Some("credentials".into()))
        .task(TaskBuilder::create_pvc("claim", claim))
        .task(say_task("say", "on kubernetes").cache_key("mine"))
        .task(TaskBuilder::new("all", everything).input("word", "all"))
        .task(TaskBuilder::delete_pvc("remove", ParameterSource::output("claim", "name")).after("all"))
}

fn inputs() -> PipelineBuilder {
    let maybe = ParameterSpec::new(ParameterType::String).optional();
    let flexible = ContainerComponent::new("busybox")
        .command(["echo"])
        .args([
            "{\"Concat\": [\"--greeting=\", \"{{$.inputs.parameters['greeting']}}\"]}",
            "{\"IfPresent\": {\"InputName\": \"title\", \"Then\": [\"--title\", \"{{$.inputs.parameters['title']}}\"]}}",
        ])
        .input_spec("greeting", ParameterSpec::new(ParameterType::String).default_value("hello"))
        .input_spec("title", maybe)
        .input_artifact_spec("file", ArtifactSpec::new("system.Artifact").optional());
    let imported = ImporterComponent::new("s3://bucket/data", "system.Dataset").metadata("version", "1");
    let given = ImporterComponent::new(ParameterSource::input("uri"), "system.Model").reimport(true);
    let address = |kind: &str| {
        ContainerComponent::new("busybox")
            .command(["echo", "{{$.inputs.artifacts['file'].uri}}"])
            .input_artifact("file", kind)
    };
    PipelineBuilder::new("inputs")
        .parameter("uri", ParameterType::String, Some("s3://bucket/model".into()))
        .task(TaskBuilder::new("plain", flexible.clone()))
        .task(
            TaskBuilder::new("full", flexible)
                .input("title", "Dr")
                .artifact_from("file", "fixed", "artifact"),
        )
        .task(TaskBuilder::importer("fixed", imported))
        .task(TaskBuilder::importer("given", given))
        .task(
            TaskBuilder::new("data", address("system.Dataset"))
                .artifact("file", ArtifactSource::output("fixed", "artifact")),
        )
        .task(TaskBuilder::new("model", address("system.Model")).artifact_from("file", "given", "artifact"))
}

fn all() -> Vec<(&'static str, PipelineDocument)> {
    let pipelines = [
        ("choice", choice()),
        ("loops", loops()),
        ("nested", nested()),
        ("failing", failing()),
        ("platform", platform()),
        ("inputs", inputs()),
    ];
    pipelines
        .map(|(name, pipeline)| (name, pipeline.build().unwrap_or_else(|error| panic!("{name}: {error}"))))
        .into()
}

#[test]
fn what_is_built_survives_being_written() {
    let written_to = std::env::var_os("KFP_PIPELINES_WRITTEN").map(PathBuf::from);
    for (name, document) in all() {
        assert_eq!(
            PipelineDocument::from_yaml(&document.to_yaml()).unwrap(),
            document,
            "{name}"
        );
        assert_eq!(
            PipelineDocument::from_yaml(&document.to_json()).unwrap(),
            document,
            "{name}"
        );
        if let Some(folder) = &written_to {
            std::fs::write(folder.join(format!("built-{name}.yaml")), document.to_yaml()).unwrap();
        }
    }
}

#[test]
fn a_choice_is_written_as_the_official_compiler_writes_it() {
    let document = choice().build().unwrap();
    let component = json!(document.pipeline_spec.components["comp-grade"]);
    let condition = |number: u32| component["dag"]["tasks"][format!("condition-{number}")]["triggerPolicy"].clone();
    let (first, second) = (
        "inputs.parameter_values['score'] > 0.9",
        "inputs.parameter_values['score'] > 0.5",
    );
    assert_eq!(condition(1), json!({ "condition": first }));
    assert_eq!(condition(2), json!({"condition": format!("!({first}) && ({second})")}));
    assert_eq!(condition(3), json!({"condition": format!("!({first}) && !({second})")}));
    assert_eq!(
        component["dag"]["outputs"]["parameters"]["said"]["valueFromOneof"]["parameterSelectors"][1],
        json!({"producerSubtask": "condition-2", "outputParameterKey": "said"})
    );
    assert_eq!(
        component["dag"]["outputs"]["artifacts"]["file"]["artifactSelectors"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn a_loop_gives_lists() {
    let document = loops().build().unwrap();
    let fixed = &document.pipeline_spec.components["comp-fixed"];
    assert_eq!(
        json!(fixed.output_definitions),
        json!({"parameters": {"said": {"parameterType": "LIST"}}})
    );
    let tasks = json!(document.pipeline_spec.root.dag.as_ref().unwrap().tasks);
    assert_eq!(
        tasks["fixed"]["parameterIterator"],
        json!({"items": {"raw": "[\"a\",\"b\"]"}, "itemInput": "item"})
    );
    assert_eq!(tasks["fixed"]["iteratorPolicy"], json!({"parallelismLimit": 1}));
    assert_eq!(
        tasks["of-a-parameter"]["parameterIterator"],
        json!({"items": {"inputParameter": "item-list"}, "itemInput": "item"})
    );
    assert_eq!(
        tasks["again"]["inputs"]["parameters"]["item-list"]["taskOutputParameter"],
        json!({"producerTask": "collected", "outputParameterKey": "all"})
    );
    let inner = json!(document.pipeline_spec.components["comp-members"].dag);
    assert_eq!(
        inner["tasks"]["say"]["inputs"]["parameters"]["word"],
        json!({"componentInputParameter": "item", "parameterExpressionSelector": "parseJson(string_value)[\"name\"]"})
    );
    let container = TaskBuilder::new("a", say()).for_each("word", &[json!("x")]);
    let fault = PipelineBuilder::new("p").task(container).build().unwrap_err();
    assert_eq!(fault.path(), "root.dag.tasks.a.parameterIterator");
}

#[test]
fn settings_for_kubernetes_are_written_for_old_servers_and_new_ones() {
    let document = platform().build().unwrap();
    let settings = json!(document.platform_spec.as_ref().unwrap().kubernetes().unwrap());
    assert_eq!(
        settings["pipelineConfig"],
        json!({"workspace": {"size": "1Gi"}, "activeDeadlineSeconds": 7200})
    );
    let all = &settings["deploymentSpec"]["executors"]["exec-all"];
    assert_eq!(
        all["pvcMount"],
        json!([
            {"mountPath": "/data", "taskOutputParameter": {"producerTask": "claim", "outputParameterKey": "name"},
                "pvcNameParameter": {"taskOutputParameter": {"producerTask": "claim", "outputParameterKey": "name"}}},
            {"mountPath": "/shared", "constant": "shared",
                "pvcNameParameter": {"runtimeValue": {"constant": "shared"}}},
            {"mountPath": "/odd", "componentInputParameter": "secret",
                "pvcNameParameter": {"componentInputParameter": "secret"}},
        ])
    );
    assert_eq!(
        all["secretAsEnv"][1],
        json!({"secretNameParameter": {"componentInputParameter": "secret"}, "optional": true,
            "keyToEnv": [{"secretKey": "token", "envVar": "TOKEN"}]})
    );
    assert_eq!(
        all["securityContext"],
        json!({"runAsUser": "1000", "runAsGroup": "100"})
    );
    let resources = json!(
        document.pipeline_spec.deployment_spec.executors["exec-all"]
            .container
            .as_ref()
            .unwrap()
            .resources
    );
    assert_eq!(
        resources,
        json!({"resourceCpuRequest": "500m", "resourceCpuLimit": "2", "resourceMemoryRequest": "1Gi",
            "resourceMemoryLimit": "4G", "cpuRequest": 0.5, "cpuLimit": 2.0, "memoryRequest": 1.073_741_824,
            "memoryLimit": 4.0,
            "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "2", "type": "nvidia.com/gpu", "count": "2"}})
    );
    // The claim's name comes from a task that only the settings mention.
    let tasks = &document.pipeline_spec.root.dag.as_ref().unwrap().tasks;
    assert_eq!(tasks["all"].dependent_tasks, ["claim"]);
}

#[test]
fn settings_move_into_the_guarded_graph_with_their_task() {
    let mounted = say().pvc_mount(ParameterSource::input("claim"), "/data");
    let document = PipelineBuilder::new("p")
        .parameter("claim", ParameterType::String, None)
        .task(TaskBuilder::new("use", mounted).input("word", "a"))
        .output("said", ParameterType::String, "use", "said")
        .exit_task(say_task("end", "b"))
        .build()
        .unwrap();
    let settings = json!(
        document
            .platform_spec
            .as_ref()
            .unwrap()
            .kubernetes()
            .unwrap()
            .deployment_spec
            .executors["exec-use"]
    );
    assert_eq!(
        settings["pvcMount"][0]["componentInputParameter"],
        "pipelinechannel--claim"
    );
    assert_eq!(
        settings["pvcMount"][0]["pvcNameParameter"]["componentInputParameter"],
        "pipelinechannel--claim"
    );
    assert_eq!(
        json!(document.pipeline_spec.root.dag.as_ref().unwrap().outputs),
        json!({"parameters": {"said": {"valueFromParameter":
            {"producerSubtask": "exit-handler-1", "outputParameterKey": "said"}}}})
    );
}

#[test]
fn a_pipeline_in_a_pipeline_brings_its_parts_under_free_names() {
    let document = nested().build().unwrap();
    let components: Vec<&String> = document.pipeline_spec.components.keys().collect();
    assert_eq!(
        components,
        ["comp-first", "comp-say", "comp-say-2", "comp-say-3", "comp-second"]
    );
    let executors: Vec<&String> = document.pipeline_spec.deployment_spec.executors.keys().collect();
    assert_eq!(executors.len(), 3);
    let kubernetes = document.platform_spec.as_ref().unwrap().kubernetes().unwrap();
    assert_eq!(kubernetes.deployment_spec.executors.len(), 2);
}

fn fault(change: impl FnOnce(&mut Value)) -> String {
    let mut document = loops().build().unwrap().to_wire();
    change(&mut document);
    PipelineDocument::from_json(document)
        .unwrap()
        .validate()
        .unwrap_err()
        .path()
        .to_owned()
}

#[test]
fn more_faults_are_named_by_their_path() {
    let task = |name: &str| format!("/root/dag/tasks/{name}");
    assert_eq!(
        fault(|document| *document
            .pointer_mut(&(task("fixed") + "/parameterIterator/items/raw"))
            .unwrap() = json!("{}")),
        "root.dag.tasks.fixed.parameterIterator.items.raw"
    );
    assert_eq!(
        fault(|document| *document
            .pointer_mut(&(task("again") + "/parameterIterator/items/inputParameter"))
            .unwrap() = json!("x")),
        "root.dag.tasks.again.parameterIterator.items.inputParameter"
    );
    let selector = |document: &mut Value| {
        document["components"]["comp-fixed"]["dag"]["outputs"]["parameters"]["said"]["valueFromParameter"]["outputParameterKey"] =
            json!("shouted");
    };
    assert_eq!(fault(selector), "components.comp-fixed.dag.outputs.parameters.said");
    let retry = |document: &mut Value| {
        document["root"]["dag"]["tasks"]["collected"]["retryPolicy"] = json!({"backoffDuration": "soon"});
    };
    assert_eq!(fault(retry), "root.dag.tasks.collected.retryPolicy.backoffDuration");
    let cpu = |document: &mut Value| {
        document["deploymentSpec"]["executors"]["exec-say"]["container"]["resources"] =
            json!({"resourceCpuLimit": "two"});
    };
    assert_eq!(
        fault(cpu),
        "deploymentSpec.executors.exec-say.container.resources.resourceCpuLimit"
    );
    let twice = |document: &mut Value| {
        document["root"]["dag"]["tasks"]["collected"]["inputs"]["parameters"]["all"]["componentInputParameter"] =
            json!("given");
    };
    assert_eq!(fault(twice), "root.dag.tasks.collected.inputs.parameters.all");

    let settings = |change: fn(&mut kfp_client::ir::KubernetesExecutorConfig)| {
        let task = TaskBuilder::new("a", say().kubernetes(change)).input("word", "a");
        let fault = PipelineBuilder::new("p").task(task).build().unwrap_err();
        let path = "platform_spec.platforms.kubernetes.deploymentSpec.executors.exec-a.";
        fault
            .path()
            .strip_prefix(path)
            .unwrap_or_else(|| panic!("{fault}"))
            .to_owned()
    };
    assert_eq!(
        settings(|config| config.image_pull_policy = "Sometimes".to_owned()),
        "imagePullPolicy"
    );
    assert_eq!(
        settings(|config| config.tolerations.push(Toleration::equal("a", "b", "Never"))),
        "tolerations.effect"
    );
    let claim = |source: ParameterSource| {
        let task = TaskBuilder::new("a", say().pvc_mount(source, "/data")).input("word", "a");
        PipelineBuilder::new("p")
            .task(task)
            .build()
            .unwrap_err()
            .path()
            .to_owned()
    };
    let path = "platform_spec.platforms.kubernetes.deploymentSpec.executors.exec-a.pvcNameParameter";
    assert_eq!(claim(ParameterSource::input("nowhere")), path);
    assert_eq!(
        claim(ParameterSource::output("nobody", "name")),
        "root.dag.tasks.a.dependentTasks"
    );
}

#[test]
fn names_of_fields_are_read_in_both_forms() {
    let text = "{pipeline_info: {name: p}, schema_version: 2.1.0, root: {dag: {tasks: {a: {task_info: {name: a}, \
        component_ref: {name: comp-a}, caching_options: {enable_cache: true}}}}}, \
        components: {comp-a: {executor_label: exec-a}}, \
        deployment_spec: {executors: {exec-a: {container: {image: busybox, new_field: 1}}}}}";
    let document = PipelineDocument::from_yaml(text).unwrap();
    document.validate().unwrap();
    let written = document.to_wire();
    assert_eq!(
        written["root"]["dag"]["tasks"]["a"]["cachingOptions"],
        json!({"enableCache": true})
    );
    assert_eq!(
        written["deploymentSpec"]["executors"]["exec-a"]["container"],
        json!({"image": "busybox", "new_field": 1})
    );
    let twice = text.replace("{pipeline_info:", "{pipelineInfo: {name: q}, pipeline_info:");
    assert!(PipelineDocument::from_yaml(&twice).is_err());
}

async fn end(client: &Client, name: &str, document: &PipelineDocument) -> Run {
    let experiment = client.experiments().get_or_create("built", None).await.unwrap();
    let request = CreateRun::new(name, experiment.experiment_id, document.clone());
    let created = client.runs().create(request).await.unwrap();
    let wait = Wait::new()
        .timeout(Duration::from_secs(60))
        .intervals(Duration::from_millis(10), Duration::from_millis(100));
    client.runs().wait(&created.run_id, wait).await.unwrap().run
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_runs() {
    let kfp = KfpServer::builder().execution(Execution::Processes).build();
    let server = kfp.start().await;
    let client = Client::builder(&server.url()).unwrap().build().unwrap();
    for (name, document) in all() {
        let run = end(&client, name, &document).await;
        let expected = if name == "failing" {
            RunOutcome::Failed
        } else {
            RunOutcome::Succeeded
        };
        assert_eq!(run.outcome(), expected, "{name}: {run:?}");
        let logs: String = run
            .run_details
            .task_details
            .iter()
            .flat_map(|task| &task.child_tasks)
            .filter_map(|child| kfp.pod_log(run.run_id.as_str(), &child.pod_name))
            .collect();
        let said: &[&str] = match name {
            "choice" => &["said fair"],
            "loops" => &["said a", "said b", "said x", "said y", "said one", "said two"],
            "nested" => &["said once"],
            "failing" => &["FAILED"],
            "inputs" => &[
                "--greeting=hello",
                "--title Dr",
                "s3://bucket/data",
                "s3://bucket/model",
            ],
            _ => &["said all"],
        };
        for text in said {
            assert!(logs.contains(text), "{name}: {text:?} is missing in {logs:?}");
        }
        assert!(
            !logs.contains("said good") && !logs.contains("said poor"),
            "{name}: {logs}"
        );
    }
}
