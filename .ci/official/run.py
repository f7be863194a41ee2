"""The official Python clients see what `train` did: kfp 2.x through the gateway with the cookie of `login`, and mlflow.

    VENV/bin/python .ci/official/run.py        # VENV has kfp 2.x and mlflow
"""

import os
import subprocess
import sys
import tempfile
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

# Both clients keep files in the home folder; this one is thrown away.
HOME = tempfile.TemporaryDirectory(prefix="home-")
os.environ["HOME"] = HOME.name
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import kfp  # noqa: E402
import mlflow  # noqa: E402

SUCCEEDED = "SUCCEEDED"
# A real MLflow server, if there is one.
REAL = os.environ.get("MLFLOW_TEST_URI")


class AsTheClientsSeeIt:
    """One trained model in a sandbox of one release."""

    flags = ()
    mlflow_uri = None

    @classmethod
    def setUpClass(cls):
        cls.box = harness.sandbox(*cls.flags)
        cls.addClassCleanup(cls.box.stop)
        uri = cls.mlflow_uri or cls.box.mlflow_url
        cls.reached = [*cls.box.flags(mlflow=False), "--mlflow-uri", uri]
        done = harness.run("train", *cls.reached, "--param", "epochs=5", "--report", "json", password=cls.box.password)
        assert done.status == 0, str(done)
        cls.report = done.report
        cls.mlflow = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        cls.tracked = cls.mlflow.get_run(cls.report["mlflow_run_id"])

    def kfp(self):
        """The official client, with a session that `login` has just got."""
        done = harness.run("login", "--url", self.box.url, "--username", self.box.username, password=self.box.password)
        self.assertEqual(done.status, 0, done.err)
        cookie = done.report
        self.assertEqual(cookie["kind"], "cookie")
        return kfp.Client(
            host=self.box.kfp_url, cookies=f"{cookie['name']}={cookie['value']}", namespace=self.box.namespace
        )

    def test_report(self):
        self.assertEqual(self.report["state"], "succeeded")
        self.assertEqual(self.report["namespace"], self.box.namespace)
        self.assertTrue(self.report["metrics"])
        self.assertTrue(self.report["steps"])

    def test_kfp_run_state_and_tasks(self):
        run = self.kfp().get_run(self.report["run_id"])
        self.assertEqual(run.state, SUCCEEDED)
        self.assertIsNone(run.error)
        tasks = {task.display_name: task.state for task in run.run_details.task_details}
        for step in self.report["steps"]:
            if step["state"] == "succeeded":
                self.assertEqual(tasks.get(step["name"]), SUCCEEDED, tasks)
        # A pipeline that this client can read back: what was submitted is the standard format.
        self.assertIn("root", run.pipeline_spec.get("pipeline_spec", run.pipeline_spec))

    def test_kfp_lists_the_run(self):
        client = self.kfp()
        listed = client.list_runs(page_size=50, namespace=self.box.namespace).runs
        self.assertEqual([run.state for run in listed if run.run_id == self.report["run_id"]], [SUCCEEDED])
        experiment = client.get_run(self.report["run_id"]).experiment_id
        self.assertEqual(client.get_experiment(experiment_id=experiment).namespace, self.box.namespace)

    def test_mlflow_status_metrics_and_parameters(self):
        self.assertEqual(self.tracked.info.status, "FINISHED")
        self.assertEqual(self.tracked.info.experiment_id, self.report["experiment_id"])
        self.assertEqual(self.tracked.data.metrics, self.report["metrics"])
        self.assertIn("accuracy", " ".join(self.tracked.data.metrics))
        self.assertEqual(
            {name: value for name, value in self.tracked.data.params.items() if name == "epochs"}, {"epochs": "5"}
        )

    def test_mlflow_tags_name_code_and_engine_run(self):
        tags = self.tracked.data.tags
        self.assertEqual(tags["mlflow.source.git.commit"], self.report["git_sha"])
        self.assertEqual(tags["mlflow.source.git.repoURL"], self.report["git_repository"])
        self.assertIn(self.report["run_id"], tags.values())

    def test_mlflow_dataset_input(self):
        inputs = self.tracked.inputs.dataset_inputs
        self.assertTrue(inputs)
        told = " ".join(
            [i.dataset.name + i.dataset.source + i.dataset.digest + "".join(t.value for t in i.tags) for i in inputs]
        )
        self.assertIn(self.report["dataset_version"], told + " ".join(self.tracked.data.params.values()))

    def test_mlflow_model_version(self):
        version = self.mlflow.get_model_version(self.report["model_name"], str(self.report["model_version"]))
        self.assertEqual(version.run_id, self.report["mlflow_run_id"])
        self.assertEqual(version.status, "READY")

    def test_mlflow_search_finds_the_run(self):
        found = self.mlflow.search_runs(
            [self.report["experiment_id"]], f"tags.`mlflow.source.git.commit` = '{self.report['git_sha']}'"
        )
        self.assertIn(self.report["mlflow_run_id"], [run.info.run_id for run in found])


class Release111(AsTheClientsSeeIt, unittest.TestCase):
    flags = ("--release", "1.11")


class Release19(AsTheClientsSeeIt, unittest.TestCase):
    flags = ("--release", "1.9")


class Release18(AsTheClientsSeeIt, unittest.TestCase):
    flags = ("--release", "1.8")


if REAL:

    class RealMlflow(AsTheClientsSeeIt, unittest.TestCase):
        """The same, recorded by a real MLflow server."""

        mlflow_uri = REAL

        def test_evaluate_and_deploy(self):
            for name in ("evaluate", "deploy"):
                done = harness.run(name, *self.reached, "--report", "json", password=self.box.password)
                self.assertEqual(done.status, 0, str(done))
            version = self.mlflow.get_model_version_by_alias(done.report["model_name"], "champion").version
            self.assertEqual(str(version), str(done.report["model_version"]))


class MlflowClientAgainstTheFake(unittest.TestCase):
    """What the official client does with a real server it does with the fake, too."""

    def test_drive(self):
        with harness.sandbox("--simulate") as box:
            drive = os.path.join(harness.ROOT, "mlflow-client", "tests", "python", "drive.py")
            done = subprocess.run(
                [sys.executable, drive, box.mlflow_url], capture_output=True, text=True, timeout=300,
                stdin=subprocess.DEVNULL, env=harness.environment(),
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class SessionsThatEndDuringTheRun(unittest.TestCase):
    """A session lives one second, a run several: it is renewed on the way, and nothing is submitted twice."""

    def check(self, release):
        with harness.sandbox("--release", release, "--session-ttl", "1") as box:
            done = harness.run(
                "train", *box.flags(), "--experiment", f"renewed-{uuid.uuid4()}", "--report", "json", password=box.password
            )
            self.assertEqual(done.status, 0, str(done))
            self.assertEqual(done.report["state"], "succeeded")
            identity = {"kubeflow-userid": box.username}
            url = f"{box.kfp_direct_url.rstrip('/')}/apis/v2beta1/runs?namespace={box.namespace}&page_size=100"
            self.assertEqual([run["state"] for run in harness.http("GET", url, headers=identity).json["runs"]], [SUCCEEDED])
            client = mlflow.MlflowClient(tracking_uri=box.mlflow_url)
            runs = client.search_runs([done.report["experiment_id"]])
            self.assertEqual([run.info.run_id for run in runs], [done.report["mlflow_run_id"]])

    def test_release_1_8(self):
        self.check("1.8")

    def test_release_1_11(self):
        self.check("1.11")


if __name__ == "__main__":
    harness.main()
