"""Pipelines of the official compiler go through the client and back, and the official tools judge what came out.

    VENV/bin/python .ci/official/formats.py TESTS [FOLDER...]      # VENV has kfp 2.x and kfp-kubernetes

TESTS is the test program `it` of kfp-client, built with all features. The pipelines are compiled anew with the kfp of
VENV; those of each FOLDER are added. The client reads, checks and writes each, uploads it to the fake server, runs it
with its steps executed, and follows it to its end. What it wrote must then be accepted by the official messages, field by
field, and must be the same message as the original.
"""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import kfp
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pipelines  # noqa: E402

TESTS = ["ir_pipelines::", "ir_building::", "argo_pipelines::"]

# Steps that are Python functions install their packages first; those of this interpreter have to do.
SHIM = """#!/bin/sh
case " $* " in *" -m pip "*|*" -m ensurepip "*) exit 0;; esac
exec {python} "$@"
"""


def messages(file):
    """What a file holds, as official messages; an unknown field is an error."""
    documents = [document for document in yaml.safe_load_all(file.read_text()) if document]
    if "pipeline_spec" in documents[0]:
        documents = [documents[0]["pipeline_spec"], documents[0]["platform_spec"]]
    pipeline = json_format.ParseDict(documents[0], spec.PipelineSpec())
    executors = {
        label: json_format.ParseDict(executor, spec.PipelineDeploymentConfig.ExecutorSpec())
        for label, executor in json_format.MessageToDict(pipeline.deployment_spec)["executors"].items()
    }
    # Compared as messages of their own, in which 1 and 1.0, or 1 and "1", are the same.
    pipeline.ClearField("deployment_spec")
    settings, whole = {}, None
    if len(documents) > 1:
        whole = json_format.ParseDict(documents[1], spec.PlatformSpec())
        for label, config in whole.platforms["kubernetes"].deployment_spec.executors.items():
            settings[label] = json_format.ParseDict(json_format.MessageToDict(config), kubernetes.KubernetesExecutorConfig())
        whole.platforms["kubernetes"].ClearField("deployment_spec")
    return pipeline, executors, settings, whole


def judge(file, original):
    written = messages(file)
    if original is not None and written != messages(original):
        return "is another pipeline than the original"
    if file.suffix == ".yaml":
        components.load_component_from_text(file.read_text())
    return None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tests = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory(prefix="formats-") as scratch:
        compiled, written, shim = (pathlib.Path(scratch, name) for name in ("compiled", "written", "bin"))
        for folder in (compiled, written, shim):
            folder.mkdir()
        pipelines.write(compiled)
        program = shim / "python3"
        program.write_text(SHIM.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        folders = [compiled, *(pathlib.Path(folder).resolve() for folder in sys.argv[2:])]
        environment = os.environ | {
            "KFP_PIPELINES": os.pathsep.join(map(str, folders)),
            "KFP_PIPELINES_WRITTEN": str(written),
            "KFP_PIPELINES_PATH": str(shim),
        }
        done = subprocess.run([tests, *TESTS], env=environment, cwd=root / "kfp-client", timeout=900, check=False)
        if done.returncode:
            return done.returncode
        originals = {file.stem: file for folder in folders for file in folder.glob("*.yaml")}
        own = {file.stem: file for file in (root / "kfp-client/tests/pipelines").glob("*.yaml")}
        status = 0
        files = sorted(written.iterdir())
        for file in files:
            # Those in the repository may have been compiled by an earlier version, and are written under the same name.
            original = originals.get(file.stem, own.get(file.stem))
            try:
                fault = judge(file, original)
            except (json_format.ParseError, ValueError, TypeError, KeyError) as error:
                fault = f"is refused: {error}"
            if fault:
                print(f"{file.name} {fault}")
                status = 1
        print(f"{len(files)} files written, judged by kfp {kfp.__version__}")
        return status if files else 1


if __name__ == "__main__":
    sys.exit(main())
