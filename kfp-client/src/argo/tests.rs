//! Workflows made, checked, written and read.

use serde_json::{Value, json};

use super::*;

fn sample() -> WorkflowBuilder {
    let step = Template::container(
        "step",
        Container::new("busybox")
            .command(["sh", "-c", "echo {{inputs.parameters.word}}"])
            .mount("data", "/data"),
    )
    .input("word")
    .output("said", "/tmp/outputs/said/data")
    .volume(Volume::claim("data", "team-data"))
    .caching(false)
    .retries(3)
    .deadline(60);
    let notify = Template::container("notify", Container::new("busybox").args(["{{workflow.status}}"]));
    WorkflowBuilder::new("say-")
        .description("says a word")
        .parameter("word", Some("hi"))
        .template(step)
        .on_exit(notify)
        .entrypoint(Template::dag(
            "main",
            [
                DagTask::new("first", "step").argument("word", "{{workflow.parameters.word}}"),
                DagTask::new("all", "step")
                    .argument("word", "{{tasks.first.outputs.parameters.said}} {{item}}")
                    .after("first")
                    .when("'{{workflow.parameters.word}}' != 'no'")
                    .with_items(["a", "b"]),
            ],
        ))
}

#[test]
fn a_workflow_is_written_as_argo_reads_it() {
    let workflow = sample().build().unwrap();
    let value = workflow.to_value();
    assert_eq!(value["spec"]["entrypoint"], "main");
    assert_eq!(value["spec"]["onExit"], "notify");
    assert_eq!(
        value["spec"]["arguments"],
        json!({"parameters": [{"name": "word", "value": "hi"}]})
    );
    let step = &value["spec"]["templates"][0];
    assert_eq!(
        *step,
        json!({
            "name": "step",
            "inputs": {"parameters": [{"name": "word"}]},
            "outputs": {"parameters": [{"name": "said", "valueFrom": {"path": "/tmp/outputs/said/data"}}]},
            "container": {"image": "busybox", "command": ["sh", "-c", "echo {{inputs.parameters.word}}"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            "metadata": {"labels": {"pipelines.kubeflow.org/enable_caching": "false"},
                "annotations": {"pipelines.kubeflow.org/max_cache_staleness": "P0D"}},
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "team-data"}}],
            "retryStrategy": {"limit": 3},
            "activeDeadlineSeconds": 60,
        })
    );
    assert_eq!(
        value["spec"]["templates"][2]["dag"]["tasks"][1]["withItems"],
        json!(["a", "b"])
    );
    let described: Value =
        serde_json::from_str(&workflow.metadata.annotations["pipelines.kubeflow.org/pipeline_spec"]).unwrap();
    assert_eq!(
        described,
        json!({"name": "say", "description": "says a word",
            "inputs": [{"name": "word", "default": "hi", "optional": true}]})
    );
    assert_eq!(Workflow::from_yaml(&workflow.to_yaml()).unwrap(), workflow);
    assert_eq!(Workflow::from_json(&workflow.to_json()).unwrap(), workflow);
}

#[test]
fn what_is_not_known_is_kept() {
    let document = json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {"generateName": "x-", "creationTimestamp": null, "finalizers": ["a"]},
        "spec": {"entrypoint": "m", "volumeClaimTemplates": [{"a": 1}], "workflowMetadata": {}, "templates": [
            {"name": "m", "http": {"url": "https://example.com"}, "inputs": {"parameters": [
                {"name": "n", "value": 10, "default": "", "valueFrom": {"event": "e", "default": 0}}]},
                "retryStrategy": {"limit": "3", "backoff": {"duration": "1m", "factor": 2, "cap": "9"}},
                "synchronization": {"mutex": {"name": "q"}}},
            {"name": "d", "dag": {"tasks": [{"name": "t", "inline": {"container": {"image": "i"}},
                "withSequence": {"count": "3"}, "hooks": {"exit": {"template": "m"}}, "withItems": []}]}}]},
        "status": {"phase": "Melting", "nodes": {"a": {"id": "a", "phase": "Omitted", "resourcesDuration": {"cpu": 1}}}},
    });
    let workflow = Workflow::from_value(&document).unwrap();
    assert_eq!(workflow.to_value(), document);
    let status = workflow.status.unwrap();
    assert_eq!(status.phase, Some(NodePhase::Unknown("Melting".to_owned())));
    assert!(!NodePhase::from("Melting").is_final() && NodePhase::Omitted.is_final());
}

#[test]
fn something_else_is_refused() {
    for text in [
        "a: 1",
        "kind: Pod",
        "- 1",
        "a: [1",
        "kind: Workflow\n---\nkind: Workflow",
        "kind: Workflow\nspec: 1",
    ] {
        assert!(Workflow::from_yaml(text).is_err(), "{text}");
    }
    let error = Workflow::from_value(&json!({"kind": KIND, "spec": {"templates": [{"name": 1}]}})).unwrap_err();
    assert_eq!(error.path(), "spec.templates[0].name");
}

/// Changes a good workflow, and says which fault is found.
fn fault(change: impl FnOnce(&mut Value)) -> String {
    let mut value = sample().build().unwrap().to_value();
    change(&mut value);
    let workflow = Workflow::from_value(&value).unwrap();
    workflow
        .validate()
        .map_or_else(|error| error.path().to_owned(), |()| String::new())
}

