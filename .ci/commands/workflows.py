"""The three workflows in a row, and what decides their figures and their end.

    python3 .ci/commands/workflows.py
"""

import os
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

FAILING = """
import sys
print("reading the rows", flush=True)
print("the loss is not a number", file=sys.stderr, flush=True)
sys.exit(1)
"""
ENDLESS = """
import os, time
print("training on and on, as process", os.getpid(), flush=True)
time.sleep(300)
"""


class InOneSandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.box = harness.sandbox()
        cls.addClassCleanup(cls.box.stop)

    def run_program(self, name, *flags, **more):
        return harness.run(name, *self.box.flags(), *flags, password=self.box.password, **more)

    def repository(self, **changed):
        made = harness.Repository(**changed)
        self.addCleanup(made.remove)
        return made

    def train(self, *flags):
        done = self.run_program("train", "--report", "json", *flags)
        self.assertEqual(done.status, 0, str(done))
        return done.report

    def test_train_evaluate_deploy_and_a_worse_model_that_is_refused(self):
        model = "in-a-row"
        for name in ("train", "evaluate", "deploy"):
            done = self.run_program(name, "--model-name", model)
            self.assertEqual(done.status, 0, str(done))
            self.assertIn("accuracy", done.out)
        deployed = harness.champion(self.box.mlflow_url, model)
        self.assertIsNotNone(deployed)

        worse = self.train("--model-name", model, "--param", "epochs=1", "--param", "learning_rate=0.0001")
        self.assertNotEqual(str(worse["model_version"]), deployed)
        done = self.run_program("deploy", "--model-name", model)
        self.assertEqual(done.status, 1, str(done))
        self.assertIn("accuracy", done.err)
        self.assertGreaterEqual(len(re.findall(r"0\.\d+", done.err)), 2, done.err)
        self.assertEqual(harness.champion(self.box.mlflow_url, model), deployed)

    def test_same_input_same_figures_and_other_input_other_figures(self):
        short = ("--param", "epochs=3")
        first, again = self.train(*short), self.train(*short)
        self.assertEqual(first["metrics"], again["metrics"])
        self.assertNotEqual(first["run_id"], again["run_id"])
        for other in (("--dataset-version", "v2"), ("--seed", "7"), ("--param", "learning_rate=0.01"), ("--train-split", "0.6")):
            with self.subTest(other):
                self.assertNotEqual(self.train(*short, *other)["metrics"], first["metrics"])

    def test_failing_step(self):
        code = self.repository(train=FAILING)
        done = self.run_program("train", *code.flags(), "--report", "json", "--experiment", "fails")
        self.assertEqual(done.status, 1, str(done))
        report = done.report
        self.assertEqual(report["state"], "failed")
        failed = [step["name"] for step in report["steps"] if step["state"] == "failed"]
        self.assertEqual(failed, [report["failure"]["step"]])
        self.assertIn(failed[0], done.err)
        self.assertIn("the loss is not a number", done.err)
        self.assertIn("reading the rows", done.err)
        self.assertEqual(harness.kfp_run(self.box, report["run_id"])["state"], "FAILED")
        self.assertEqual(harness.mlflow_run(self.box.mlflow_url, report["mlflow_run_id"])["info"]["status"], "FAILED")

    def test_interrupt_cancels(self):
        code = self.repository(train=ENDLESS)
        process = harness.start(
            "train", *self.box.flags(), *code.flags(), "--report", "json", "--experiment", "endless",
            password=self.box.password,
        )
        pid = harness.until("the step runs", lambda: self.running_step(process), 60)
        process.send_signal(signal.SIGINT)
        done = harness.finish(process, 60, (self.box.password,))
        self.assertEqual(done.status, 1, str(done))
        self.assertRegex(done.err.lower(), "cancel")
        self.assertEqual(done.report["state"], "cancelled")
        run = harness.kfp_run(self.box, done.report["run_id"])
        self.assertEqual(run["state"], "FAILED")
        self.assertIn("CANCELING", [change["state"] for change in run["state_history"]])
        self.assertEqual(harness.mlflow_run(self.box.mlflow_url, done.report["mlflow_run_id"])["info"]["status"], "KILLED")
        harness.until("the step's process is gone", lambda: not os.path.exists(f"/proc/{pid}"), 20)

    def test_interrupt_at_any_moment_leaves_no_open_record(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            for moment in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
                with self.subTest(how=how, moment=moment):
                    process = harness.start(
                        "train", *self.box.flags(), "--experiment", "interrupted", password=self.box.password
                    )
                    # The point is the moment itself, which nothing outside the program marks.
                    time.sleep(moment)
                    process.send_signal(how)
                    done = harness.finish(process, 60, (self.box.password,))
                    # Before the program listens, the system ends it, and nothing has been sent yet.
                    self.assertIn(done.status, (1, -how), str(done))
        url = f"{self.box.mlflow_url.rstrip('/')}/api/2.0/mlflow"
        found = harness.http("GET", f"{url}/experiments/get-by-name?experiment_name=interrupted")
        self.assertEqual(found.status, 200, found.text)
        body = {"experiment_ids": [found.json["experiment"]["experiment_id"]], "max_results": 100}
        runs = harness.http("POST", f"{url}/runs/search", body).json.get("runs", [])
        self.assertEqual({run["info"]["status"] for run in runs}, {"KILLED"}, runs)

    def running_step(self, process):
        """Process id of the endless step, once it is there: its program is called by its path in a fresh checkout."""
        if process.poll() is not None:
            self.fail(f"train ended: {process.communicate()}")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as source:
                    words = source.read().split("\0")
            except OSError:
                continue
            if "python" in words[0] and any(word.endswith("train.py") for word in words) and self.of_this_box(pid):
                return pid
        return None

    def of_this_box(self, pid):
        """Whether a process descends from this test's sandbox."""
        while pid not in ("0", "1", ""):
            if int(pid) == self.box.process.pid:
                return True
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as source:
                    pid = source.read().rsplit(")", 1)[1].split()[1]
            except OSError:
                return False
        return False

    def test_a_run_that_nobody_waits_for_is_finished_all_the_same(self):
        begin = time.monotonic()
        report = self.train("--no-wait", "--param", "epochs=4")
        self.assertLess(time.monotonic() - begin, 20)
        self.assertNotIn(report["state"], ("failed", "cancelled"))
        harness.until(
            "the run is over", lambda: harness.kfp_run(self.box, report["run_id"]).get("state") == "SUCCEEDED", 90
        )
        tracked = harness.until(
            "MLflow says so",
            lambda: (lambda run: run["info"]["status"] == "FINISHED" and run)(
                harness.mlflow_run(self.box.mlflow_url, report["mlflow_run_id"])
            ),
            20,
        )
        self.assertTrue(tracked["data"].get("metrics"))

    def test_local_engine(self):
        done = harness.run("train", "--engine", "local", "--report", "json", "--param", "epochs=3")
        self.assertEqual(done.status, 0, str(done))
        self.assertEqual(done.report["metrics"], self.train("--param", "epochs=3")["metrics"])

    def test_without_mlflow_the_training_is_done_all_the_same(self):
        done = harness.run(
            "train", *self.box.flags(mlflow=False), "--report", "json", "--param", "epochs=3", password=self.box.password
        )
        self.assertEqual(done.status, 0, str(done))
        self.assertIsNone(done.report["mlflow_run_id"])

    def test_the_sandbox_of_its_own_has_the_namespace_that_was_named(self):
        done = harness.run("train", "--namespace", "team-x", "--report", "json", "--param", "epochs=1")
        self.assertEqual(done.status, 0, str(done))
        self.assertEqual(done.report["namespace"], "team-x")

    def test_a_kubeflow_that_is_gone_is_told_and_not_waited_for(self):
        code = self.repository(train=ENDLESS)
        with harness.sandbox() as box:
            process = harness.start(
                "train", *box.flags(mlflow=False), *code.flags(), "--report", "json", password=box.password
            )
            harness.until("it runs", lambda: self.any_running(box), 60)
            box.stop(signal.SIGKILL)
            done = harness.finish(process, 90, (box.password,))
        self.assertEqual(done.status, 3, str(done))
        self.assertIn("could not be", done.err)
        self.assertEqual(done.report["state"], "unknown")

    def test_an_interrupt_that_does_not_reach_its_kubeflow_still_gives_a_report(self):
        code = self.repository(train=ENDLESS)
        with harness.sandbox() as box:
            process = harness.start(
                "train", *box.flags(mlflow=False), *code.flags(), "--report", "json", password=box.password
            )
            harness.until("it runs", lambda: self.any_running(box), 60)
            box.stop(signal.SIGKILL)
            process.send_signal(signal.SIGINT)
            done = harness.finish(process, 60, (box.password,))
        self.assertEqual(done.status, 3, str(done))
        self.assertIn("was not cancelled", done.err)
        self.assertIn("could not be reached", done.err)
        self.assertIn(done.report["state"], ("pending", "running"))

    @staticmethod
    def any_running(box):
        url = f"{box.kfp_direct_url.rstrip('/')}/apis/v2beta1/runs?namespace={box.namespace}"
        runs = harness.http("GET", url, headers={"kubeflow-userid": box.username}).json.get("runs", [])
        return any(run["state"] == "RUNNING" for run in runs)

    def test_login(self):
        done = harness.run("login", "--url", self.box.url, "--username", self.box.username, password=self.box.password)
        self.assertEqual(done.status, 0, str(done))
        cookie = done.report
        self.assertEqual(cookie["kind"], "cookie")
        self.assertRegex(cookie["expires_at"] or "2000-01-01T", r"^\d{4}-\d\d-\d\dT")
        answer = harness.http(
            "GET", f"{self.box.kfp_url.rstrip('/')}/apis/v2beta1/healthz",
            headers={"Cookie": f"{cookie['name']}={cookie['value']}"},
        )
        self.assertEqual(answer.status, 200, answer.text)
        self.assertTrue(answer.json)

    def test_no_secret_in_a_trace(self):
        # `run` looks for the password and for cookies in whatever is written.
        done = self.run_program("train", "--param", "epochs=1", env={"RUST_LOG": "trace"})
        self.assertEqual(done.status, 0, done.err[-2000:])


if __name__ == "__main__":
    harness.main()
