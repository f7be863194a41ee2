"""Drives a tracking server with the official MLflow client and checks what it reads back.

    python drive.py http://127.0.0.1:5000

Works on the fake and on a real server, makes things of its own there, and leaves them. Prints `N passed, M failed`;
the exit status is 1 if anything failed, 2 on wrong usage.
"""

import math
import os
import pathlib
import sys
import tempfile
import traceback
import uuid

# A failing server is to fail soon, not after the client's four minutes of repetition.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow  # noqa: E402
from mlflow.data.dataset_source_registry import resolve_dataset_source  # noqa: E402
from mlflow.data.meta_dataset import MetaDataset  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

CASES = []


def case(function):
    CASES.append(function)
    return function


def unique(word):
    return "%s-%s" % (word, uuid.uuid4().hex)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def refused(code, call, *args, **named):
    try:
        call(*args, **named)
    except MlflowException as error:
        equal(error.error_code, code)
        return error
    raise AssertionError("%s was expected, but the call succeeded" % code)


def pages(search, **named):
    """Everything a search finds, by following its pages."""
    found, token = [], None
    while True:
        page = search(page_token=token, **named)
        found += page
        token = page.token
        if not token:
            return found


class Scene:
    """A client, an experiment and runs in it."""

    def __init__(self):
        self.client = MlflowClient()

    def experiment(self):
        return self.client.create_experiment(unique("drive"), tags={"made": "here"})

    def run(self, **named):
        return self.client.create_run(self.experiment(), **named).info.run_id


@case
def experiments(s):
    name = unique("experiment")
    number = s.client.create_experiment(name, tags={"a": "1"})
    found = s.client.get_experiment(number)
    equal((found.experiment_id, found.name, found.lifecycle_stage), (number, name, "active"))
    equal(found.tags, {"a": "1"})
    equal(found.artifact_location, "mlflow-artifacts:/" + number)
    equal(found.creation_time, found.last_update_time)
    equal(s.client.get_experiment_by_name(name).experiment_id, number)
    equal(s.client.get_experiment_by_name(unique("none")), None)
    refused("RESOURCE_ALREADY_EXISTS", s.client.create_experiment, name)
    s.client.set_experiment_tag(number, "b", "2")
    s.client.delete_experiment_tag(number, "a")
    equal(s.client.get_experiment(number).tags, {"b": "2"})
    other = unique("renamed")
    s.client.rename_experiment(number, other)
    equal(s.client.get_experiment(number).name, other)
    s.client.delete_experiment(number)
    equal(s.client.get_experiment(number).lifecycle_stage, "deleted")
    refused("RESOURCE_DOES_NOT_EXIST", s.client.delete_experiment, number)
    refused("RESOURCE_ALREADY_EXISTS", s.client.create_experiment, other)
    refused("INVALID_PARAMETER_VALUE", s.client.create_run, number)
    s.client.restore_experiment(number)
    equal(s.client.get_experiment(number).lifecycle_stage, "active")
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_experiment, "999999999")


@case
def experiments_are_searched(s):
    mark = uuid.uuid4().hex
    ids = [s.client.create_experiment("%s-%d" % (mark, n), tags={"mark": mark, "n": str(n)}) for n in range(5)]
    s.client.delete_experiment(ids[4])

    def found(**named):
        return [e.experiment_id for e in pages(s.client.search_experiments, **named)]

    mine = "name LIKE '%s-%%'" % mark
    equal(found(filter_string=mine, order_by=["name ASC"], max_results=3), ids[:4])
    equal(found(filter_string=mine, order_by=["name DESC"], max_results=1), ids[3::-1])
    equal(found(filter_string=mine, view_type=ViewType.DELETED_ONLY), ids[4:])
    equal(len(found(filter_string=mine, view_type=ViewType.ALL)), 5)
    equal(found(filter_string="tags.mark = '%s' AND tags.n != '0'" % mark, order_by=["experiment_id ASC"]), ids[1:4])
    equal(found(filter_string="name ILIKE '%s-2'" % mark.upper()), ids[2:3])
    refused("INVALID_PARAMETER_VALUE", s.client.search_experiments, filter_string="nonsense")
    refused("INVALID_PARAMETER_VALUE", s.client.search_experiments, filter_string=mine + " OR " + mine)
    refused("INVALID_PARAMETER_VALUE", s.client.search_experiments, max_results=50001)


