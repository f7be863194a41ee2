"""Pipelines with every construct of the official compiler, small and such that their steps run on any machine.

    VENV/bin/python .ci/official/pipelines.py FOLDER      # VENV has kfp 2.x and kfp-kubernetes

writes each as FOLDER/NAME.yaml. Those of kfp-client/tests/pipelines/ were written by this.
"""

import pathlib
import sys
from typing import List, NamedTuple, Optional

from kfp import compiler, dsl, kubernetes

SHELL = ["sh", "-ec"]


@dsl.container_component
def say(word: str, said: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, 'printf "%s" "$0" > "$1"; echo "$0"', word, said])


@dsl.container_component
def count(numbers: list, total: dsl.OutputPath(int)):
    script = 'printf "%s" "$(echo "$0" | tr -cd , | wc -c)" > "$1"'
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, script, numbers, total])


@dsl.container_component
def double(number: int, twice: dsl.OutputPath(int)):
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, 'printf "%s" $(($0 * 2)) > "$1"', number, twice])


@dsl.container_component
def numbers(some: dsl.OutputPath(list)):
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, 'printf "[1, 2, 3]" > "$0"', some])


@dsl.container_component
def fail():
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, "echo failing; exit 7"])


@dsl.container_component
def make_dataset(rows: int, data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, 'seq "$0" > "$1"', rows, data.path])


@dsl.container_component
def fit(data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]):
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, 'wc -l < "$0" > "$1"', data.path, model.path])


@dsl.container_component
def inspect(model: dsl.Input[dsl.Model]):
    return dsl.ContainerSpec(image="busybox", command=[*SHELL, 'cat "$0"'], args=[model.path])


@dsl.container_component
def look_at(uri: dsl.Input[dsl.Artifact]):
    return dsl.ContainerSpec(image="busybox", command=["echo"], args=[uri.uri])


@dsl.pipeline(name="parameters", description="Every type of parameter, with a default and without.", display_name="Parameters of all types")
def parameters(
    text: str,
    number: int = 3,
    share: float = 0.25,
    large: float = 1e21,
    flag: bool = True,
    names: list = ["a", 1, 2.5, {"b": True}],
    options: dict = {"deep": {"list": [1, [2, 3]], "yes": "no", "12:30:45": "2026-11-28"}},
    maybe: Optional[str] = None,
    tricky: str = "on",
) -> str:
    said = say(word=text)
    say(word=tricky).after(said)
    say(word="one\n two: #3\n\u2028\x7f")
    double(number=number)
    count(numbers=names)
    return said.outputs["said"]


@dsl.pipeline(name="artifacts")
def artifacts(rows: int = 5) -> dsl.Model:
    data = make_dataset(rows=rows)
    model = fit(data=data.outputs["data"])
    inspect(model=model.outputs["model"])
    return model.outputs["model"]


@dsl.pipeline(name="if-elif-else")
def if_elif_else(number: int = 2, word: str = "b") -> str:
    twice = double(number=number)
    with dsl.If(twice.outputs["twice"] == 2):
        first = say(word="two")
    with dsl.Elif(twice.outputs["twice"] == 4):
        second = say(word="four")
    with dsl.Else():
        third = say(word="many")
    with dsl.If(word != "a"):
        with dsl.If(number >= 2):
            say(word="nested")
    with dsl.If(word == "a"):
        say(word="never")
    return dsl.OneOf(first.outputs["said"], second.outputs["said"], third.outputs["said"])


@dsl.pipeline(name="artifact-of-a-branch")
def artifact_of_a_branch(small: bool = True):
    with dsl.If(small == True):  # noqa: E712
        few = make_dataset(rows=2)
    with dsl.Else():
        many = make_dataset(rows=9)
    fit(data=dsl.OneOf(few.outputs["data"], many.outputs["data"]))


