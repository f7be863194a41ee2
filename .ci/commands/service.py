"""The same over HTTP: the program `server` in front of a sandbox.

    python3 .ci/commands/service.py
"""

import os
import signal
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

ENDLESS = "import time\ntime.sleep(300)\n"
FINAL = ("succeeded", "failed", "cancelled")


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.box = harness.sandbox()
        cls.addClassCleanup(cls.box.stop)
        cls.server = harness.Service(
            "server", "--listen", "127.0.0.1:0", *cls.box.flags(), env={"KUBEFLOW_PASSWORD": cls.box.password}
        )
        cls.addClassCleanup(cls.server.stop)

    def http(self, method, path, body=None, **more):
        return harness.http(method, self.server.url + path, body, **more)

    def body(self, **more):
        wanted = {
            "git_repository": self.server.git_repository, "git_sha": self.server.git_sha, "dataset_version": "v1",
            "train_split": 0.8,
        }
        return {**wanted, **more}

    def post(self, path, body):
        answer = self.http("POST", path, body)
        self.assertEqual(answer.status, 202, answer.text)
        self.assertEqual(answer.headers["Location"], f"/runs/{answer.json['id']}")
        return answer.headers["Location"]

    def end(self, location):
        return harness.until(
            f"{location} ends", lambda: (lambda run: run["state"] in FINAL and run)(self.http("GET", location).json), 90
        )

    def problem(self, answer, status):
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json["status"], status)
        self.assertTrue(answer.json["title"])
        self.assertTrue(answer.json["detail"])
        self.assertNotIn(self.box.password, answer.text)
        return answer.json

    def test_train_evaluate_deploy_and_a_worse_model_that_is_refused(self):
        model = {"model_name": "over-http"}
        trained = self.end(self.post("/train", self.body(**model)))
        self.assertEqual(trained["state"], "succeeded", trained)
        self.assertTrue(trained["metrics"])
        version = {**model, "model_version": trained["model_version"]}
        for path in ("/evaluate", "/deploy"):
            ended = self.end(self.post(path, self.body(**version)))
            self.assertEqual(ended["state"], "succeeded", ended)
        champion = harness.champion(self.box.mlflow_url, "over-http")
        self.assertEqual(champion, str(trained["model_version"]))

        worse = self.end(
            self.post("/train", self.body(**model, parameters={"epochs": "1", "learning_rate": "0.0001"}))
        )
        refused = self.end(self.post("/deploy", self.body(**model, model_version=worse["model_version"])))
        self.assertEqual(refused["state"], "failed", refused)
        self.assertIn("accuracy", refused["failure"]["message"] + " ".join(refused["failure"]["log"]))
        self.assertEqual(harness.champion(self.box.mlflow_url, "over-http"), champion)
        listed = self.http("GET", "/runs?limit=2").json["runs"]
        self.assertEqual([run["id"] for run in listed], [refused["id"], worse["id"]])

    def test_cancel(self):
        code = harness.Repository(train=ENDLESS)
        self.addCleanup(code.remove)
        location = self.post("/train", self.body(git_repository=f"file://{code.path}", git_sha=code.sha))
        harness.until("it runs", lambda: self.http("GET", location).json["state"] == "running", 30)
        answer = self.http("POST", f"{location}/cancel")
        self.assertEqual(answer.status, 202, answer.text)
        ended = self.end(location)
        self.assertEqual(ended["state"], "cancelled", ended)
        self.assertEqual(harness.mlflow_run(self.box.mlflow_url, ended["mlflow_run_id"])["info"]["status"], "KILLED")

    def test_every_bad_field_is_named(self):
        problem = self.problem(
            self.http("POST", "/train", {"git_repository": "", "git_sha": "main", "train_split": 1.2, "surprise": 1}), 422
        )
        told = str(problem["errors"])
        for field in ("git_repository", "git_sha", "dataset_version", "train_split", "surprise"):
            self.assertIn(field, told)
        self.assertGreaterEqual(len(problem["errors"]), 5)

    def test_broken_json_and_other_bodies(self):
        self.problem(self.http("POST", "/train", b'{"git_sha": '), 400)
        self.problem(self.http("POST", "/train", b"\xff\xfe"), 400)
        self.problem(self.http("POST", "/train", b""), 400)
        self.problem(self.http("POST", "/train", b"a=b", headers={"Content-Type": "text/plain"}), 415)
        self.problem(self.http("POST", "/train", b"[]"), 422)
        self.problem(self.http("POST", "/train", b'"' + b"x" * 2_000_000 + b'"'), 413)
        self.problem(self.http("POST", "/train", b"[" * 100_000), 400)

    def test_a_body_that_is_announced_as_too_long_is_not_waited_for(self):
        host, port = self.server.url.removeprefix("http://").rsplit(":", 1)
        head = "POST /train HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head.encode())
            self.assertRegex(connection.recv(1000).decode(), r"^HTTP/1\.1 413 ")

    def test_a_name_that_is_given_twice(self):
        for body, name in (
            (b'{"git_sha": "a", "git_sha": "b"}', "/git_sha"),
            (b'{"environment": {"A": "1", "A": "2"}}', "/environment/A"),
            (b'{"parameters": {"rate": 1, "rate": 2}}', "/parameters/rate"),
        ):
            with self.subTest(body):
                problem = self.problem(self.http("POST", "/train", body), 422)
                self.assertEqual([error["pointer"] for error in problem["errors"]], [name])

    def test_unknown_things(self):
        self.problem(self.http("GET", "/runs/01890000-0000-7000-8000-000000000000"), 404)
        self.problem(self.http("GET", "/runs/%2e%2e%2f"), 404)
        self.problem(self.http("POST", "/runs/none/cancel"), 404)
        self.problem(self.http("GET", "/nowhere"), 404)
        self.problem(self.http("GET", "/train"), 405)
        self.problem(self.http("GET", "/runs?limit=many"), 400)

    def test_health(self):
        self.assertEqual(self.http("GET", "/healthz").status, 200)
        self.assertEqual(self.http("GET", "/readyz").status, 200)