@case
def a_run_with_the_fluent_interface(s):
    experiment = mlflow.set_experiment(unique("fluent"))
    with mlflow.start_run(run_name="first", tags={"colour": "red"}, description="what it is") as run:
        mlflow.log_param("rate", 0.1)
        mlflow.log_params({"a": 1, "b": "two", "empty": ""})
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metric("loss", 0.25, step=1)
        mlflow.log_metrics({"accuracy": 0.75, "f1": 1})
        mlflow.set_tag("more", "grün")
        with mlflow.start_run(nested=True, run_name="child") as child:
            mlflow.log_metric("inner", 1)
        mlflow.log_text("some text", "notes/readme.txt")
        mlflow.log_dict({"k": [1, 2]}, "conf.json")
    found = mlflow.get_run(run.info.run_id)
    equal((found.info.status, found.info.run_name), ("FINISHED", "first"))
    equal(found.info.experiment_id, experiment.experiment_id)
    assert found.info.end_time >= found.info.start_time > 0
    equal(found.data.params, {"rate": "0.1", "a": "1", "b": "two", "empty": ""})
    equal(found.data.metrics, {"loss": 0.25, "accuracy": 0.75, "f1": 1.0})
    equal((found.data.tags["colour"], found.data.tags["more"]), ("red", "grün"))
    equal((found.data.tags["mlflow.runName"], found.data.tags["mlflow.note.content"]), ("first", "what it is"))
    equal(mlflow.get_run(child.info.run_id).data.tags["mlflow.parentRunId"], run.info.run_id)
    equal(mlflow.artifacts.load_text(found.info.artifact_uri + "/notes/readme.txt"), "some text")
    equal(mlflow.artifacts.load_dict(found.info.artifact_uri + "/conf.json"), {"k": [1, 2]})


@case
def a_run_that_fails(s):
    mlflow.set_experiment(unique("fails"))
    try:
        with mlflow.start_run() as run:
            raise ValueError("on purpose")
    except ValueError:
        pass
    found = mlflow.get_run(run.info.run_id)
    equal(found.info.status, "FAILED")
    assert len(found.info.run_name.split("-")) == 3, found.info.run_name
    with mlflow.start_run(run_id=run.info.run_id):
        equal(mlflow.get_run(run.info.run_id).info.status, "RUNNING")
    equal(mlflow.get_run(run.info.run_id).info.status, "FINISHED")


@case
def runs(s):
    run = s.run(run_name="one", start_time=1234)
    found = s.client.get_run(run)
    equal((found.info.status, found.info.start_time, found.info.end_time), ("RUNNING", 1234, None))
    equal(found.info.artifact_uri, "mlflow-artifacts:/%s/%s/artifacts" % (found.info.experiment_id, run))
    s.client.update_run(run, status="SCHEDULED", name="two")
    found = s.client.get_run(run)
    equal((found.info.status, found.info.run_name, found.data.tags["mlflow.runName"]), ("SCHEDULED", "two", "two"))
    s.client.set_tag(run, "mlflow.runName", "three")
    equal(s.client.get_run(run).info.run_name, "three")
    s.client.set_terminated(run, "KILLED", 9_007_199_254_740_993)
    equal((s.client.get_run(run).info.status, s.client.get_run(run).info.end_time), ("KILLED", 9_007_199_254_740_993))
    s.client.log_param(run, "late", "yes")
    s.client.set_tag(run, "t", "1")
    s.client.delete_tag(run, "t")
    refused("RESOURCE_DOES_NOT_EXIST", s.client.delete_tag, run, "t")
    s.client.delete_run(run)
    equal(s.client.get_run(run).info.lifecycle_stage, "deleted")
    refused("INVALID_PARAMETER_VALUE", s.client.log_metric, run, "m", 1)
    refused("INVALID_PARAMETER_VALUE", s.client.set_tag, run, "t", "1")
    s.client.restore_run(run)
    s.client.log_metric(run, "m", 1)
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_run, "0" * 32)


