"""Pipelines with every construct of the compiler of KFP 1, small and such that their steps run on any machine.

    VENV/bin/python .ci/official/pipelines_v1.py FOLDER      # VENV has kfp 1.8

writes each as FOLDER/NAME.yaml. Those of kfp-client/tests/pipelines/v1/ were written by this.
"""

import pathlib
import sys

import kfp
from kfp import components, dsl
from kubernetes import client as k8s

SAY = components.load_component_from_text("""
name: Say
inputs: [{name: word, type: String}]
outputs: [{name: said, type: String}]
implementation:
  container:
    image: busybox
    command: [sh, -ec, 'mkdir -p "$(dirname "$1")"; printf "%s" "$0" > "$1"', {inputValue: word}, {outputPath: said}]
""")
PASS = components.load_component_from_text("""
name: Pass on
inputs: [{name: data}, {name: note, type: String, optional: true}]
outputs: [{name: data}]
implementation:
  container:
    image: busybox
    command: [sh, -ec, 'mkdir -p "$(dirname "$1")"; cat "$0" > "$1"', {inputPath: data}, {outputPath: data}]
    args:
    - if:
        cond: {isPresent: note}
        then: [--note, {concat: ["<", {inputValue: note}, ">"]}]
    env: {COLOUR: blue}
""")
NUMBERS = components.load_component_from_text("""
name: Numbers
outputs: [{name: some, type: JsonArray}]
implementation:
  container:
    image: busybox
    command: [sh, -ec, 'mkdir -p "$(dirname "$0")"; printf "[1, 2, 3]" > "$0"', {outputPath: some}]
""")


@dsl.pipeline(name="conditions", description="A condition in a condition")
def conditions(word: str = "b", number: int = 3):
    said = SAY(word)
    with dsl.Condition(said.output == "b", name="is-b"):
        SAY("b")
        with dsl.Condition(number > 2):
            SAY("more")
    with dsl.Condition(word == "a"):
        SAY("never")


@dsl.pipeline(name="loops")
def loops(given: list = ["x", "y"]):
    with dsl.ParallelFor([1, 2], parallelism=1) as number:
        SAY(number)
    with dsl.ParallelFor([{"a": "p", "b": 1}, {"a": "q", "b": 2}]) as item:
        SAY(f"{item.a}-{item.b}")
    with dsl.ParallelFor(given) as word:
        SAY(word)
    with dsl.ParallelFor(NUMBERS().output) as number:
        with dsl.ParallelFor(["u", "v"]) as letter:
            SAY(f"{number}{letter}")
    with dsl.SubGraph(parallelism=2):
        SAY("within")


@dsl.pipeline(name="exit-handler")
def exit_handler(word: str = "bye"):
    with dsl.ExitHandler(SAY(word)):
        SAY("first")


@dsl.pipeline(name="artifacts")
def artifacts(note: str = "seen"):
    data = dsl.ContainerOp(
        name="make", image="busybox", command=["sh", "-ec"], arguments=["mkdir -p /tmp/outputs/data; echo 1 > /tmp/outputs/data/data"],
        file_outputs={"data": "/tmp/outputs/data/data"},
        artifact_argument_paths=[dsl.InputArgumentPath("raw content", path="/tmp/inputs/raw/data")],
        output_artifact_paths={"mlpipeline-ui-metadata": "/tmp/ui.json"},
    )
    first = PASS(SAY("content").output, note)
    PASS(first.output).after(data)


@dsl.graph_component
def down(number):
    said = SAY(number).set_display_name("Counts")
    with dsl.Condition(said.output == "never"):
        down(said.output)


@dsl.pipeline(name="recursion")
def recursion(number: str = "1"):
    down(number)