@dsl.pipeline(name="loops")
def loops(given: list = ["x", "y"]):
    with dsl.ParallelFor([1, 2, 3], name="fixed numbers", parallelism=2) as number:
        twice = double(number=number)
    count(numbers=dsl.Collected(twice.outputs["twice"]))
    with dsl.ParallelFor(given) as word:
        said = say(word=word)
        with dsl.If(word == "x"):
            say(word=said.outputs["said"])
    some = numbers()
    with dsl.ParallelFor(some.outputs["some"]) as number:
        say(word=number)
    with dsl.ParallelFor([{"a": "p", "b": "1"}, {"a": "q", "b": "2"}]) as item:
        say(word=item.a)
        say(word=item.b)
    with dsl.ParallelFor([1, 2]) as outer:
        with dsl.ParallelFor(["a", "b"]) as inner:
            say(word=inner).after(double(number=outer))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def together(datasets: dsl.Input[List[dsl.Dataset]]) -> int:
    return sum(1 for _ in datasets)


@dsl.pipeline(name="loop-artifacts")
def loop_artifacts():
    with dsl.ParallelFor([1, 2]) as rows:
        data = make_dataset(rows=rows)
    together(datasets=dsl.Collected(data.outputs["data"]))


@dsl.container_component
def notify(status: str, word: str):
    return dsl.ContainerSpec(image="busybox", command=["echo"], args=[status, word])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def report(word: str, status: dsl.PipelineTaskFinalStatus):
    print(word, status.state)


@dsl.pipeline(name="exit-handler")
def exit_handler(word: str = "bye"):
    ended = say(word=word)
    with dsl.ExitHandler(ended):
        first = double(number=1)
        double(number=first.outputs["twice"])


@dsl.pipeline(name="final-status")
def final_status(word: str = "bye"):
    ended = report(word=word)
    with dsl.ExitHandler(ended, name="guarded"):
        fail()


@dsl.pipeline(name="upstream-failure")
def upstream_failure(word: str = "saved"):
    failed = fail()
    say(word=word).after(failed).ignore_upstream_failure()


@dsl.pipeline(name="settings")
def settings(cpu: str = "250m", memory: str = "128Mi"):
    first = say(word="first").set_display_name("The first").set_caching_options(False)
    first.set_retry(num_retries=2, backoff_duration="1s", backoff_factor=1.5, backoff_max_duration="10s")
    first.set_cpu_request("500m").set_cpu_limit("2").set_memory_request("1Gi").set_memory_limit("4G")
    first.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    first.set_env_variable("COLOUR", "blue")
    second = say(word="second").after(first).set_caching_options(True, cache_key="mine")
    second.set_cpu_limit(cpu).set_memory_limit(memory)
    say(word="third").set_container_image("alpine").after(first, second)


@dsl.pipeline(name="platform")
def platform(secret: str = "named-later", tolerated: dict = {"key": "a", "operator": "Exists"}, nodes: dict = {"disk": "ssd"}):
    claim = kubernetes.CreatePVC(pvc_name_suffix="-data", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="standard")
    task = say(word="on kubernetes")
    kubernetes.use_secret_as_env(task, "credentials", {"password": "PASSWORD"}, optional=True)
    kubernetes.use_secret_as_env(task, secret, {"token": "TOKEN"}, optional=True)
    kubernetes.use_secret_as_volume(task, "certificates", "/etc/certificates", optional=True)
    kubernetes.use_config_map_as_env(task, "settings", {"region": "REGION"})
    kubernetes.use_config_map_as_volume(task, "files", "/etc/files")
    kubernetes.mount_pvc(task, claim.outputs["name"], "/data")
    kubernetes.mount_pvc(task, "shared", "/shared", sub_path="a/b")
    kubernetes.add_ephemeral_volume(task, "scratch", "/scratch", ["ReadWriteOnce"], "5Gi", labels={"a": "b"})
    kubernetes.empty_dir_mount(task, "cache", "/cache", medium="Memory", size_limit="64Mi")
    kubernetes.use_field_path_as_env(task, "NODE", "spec.nodeName")
    kubernetes.add_node_selector(task, "disk", "ssd")
    kubernetes.add_toleration(task, key="gpu", operator="Equal", value="true", effect="NoExecute", toleration_seconds=10)
    kubernetes.add_node_affinity(task, match_expressions=[{"key": "zone", "operator": "In", "values": ["a", "b"]}], weight=5)
    kubernetes.add_pod_label(task, "team", "fraud")
    kubernetes.add_pod_annotation(task, "note", "yes")
    kubernetes.set_image_pull_secrets(task, ["registry"])
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    kubernetes.set_timeout(task, 600)
    kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)
    flexible = say(word="from parameters")
    kubernetes.add_node_selector_json(flexible, nodes)
    kubernetes.add_toleration_json(flexible, tolerated)
    kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(task, flexible)