@case
def parameters_keep_their_value(s):
    run = s.run()
    s.client.log_param(run, "p", "1")
    s.client.log_param(run, "p", "1")
    refused("INVALID_PARAMETER_VALUE", s.client.log_param, run, "p", "2")
    refused("INVALID_PARAMETER_VALUE", s.client.log_batch, run, [Metric("m", 1, 1, 0)], [Param("p", "2")], [RunTag("t", "x")])
    found = s.client.get_run(run).data
    equal((found.params, found.metrics, "t" in found.tags), ({"p": "1"}, {}, False))
    s.client.log_param(run, "long", "x" * 6000)
    equal(len(s.client.get_run(run).data.params["long"]), 6000)


@case
def metrics(s):
    run = s.run()
    for value, timestamp, step in [(3, 10, 5), (1, 20, 2), (2, 5, 5), (9, 99, -1)]:
        s.client.log_metric(run, "m", value, timestamp, step)
    equal(s.client.get_run(run).data.metrics["m"], 3.0)
    history = [(p.value, p.timestamp, p.step) for p in s.client.get_metric_history(run, "m")]
    equal(history, [(2, 5, 5), (3, 10, 5), (1, 20, 2), (9, 99, -1)])
    for value in (1, 2, 0):
        s.client.log_metric(run, "tie", value, 7, 7)
    equal(s.client.get_run(run).data.metrics["tie"], 2.0)
    for _ in range(3):
        s.client.log_metric(run, "same", 1, 1, 1)
    equal(len(s.client.get_metric_history(run, "same")), 1)
    s.client.log_metric(run, "nan", float("nan"), 1, 1)
    s.client.log_metric(run, "inf", float("inf"), 1, 1)
    s.client.log_metric(run, "ninf", float("-inf"), 1, 1)
    found = s.client.get_run(run).data.metrics
    assert math.isnan(found["nan"])
    equal((found["inf"], found["ninf"]), (sys.float_info.max, -sys.float_info.max))
    equal(s.client.get_metric_history(run, "none"), [])
    refused("INVALID_PARAMETER_VALUE", s.client.log_metric, run, "/bad", 1)


@case
def batches(s):
    run = s.run()
    points = [Metric("m", n, 1000 + n, n) for n in range(1000)]
    s.client.log_batch(run, points)
    s.client.log_batch(run, points)
    equal(len(s.client.get_metric_history(run, "m")), 1000)
    s.client.log_batch(run, [], [Param("p%d" % n, str(n)) for n in range(100)], [RunTag("t%d" % n, str(n)) for n in range(100)])
    found = s.client.get_run(run).data
    equal((len(found.params), found.tags["t99"], found.metrics), (100, "99", {"m": 999.0}))
    refused("INVALID_PARAMETER_VALUE", s.client.log_batch, run, [Metric("ok", 1, 1, 0), Metric("a//b", 1, 1, 0)])
    assert "ok" not in s.client.get_run(run).data.metrics
    s.client.log_batch(run, [], [], [RunTag("d", "1"), RunTag("d", "2")])
    equal(s.client.get_run(run).data.tags["d"], "2")
    refused("INVALID_PARAMETER_VALUE", s.client.log_batch, run, [], [Param("d", "1"), Param("d", "1")])