@dsl.pipeline(name="settings")
def settings(claim: str = "data", memory: str = "1Gi"):
    volume = dsl.PipelineVolume(pvc=claim)
    task = SAY("set up")
    task.set_retry(3, policy="Always", backoff_duration="1s", backoff_factor=2.0, backoff_max_duration="1m")
    task.set_timeout(600).set_cpu_request("100m").set_cpu_limit("1").set_memory_request("64Mi").set_memory_limit(memory)
    task.set_gpu_limit(1).add_node_selector_constraint("disk", "ssd").set_image_pull_policy("IfNotPresent")
    task.add_toleration(k8s.V1Toleration(key="gpu", operator="Exists", effect="NoSchedule"))
    task.add_affinity(k8s.V1Affinity(node_affinity=k8s.V1NodeAffinity(
        required_during_scheduling_ignored_during_execution=k8s.V1NodeSelector(node_selector_terms=[
            k8s.V1NodeSelectorTerm(match_expressions=[k8s.V1NodeSelectorRequirement(key="zone", operator="In", values=["a"])])]))))
    task.add_pod_label("team", "fraud").add_pod_annotation("note", "yes")
    task.add_env_variable(k8s.V1EnvVar(name="COLOUR", value="blue"))
    task.add_env_variable(k8s.V1EnvVar(name="PASSWORD", value_from=k8s.V1EnvVarSource(
        secret_key_ref=k8s.V1SecretKeySelector(name="credentials", key="password"))))
    task.add_env_variable(k8s.V1EnvVar(name="NODE", value_from=k8s.V1EnvVarSource(
        field_ref=k8s.V1ObjectFieldSelector(field_path="spec.nodeName"))))
    task.container.add_env_from(k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name="settings")))
    task.add_volume(k8s.V1Volume(name="secret", secret=k8s.V1SecretVolumeSource(secret_name="certificates")))
    task.add_volume_mount(k8s.V1VolumeMount(name="secret", mount_path="/etc/certificates", read_only=True))
    task.add_volume(k8s.V1Volume(name="files", config_map=k8s.V1ConfigMapVolumeSource(name="files", items=[
        k8s.V1KeyToPath(key="a", path="a.txt")])))
    task.add_volume(k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit="64Mi")))
    task.add_pvolumes({"/data": volume})
    task.add_init_container(dsl.UserContainer(name="before", image="busybox", command=["true"]))
    task.add_sidecar(dsl.Sidecar(name="beside", image="busybox", command=["true"], mirror_volume_mounts=True))
    task.container.set_security_context(k8s.V1SecurityContext(run_as_user=1000))
    task.execution_options.caching_strategy.max_cache_staleness = "P0D"
    other = SAY("cached").after(task)
    other.enable_caching = False
    configuration = dsl.get_pipeline_conf()
    configuration.set_image_pull_secrets([k8s.V1LocalObjectReference(name="registry")])
    configuration.set_timeout(3600).set_ttl_seconds_after_finished(60).set_parallelism(4)
    configuration.set_default_pod_node_selector("pool", "ml")
    configuration.set_pod_disruption_budget("50%")
    configuration.set_dns_config(k8s.V1PodDNSConfig(nameservers=["1.2.3.4"], options=[k8s.V1PodDNSConfigOption(name="ndots", value="2")]))


@dsl.pipeline(name="resources")
def resources(size: str = "1Gi"):
    volume = dsl.VolumeOp(name="make claim", resource_name="data", modes=dsl.VOLUME_MODE_RWO, size=size)
    task = dsl.ContainerOp(name="use", image="busybox", command=["true"], pvolumes={"/data": volume.volume})
    snapshot = dsl.VolumeSnapshotOp(name="snapshot", resource_name="copy", volume=task.pvolume)
    dsl.ResourceOp(name="apply", action="apply", success_condition="status.phase == Active",
                   k8s_resource={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "on"}},
                   attribute_outputs={"name": "{.metadata.name}"}).after(snapshot)
    volume.delete().after(task)


# What is executed by a server without a cluster, and what needs one.
ALL = [conditions, loops, exit_handler, artifacts, recursion, settings, resources]


def write(folder):
    for pipeline in ALL:
        name = pipeline._component_human_name
        kfp.compiler.Compiler().compile(pipeline, str(folder / f"{name}.yaml"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]))
