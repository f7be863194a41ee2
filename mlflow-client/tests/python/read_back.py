"""Reads back with the official MLflow client what the Rust client wrote, and checks every part of it.

    MLFLOW_TEST_URI=URL MLFLOW_TEST_WRITTEN=FILE cargo test -p mlflow-client --all-features --test it written
    python read_back.py URL FILE

The exit status is 1 if something is not as it was written, 2 on wrong usage.
"""

import json
import math
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def experiment_and_run(client, written):
    experiment = client.get_experiment_by_name(written["mark"])
    equal((experiment.experiment_id, experiment.lifecycle_stage), (written["experiment"], "active"))
    equal(experiment.tags["made by"], "rüst")
    run = client.get_run(written["run"])
    equal((run.info.run_name, run.info.status, run.info.user_id), ("first", "FINISHED", "me"))
    assert run.info.end_time >= run.info.start_time > 1_600_000_000_000
    equal(run.data.params, {"rate": "0.1", "a b/c.d-e:f": "it's \"two\"\n", "empty": ""})
    equal({k: run.data.tags[k] for k in ("colour", "more", "mlflow.note.content", "mlflow.runName")},
          {"colour": "grün", "more": "1", "mlflow.note.content": "what it is", "mlflow.runName": "first"})
    equal((run.data.metrics["loss"], run.data.metrics["back"], run.data.metrics["accuracy"]), (1 / 1500, 1.0, 0.5))
    assert math.isnan(run.data.metrics["nan"])
    equal((run.data.metrics["up"], run.data.metrics["down"]), (sys.float_info.max, -sys.float_info.max))
    history = client.get_metric_history(written["run"], "loss")
    equal(sorted((point.step, point.value) for point in history), [(n, 1 / (n + 1)) for n in range(1500)])
    equal(client.get_metric_history(written["run"], "back")[0].step, -7)
    inputs = run.inputs.dataset_inputs
    equal([(i.dataset.name, i.dataset.digest, i.dataset.source_type) for i in inputs], [("penguins", "d1", "http")])
    equal({tag.key: tag.value for tag in inputs[0].tags}, {"mlflow.data.context": "training"})
    found = client.search_runs([written["experiment"]], "tags.colour = 'grün' AND metrics.loss < 1")
    equal([r.info.run_id for r in found], [written["run"]])


def artifacts(client, written):
    listed = {file.path: file.file_size for file in client.list_artifacts(written["run"], "d")}
    equal(listed, {"d/a b ü.txt": 5})
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(client.download_artifacts(written["run"], "", folder))
        equal((path / "d" / "a b ü.txt").read_text(), "grün")
        equal((path / "empty").read_bytes(), b"")


def logged_model(client, written):
    model = client.get_logged_model(written["model"])
    equal((model.name, str(model.status), model.source_run_id), ("forest", "READY", written["run"]))
    equal((model.params, model.tags["t"]), ({"depth": "3"}, "v"))
    equal([(m.key, m.value, m.dataset_name) for m in model.metrics], [("accuracy", 0.5, "penguins")])
    run = client.get_run(written["run"])
    equal([(o.model_id, o.step) for o in run.outputs.model_outputs], [(written["model"], 4)])
    equal([i.model_id for i in run.inputs.model_inputs], [written["model"]])


def registry(client, written):
    name = written["mark"]
    model = client.get_registered_model(name)
    equal((model.description, model.tags, model.aliases), ("words", {"team": "a"}, {"champion": "2"}))
    first, second = client.get_model_version(name, "1"), client.get_model_version_by_alias(name, "champion")
    equal((first.run_id, first.source, first.current_stage), (written["run"], "runs:/%s/d" % written["run"], "Staging"))
    equal((first.tags, first.description), ({"n": "1"}, "one"))
    equal((second.version, second.run_id, second.source), ("2", written["run"], "models:/" + written["model"]))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(mlflow.artifacts.download_artifacts("models:/%s/1" % name, dst_path=folder))
        equal((path / "a b ü.txt").read_text(), "grün")
    prompt = mlflow.genai.load_prompt(written["prompt"], version=1)
    equal((prompt.template, prompt.version, prompt.commit_message), ("Hello {{name}}", 1, "greets"))
    equal(prompt.format(name="you"), "Hello you")


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_registry_uri(sys.argv[1])
    written = json.loads(pathlib.Path(sys.argv[2]).read_text())
    for check in (experiment_and_run, artifacts, logged_model, registry):
        check(MlflowClient(), written)
    print("everything was read back")
    return 0


if __name__ == "__main__":
    sys.exit(main())