@case
def datasets_are_inputs(s):
    mlflow.set_experiment(unique("inputs"))
    source = resolve_dataset_source("https://example.com/data.csv")
    dataset = MetaDataset(source, name="penguins", digest="abc123")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
        mlflow.log_input(dataset, context="training")
    inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    equal(len(inputs), 1)
    equal((inputs[0].dataset.name, inputs[0].dataset.digest), ("penguins", "abc123"))
    equal({t.key: t.value for t in inputs[0].tags}, {"mlflow.data.context": "training"})
    experiment = [run.info.experiment_id]
    equal(len(s.client.search_runs(experiment, "datasets.name = 'penguins'")), 1)
    equal(len(s.client.search_runs(experiment, "dataset.context = 'validation'")), 0)


@case
def runs_are_searched(s):
    experiment = s.experiment()
    ids = []
    for n in range(5):
        run = s.client.create_run(experiment, start_time=1000 + n, run_name="run %d" % n, tags={"Colour": "c%d" % n}).info.run_id
        if n != 2:
            s.client.log_metric(run, "score", float("nan") if n == 4 else n)
        s.client.log_param(run, "my param", "v%d" % n)
        ids.append(run)
    s.client.set_terminated(ids[0])

    def found(text="", **named):
        return [ids.index(r.info.run_id) for r in pages(s.client.search_runs, experiment_ids=[experiment], filter_string=text, **named)]

    equal(found(), [4, 3, 2, 1, 0])
    equal(found(max_results=2), [4, 3, 2, 1, 0])
    equal(found(order_by=["attributes.start_time ASC"]), [0, 1, 2, 3, 4])
    equal(found(order_by=["metrics.score ASC"]), [0, 1, 3, 4, 2])
    equal(found(order_by=["metrics.score DESC"]), [3, 1, 0, 4, 2])
    equal(found(order_by=["params.`my param` ASC"]), [0, 1, 2, 3, 4])
    equal(found(order_by=["tags.Colour DESC"]), [4, 3, 2, 1, 0])
    equal(found("metrics.score >= 1"), [3, 1])
    equal(found("metrics.score != 1"), [4, 3, 0])
    equal(found("params.`my param` = 'v2'"), [2])
    equal(found("params.\"my param\" LIKE 'v%'"), [4, 3, 2, 1, 0])
    equal(found("tags.Colour ILIKE 'C1'"), [1])
    equal(found("tags.Colour LIKE 'C1'"), [])
    equal(found("tags.Colour IS NOT NULL and metrics.score < 2"), [1, 0])
    equal(found("params.none IS NULL", max_results=4), [4, 3, 2, 1, 0])
    equal(found("params.none != 'x'"), [])
    equal(found("attributes.status = 'FINISHED'"), [0])
    equal(found("status != 'FINISHED' AND start_time > 1001"), [4, 3, 2])
    equal(found("run_name = 'run 3'"), [3])
    equal(found("attributes.run_id IN ('%s', '%s')" % (ids[1], ids[3])), [3, 1])
    equal(found("run_id NOT IN ('%s')" % ids[1]), [4, 3, 2, 0])
    for bad in ("metrics.score > 'a'", "params.a = 1", "params.a > 'x'", "METRICS.a = 1", "attributes.nothing = 'a'",
                "tags.a = 'x' OR tags.a = 'y'", "(tags.a = 'x')", "tags.a", " ", "status IN ('RUNNING')",
                "attributes.lifecycle_stage = 'active'"):
        refused("INVALID_PARAMETER_VALUE", s.client.search_runs, [experiment], bad)
    refused("INVALID_PARAMETER_VALUE", s.client.search_runs, [experiment], order_by=["nothing.x"])
    refused("INVALID_PARAMETER_VALUE", s.client.search_runs, [experiment], page_token="!!!")
    s.client.delete_run(ids[4])
    equal(found(run_view_type=ViewType.DELETED_ONLY), [4])
    equal(found(run_view_type=ViewType.ALL), [4, 3, 2, 1, 0])
    equal(found(), [3, 2, 1, 0])
    equal(len(s.client.search_runs([], "")), 0)
    table = mlflow.search_runs([experiment], output_format="list")
    equal(len(table), 4)