class WhenThingsEnd(unittest.TestCase):
    def test_not_ready_without_its_kubeflow_and_still_alive(self):
        with harness.sandbox() as box:
            flags = ["--listen", "127.0.0.1:0", *box.flags()]
            with harness.Service("server", *flags, env={"KUBEFLOW_PASSWORD": box.password}) as server:
                box.stop(signal.SIGKILL)
                self.assertEqual(harness.http("GET", f"{server.url}/readyz", limit=60).status, 503)
                self.assertEqual(harness.http("GET", f"{server.url}/healthz").status, 200)
                self.assertEqual(server.stop(), 0)
                self.assertNotIn(box.password, server.said())

    def test_a_cancellation_that_its_kubeflow_does_not_hear_of_is_none(self):
        code = harness.Repository(train=ENDLESS)
        self.addCleanup(code.remove)
        with harness.sandbox() as box:
            flags = ["--listen", "127.0.0.1:0", *box.flags(mlflow=False)]
            with harness.Service("server", *flags, env={"KUBEFLOW_PASSWORD": box.password}) as server:
                body = {"git_repository": f"file://{code.path}", "git_sha": code.sha, "dataset_version": "v1"}
                location = f"{server.url}/runs/{harness.http('POST', f'{server.url}/train', body).json['id']}"
                harness.until("it runs", lambda: harness.http("GET", location).json["state"] == "running", 30)
                box.stop(signal.SIGKILL)
                answer = harness.http("POST", f"{location}/cancel", limit=60)
                self.assertEqual(answer.status, 503, answer.text)
                self.assertIn(harness.http("GET", location).json["state"], ("running", "unknown"))

    def test_a_run_outlives_a_killed_server(self):
        with harness.sandbox() as box:
            flags = ["--listen", "127.0.0.1:0", *box.flags()]
            with harness.Service("server", *flags, env={"KUBEFLOW_PASSWORD": box.password}) as server:
                body = {"git_repository": server.git_repository, "git_sha": server.git_sha, "dataset_version": "v1"}
                run = harness.http("POST", f"{server.url}/train", body).json
                server.stop(signal.SIGKILL)
            harness.until("the run is over", lambda: harness.kfp_run(box, run["run_id"])["state"] == "SUCCEEDED", 90)
            status = harness.mlflow_run(box.mlflow_url, run["mlflow_run_id"])["info"]["status"]
            self.assertEqual(status, "FINISHED")

    def test_sandbox_and_server_end_at_once_when_told(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(how):
                for started in (harness.sandbox(), harness.Service("server", "--listen", "127.0.0.1:0")):
                    self.assertEqual(started.stop(how), 0, started.said())
                    self.assertEqual(started.left, [])

    def test_a_sandbox_that_ran_something_leaves_nothing(self):
        with harness.sandbox() as box:
            done = harness.run("train", *box.flags(), "--param", "epochs=1", password=box.password)
            self.assertEqual(done.status, 0, str(done))
        self.assertEqual(box.left, [])


if __name__ == "__main__":
    harness.main()