SaidAndTwice = NamedTuple("Outputs", [("said", str), ("twice", int)])


@dsl.pipeline(name="inner")
def inner(word: str, times: int = 2) -> SaidAndTwice:
    said = say(word=word)
    kubernetes.use_secret_as_env(said, "inner", {"a": "A"}, optional=True)
    twice = double(number=times)
    return SaidAndTwice(said.outputs["said"], twice.outputs["twice"])


@dsl.pipeline(name="nested")
def nested(word: str = "deep"):
    first = inner(word=word)
    second = inner(word=first.outputs["said"], times=first.outputs["twice"])
    say(word=second.outputs["said"])


@dsl.pipeline(name="imported")
def imported(uri: str = "s3://bucket/some/data"):
    fixed = dsl.importer(artifact_uri="gs://bucket/model", artifact_class=dsl.Model, reimport=True, metadata={"version": "1", "tags": ["a"]})
    given = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, reimport=False, metadata={"from": uri})
    look_at(uri=fixed.output)
    look_at(uri=given.output)


@dsl.container_component
def flexible_command(name: str, greeting: str = "hello", title: Optional[str] = None, other: Optional[str] = None):
    return dsl.ContainerSpec(
        image="busybox",
        command=["echo"],
        args=[
            dsl.ConcatPlaceholder(["--greeting=", greeting, ", ", name]),
            dsl.IfPresentPlaceholder(input_name="title", then=["--title", title], else_=["--untitled"]),
            dsl.IfPresentPlaceholder(input_name="other", then=[dsl.ConcatPlaceholder(["--other=", other])]),
        ],
    )


@dsl.pipeline(name="placeholders")
def placeholders(name: str = "world"):
    flexible_command(name=name)
    flexible_command(name=name, title="Dr", greeting="good day")
    say(word=f"{name} and {name}")
    say(word=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    say(word=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)
    say(word=dsl.PIPELINE_TASK_NAME_PLACEHOLDER)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def train(
    data: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
    rate: float = 0.1,
    layers: List[int] = [8, 4],
) -> NamedTuple("Outputs", [("accuracy", float), ("layers", list), ("report", dict)]):
    from collections import namedtuple

    with open(data.path) as lines, open(model.path, "w") as weights, open(page.path, "w") as html:
        weights.write(lines.read())
        html.write("<p>done</p>")
    model.metadata["framework"] = "none"
    metrics.log_metric("accuracy", 0.9)
    return namedtuple("Outputs", ["accuracy", "layers", "report"])(0.9, layers, {"rate": rate})


@dsl.pipeline(name="python-functions")
def python_functions(rate: float = 0.2) -> float:
    data = make_dataset(rows=3)
    trained = train(data=data.outputs["data"], rate=rate)
    inspect(model=trained.outputs["model"])
    with dsl.If(trained.outputs["accuracy"] > 0.8):
        say(word="good")
    return trained.outputs["accuracy"]


@dsl.pipeline(
    name="configured",
    pipeline_root="minio://mlpipeline/v2/artifacts",
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(
            size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteOnce"]})
        ),
        ttl_seconds_after_finished=3600,
        active_deadline_seconds=7200,
    ),
)
def configured():
    say(word="configured")


ALL = [
    parameters, artifacts, if_elif_else, artifact_of_a_branch, loops, loop_artifacts, exit_handler, final_status,
    upstream_failure, settings, platform, nested, imported, placeholders, python_functions, configured,
]

# A component compiled by itself is a file of the same format.
COMPONENTS = {"component": flexible_command}


def write(folder):
    for pipeline in ALL:
        compiler.Compiler().compile(pipeline, str(folder / f"{pipeline.name}.yaml"))
    for name, component in COMPONENTS.items():
        compiler.Compiler().compile(component, str(folder / f"{name}.yaml"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]))