@case
def artifacts(s):
    run = s.run()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "deep").mkdir()
        (folder / "a b.txt").write_text("grün")
        (folder / "deep" / "data.bin").write_bytes(bytes(range(256)) * 1000)
        (folder / "deep" / "empty").write_bytes(b"")
        s.client.log_artifacts(run, str(folder), "top")
        s.client.log_artifact(run, str(folder / "a b.txt"))
    listed = {f.path: (f.is_dir, f.file_size) for f in s.client.list_artifacts(run)}
    equal(listed, {"a b.txt": (False, 5), "top": (True, None)})
    equal(sorted(f.path for f in s.client.list_artifacts(run, "top")), ["top/a b.txt", "top/deep"])
    sizes = {f.path: f.file_size or 0 for f in s.client.list_artifacts(run, "top/deep")}
    equal(sizes, {"top/deep/data.bin": 256000, "top/deep/empty": 0})
    equal(s.client.list_artifacts(run, "nothing"), [])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(s.client.download_artifacts(run, "top", folder))
        equal((path / "a b.txt").read_text(), "grün")
        equal((path / "deep" / "data.bin").read_bytes(), bytes(range(256)) * 1000)
        path = mlflow.artifacts.download_artifacts("runs:/%s/top/deep/empty" % run, dst_path=folder)
        equal(pathlib.Path(path).read_bytes(), b"")
    try:
        with tempfile.TemporaryDirectory() as folder:
            s.client.download_artifacts(run, "nothing.txt", folder)
    except Exception:
        pass
    else:
        raise AssertionError("what is not there was downloaded")


@case
def models_and_aliases(s):
    name, run = unique("model"), s.run()
    made = s.client.create_registered_model(name, {"team": "a"}, "what it is")
    equal((made.name, made.description, made.tags), (name, "what it is", {"team": "a"}))
    refused("RESOURCE_ALREADY_EXISTS", s.client.create_registered_model, name)
    refused("INVALID_PARAMETER_VALUE", s.client.create_registered_model, "a/b")
    source = s.client.get_run(run).info.artifact_uri + "/model"
    for number in ("1", "2", "3"):
        version = s.client.create_model_version(name, source, run, tags={"n": number})
        equal((version.version, version.run_id, version.status, version.current_stage), (number, run, "READY", "None"))
    found = s.client.get_model_version(name, "2")
    equal((found.source, found.tags), (source, {"n": "2"}))
    equal(s.client.get_model_version_download_uri(name, "2"), source)
    s.client.set_registered_model_alias(name, "champion", "1")
    s.client.set_registered_model_alias(name, "champion", "2")
    s.client.set_registered_model_alias(name, "other", "2")
    equal(s.client.get_model_version_by_alias(name, "champion").version, "2")
    equal(sorted(s.client.get_model_version(name, "2").aliases), ["champion", "other"])
    equal(s.client.get_registered_model(name).aliases, {"champion": "2", "other": "2"})
    s.client.delete_registered_model_alias(name, "other")
    s.client.delete_registered_model_alias(name, "other")
    refused("INVALID_PARAMETER_VALUE", s.client.get_model_version_by_alias, name, "other")
    refused("INVALID_PARAMETER_VALUE", s.client.set_registered_model_alias, name, "v1", "1")
    refused("RESOURCE_DOES_NOT_EXIST", s.client.set_registered_model_alias, name, "x", "9")
    s.client.update_model_version(name, "1", "first")
    equal(s.client.get_model_version(name, "1").description, "first")
    s.client.set_model_version_tag(name, "1", "k", "v")
    s.client.delete_model_version_tag(name, "1", "n")
    equal(s.client.get_model_version(name, "1").tags, {"k": "v"})
    s.client.set_registered_model_tag(name, "k", "v")
    s.client.delete_registered_model_tag(name, "team")
    equal(s.client.get_registered_model(name).tags, {"k": "v"})
    s.client.update_registered_model(name, "changed")
    equal(s.client.get_registered_model(name).description, "changed")
    s.client.delete_model_version(name, "3")
    equal(s.client.create_model_version(name, source, run).version, "4")
    s.client.delete_model_version(name, "2")
    equal(s.client.get_registered_model(name).aliases, {})
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_model_version, name, "2")
    renamed = unique("renamed")
    s.client.rename_registered_model(name, renamed)
    equal(s.client.get_model_version(renamed, "1").name, renamed)
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_registered_model, name)
    s.client.delete_registered_model(renamed)
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_registered_model, renamed)