#[test]
fn every_fault_is_found_where_it_is() {
    type Change = fn(&mut Value);
    let main = "spec.templates[2].dag.tasks";
    let faults: [(&str, Change); 30] = [
        ("", |_| {}),
        ("apiVersion", |value| value["apiVersion"] = json!("v1")),
        ("metadata.generateName", |value| {
            value["metadata"]["generateName"] = json!("Say-");
        }),
        ("metadata.generateName", |value| value["metadata"] = json!({})),
        ("metadata.name", |value| value["metadata"]["name"] = json!("-a")),
        ("spec.entrypoint", |value| value["spec"]["entrypoint"] = json!("nope")),
        ("spec.entrypoint", |value| {
            value["spec"]["templates"][2]["inputs"] = json!({"parameters": [{"name": "z"}]});
        }),
        ("spec.onExit", |value| value["spec"]["onExit"] = json!("nope")),
        ("spec.arguments.parameters[1].name", |value| {
            value["spec"]["arguments"]["parameters"] = json!([{"name": "word"}, {"name": "word"}]);
        }),
        ("spec.activeDeadlineSeconds", |value| {
            value["spec"]["activeDeadlineSeconds"] = json!("-1");
        }),
        ("spec.templates[1].name", |value| {
            value["spec"]["templates"][1]["name"] = json!("step");
        }),
        ("spec.templates[1]", |value| {
            value["spec"]["templates"][1]["container"] = Value::Null;
        }),
        ("spec.templates[1]", |value| {
            value["spec"]["templates"][1]["suspend"] = json!({"duration": "1"});
        }),
        ("spec.templates[0].container.image", |value| {
            value["spec"]["templates"][0]["container"]["image"] = json!("");
        }),
        ("spec.templates[0].container.volumeMounts[0].name", |value| {
            value["spec"]["templates"][0]["volumes"] = json!([]);
        }),
        ("spec.templates[0].outputs.parameters[0].valueFrom", |value| {
            value["spec"]["templates"][0]["outputs"] = json!({"parameters": [{"name": "said"}]});
        }),
        ("spec.templates[0].retryStrategy.limit", |value| {
            value["spec"]["templates"][0]["retryStrategy"]["limit"] = json!(-1);
        }),
        ("spec.templates[0].retryStrategy.retryPolicy", |value| {
            value["spec"]["templates"][0]["retryStrategy"]["retryPolicy"] = json!("Sometimes");
        }),
        ("spec.templates[0]", |value| {
            value["spec"]["templates"][0]["container"]["args"] = json!(["{{inputs.parameters.nope}}"]);
        }),
        ("spec.templates[0]", |value| {
            value["spec"]["templates"][0]["container"]["args"] = json!(["{{inputs.artifacts.nope.path}}"]);
        }),
        ("spec.templates[0]", |value| {
            value["spec"]["templates"][0]["container"]["args"] = json!(["{{workflow.parameters.nope}}"]);
        }),
        ("spec.templates[2].dag.tasks", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"] = json!([]);
        }),
        ("spec.templates[2].dag.tasks[1].name", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][1]["name"] = json!("first");
        }),
        ("spec.templates[2].dag.tasks.all.template", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][1]["template"] = json!("nope");
        }),
        ("spec.templates[2].dag.tasks.all.dependencies", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][1]["dependencies"] = json!(["nope"]);
        }),
        ("spec.templates[2].dag.tasks", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][0]["depends"] = json!("all.Failed || all.Succeeded");
        }),
        ("spec.templates[2].dag.tasks.first.arguments.parameters", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][0]["arguments"] = json!({});
        }),
        ("spec.templates[2].dag.tasks.all", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][1]["dependencies"] = json!([]);
        }),
        ("spec.templates[2].dag.tasks.all", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][1]["withItems"] = Value::Null;
        }),
        ("spec.templates[2].dag.tasks.all", |value| {
            value["spec"]["templates"][2]["dag"]["tasks"][1]["withParam"] = json!("[1]");
        }),
    ];
    for (index, (path, change)) in faults.into_iter().enumerate() {
        assert_eq!(fault(change), path, "fault {index}");
    }
    let unknown_output = fault(|value| {
        value["spec"]["templates"][2]["dag"]["tasks"][1]["when"] = json!("{{tasks.first.outputs.parameters.x}} > 1");
    });
    assert_eq!(unknown_output, format!("{main}.all"));
}

#[test]
fn a_long_chain_is_checked_in_no_time() {
    let step = Template::container("step", Container::new("i"))
        .input("n")
        .output("n", "/n");
    let tasks = (0..1000).map(|index| match index {
        0 => DagTask::new("t0", "step").argument("n", "0"),
        _ => DagTask::new(format!("t{index}"), "step")
            .argument("n", format!("{{{{tasks.t{}.outputs.parameters.n}}}}", index - 1))
            .after(format!("t{}", index - 1)),
    });
    let workflow = WorkflowBuilder::new("chain-")
        .template(step)
        .entrypoint(Template::dag("main", tasks));
    assert_eq!(
        workflow.build().unwrap().spec.templates[1]
            .dag
            .as_ref()
            .unwrap()
            .tasks
            .len(),
        1000
    );
}

#[test]
fn what_would_terminate_the_run_at_once_is_refused() {
    assert_eq!(
        sample().deadline(0).build().unwrap_err().path(),
        "spec.activeDeadlineSeconds"
    );
}