@case
def sources_of_versions_are_checked(s):
    name, run = unique("model"), s.run()
    s.client.create_registered_model(name)
    own = s.client.get_run(run).info.artifact_uri
    other = s.client.get_run(s.run()).info.artifact_uri
    for good in ("s3://bucket/model", "gs://bucket/model", "runs:/%s/model" % run, own + "/model"):
        s.client.create_model_version(name, good, run)
    for bad in (other + "/model", "http://example.com/model", own + "/../x", "/etc/passwd", "runs:/%s/model" % ("0" * 32),
                "mlflow-artifacts://example.com/model"):
        refused("INVALID_PARAMETER_VALUE", s.client.create_model_version, name, bad, run)
    refused("RESOURCE_DOES_NOT_EXIST", s.client.create_model_version, unique("none"), "s3://bucket/model")


@case
def models_and_versions_are_searched(s):
    mark, run = uuid.uuid4().hex, s.run()
    names = ["%s-%d" % (mark, n) for n in range(3)]
    for n, name in enumerate(names):
        s.client.create_registered_model(name, {"mark": mark})
        for _ in range(n + 1):
            s.client.create_model_version(name, "s3://bucket/%s" % mark, run, tags={"n": str(n)})

    def models(text, **named):
        return [m.name for m in pages(s.client.search_registered_models, filter_string=text, **named)]

    equal(models("name LIKE '%s%%'" % mark, max_results=2), names)
    equal(models("name LIKE '%s%%'" % mark, order_by=["name DESC"]), names[::-1])
    equal(models("tags.mark = '%s' AND name != '%s'" % (mark, names[0])), names[1:])
    equal(models("name ILIKE '%s-1'" % mark.upper()), names[1:2])
    refused("INVALID_PARAMETER_VALUE", s.client.search_registered_models, "run_id = 'x'")

    def versions(text, **named):
        return [(v.name[-1], int(v.version)) for v in pages(s.client.search_model_versions, filter_string=text, **named)]

    every = [("0", 1), ("1", 1), ("1", 2), ("2", 1), ("2", 2), ("2", 3)]
    equal(sorted(versions("run_id = '%s'" % run, max_results=2)), every)
    equal(versions("name = '%s'" % names[2], order_by=["version_number DESC"], max_results=1), [("2", 3), ("2", 2), ("2", 1)])
    equal(versions("name = '%s' AND version_number > 1" % names[2], order_by=["version_number ASC"]), [("2", 2), ("2", 3)])
    equal(sorted(versions("source_path = 's3://bucket/%s' AND tags.n = '1'" % mark)), [("1", 1), ("1", 2)])
    refused("INVALID_PARAMETER_VALUE", s.client.search_model_versions, "current_stage = 'None'")


@case
def stages(s):
    name, run = unique("model"), s.run()
    s.client.create_registered_model(name)
    for _ in range(2):
        s.client.create_model_version(name, "s3://bucket/m", run)
    equal(s.client.transition_model_version_stage(name, "1", "production").current_stage, "Production")
    s.client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    equal(s.client.get_model_version(name, "1").current_stage, "Archived")
    equal([v.version for v in s.client.get_latest_versions(name, ["Production"])], ["2"])
    refused("INVALID_PARAMETER_VALUE", s.client.transition_model_version_stage, name, "1", "Nowhere")


@case
def logged_models(s):
    experiment = s.experiment()
    run = s.client.create_run(experiment).info.run_id
    model = s.client.create_logged_model(experiment, "forest", source_run_id=run, tags={"a": "1"}, params={"depth": "3"}, model_type="Agent")
    found = s.client.get_logged_model(model.model_id)
    equal((found.name, str(found.status), found.source_run_id, found.model_type), ("forest", "PENDING", run, "Agent"))
    equal((found.params, found.tags), ({"depth": "3"}, {"a": "1"}))
    s.client.log_model_params(model.model_id, {"trees": "7"})
    refused("BAD_REQUEST", s.client.log_model_params, model.model_id, {"trees": "7"})
    s.client.set_logged_model_tags(model.model_id, {"a": "2", "b": "3"})
    s.client.delete_logged_model_tag(model.model_id, "b")
    equal(str(s.client.finalize_logged_model(model.model_id, "READY").status), "READY")
    s.client.log_metric(run, "accuracy", 0.5, timestamp=1, step=2, model_id=model.model_id)
    found = s.client.get_logged_model(model.model_id)
    equal((found.params, found.tags), ({"depth": "3", "trees": "7"}, {"a": "2"}))
    equal([(m.key, m.value, m.step) for m in found.metrics], [("accuracy", 0.5, 2)])
    other = s.client.create_logged_model(experiment, "tree")
    for text, names in (("name = 'tree'", ["tree"]), ("params.depth = '3'", ["forest"]), ("metrics.accuracy > 0.4", ["forest"])):
        equal([m.name for m in s.client.search_logged_models([experiment], filter_string=text)], names)
    order = [{"field_name": "name", "ascending": False}]
    equal([m.name for m in s.client.search_logged_models([experiment], order_by=order)], ["tree", "forest"])
    s.client.delete_logged_model(other.model_id)
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_logged_model, other.model_id)
    equal(len(s.client.search_logged_models([experiment])), 1)
    refused("INVALID_PARAMETER_VALUE", s.client.create_logged_model, experiment, "a/b")


@case
def prompts_are_registered(s):
    name = unique("prompt")
    made = mlflow.genai.register_prompt(name, "Hello {{x}}", commit_message="first", tags={"k": "v"})
    equal((made.version, made.template), (1, "Hello {{x}}"))
    mlflow.genai.register_prompt(name, "Hi {{x}}")
    equal(mlflow.genai.load_prompt(name, version=1).template, "Hello {{x}}")
    mlflow.genai.set_prompt_alias(name, "production", 2)
    equal(mlflow.genai.load_prompt("prompts:/%s@production" % name).template, "Hi {{x}}")
    equal([p.name for p in mlflow.genai.search_prompts("name = '%s'" % name)], [name])
    equal(len(s.client.search_registered_models("name = '%s'" % name)), 0)


@case
def webhooks(s):
    made = s.client.create_webhook(unique("hook"), "https://8.8.8.8/x", ["model_version.created"], description="d", secret="s")
    found = s.client.get_webhook(made.webhook_id)
    equal((found.name, found.url, found.description, str(found.status)), (made.name, "https://8.8.8.8/x", "d", "ACTIVE"))
    changed = s.client.update_webhook(made.webhook_id, description="e", status="DISABLED")
    equal((changed.description, str(changed.status)), ("e", "DISABLED"))
    assert made.webhook_id in [w.webhook_id for w in s.client.list_webhooks()]
    s.client.delete_webhook(made.webhook_id)
    refused("RESOURCE_DOES_NOT_EXIST", s.client.get_webhook, made.webhook_id)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_registry_uri(sys.argv[1])
    failed = 0
    for function in CASES:
        try:
            function(Scene())
        except Exception:
            failed += 1
            print("FAILED %s" % function.__name__, file=sys.stderr)
            traceback.print_exc()
        finally:
            while mlflow.active_run():
                mlflow.end_run()
    print("%d passed, %d failed" % (len(CASES) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
