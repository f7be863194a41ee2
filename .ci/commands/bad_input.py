"""Bad input: the exit status tells whose turn it is, and the message what to change.

    python3 .ci/commands/bad_input.py
"""

import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

FAILED, USAGE, SERVICE = 1, 2, 3
NO_SUCH_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.box = harness.sandbox()
        cls.addClassCleanup(cls.box.stop)

    def ends(self, status, *flags, says=(), name="train", password=None, **more):
        done = harness.run(name, *flags, password=self.box.password if password is None else password, **more)
        self.assertEqual(done.status, status, str(done))
        for text in says:
            self.assertIn(text.lower(), done.err.lower(), str(done))
        self.assertEqual(done.out if status != FAILED else "", "")
        self.assertNotIn("panicked", done.err)
        return done

    def runs(self):
        url = f"{self.box.kfp_direct_url.rstrip('/')}/apis/v2beta1/runs?namespace={self.box.namespace}&page_size=100"
        return len(harness.http("GET", url, headers={"kubeflow-userid": self.box.username}).json.get("runs", []))

    def test_refused_before_anything_is_sent(self):
        before = self.runs()
        sha = ("--git-sha", NO_SUCH_COMMIT)
        for flags, says in (
            (("--train-split", "1.2"), ["split"]),
            (("--train-split", "0"), ["split"]),
            (("--train-split", "-0.5"), ["split"]),
            (("--train-split", "NaN"), ["split"]),
            (("--git-repository", "", *sha), ["git"]),
            (("--git-repository", "https://git.example.com/fraud.git"), ["--git-sha"]),
            (("--git-repository", "https://git.example.com/fraud.git", "--git-sha", "main"), ["sha"]),
            (("--git-repository", "https://git.example.com/fraud.git", "--git-sha=--upload-pack=touch"), ["sha"]),
            (("--git-repository", "/no/such/folder", *sha), ["--git-repository", "no such folder"]),
            (("--git-repository", "no-such-folder", *sha), ["--git-repository", "no such folder"]),
            (("--git-repository", "file:///no/such/folder", *sha), ["--git-repository", "no such folder"]),
            (("--dataset-version", ""), ["dataset"]),
            (("--dataset-version", "../v1"), ["dataset"]),
            (("--env", "FOO"), ["--env"]),
            (("--env", "1 BAD=x"), ["1 bad"]),
            (("--param", "=1"), ["--param"]),
            (("--param", "epochs=1", "--param", "epochs=2"), ["--param epochs", "twice"]),
            (("--env", "A=1", "--env", "A=2"), ["--env a", "twice"]),
        ):
            with self.subTest(flags):
                self.ends(USAGE, *self.box.flags(), *flags, says=says)
        self.assertEqual(self.runs(), before)

    def test_flags_that_the_parser_refuses(self):
        for flags in (
            ("--engine", "airflow"), ("--report", "yaml"), ("--no-such-flag",), ("--train-split", "many"), ("--seed", "-1"),
            ("--username", "somebody"), ("a-word",),
        ):
            with self.subTest(flags):
                self.ends(USAGE, *flags)
        self.ends(USAGE, "--model-version", "0", name="deploy")
        self.ends(USAGE, "--release", "1.0", name="sandbox")
        self.ends(USAGE, "--session-ttl", "0", name="sandbox")
        self.ends(USAGE, name="login")
        self.ends(USAGE, "--listen", "0.0.0.0:0", name="server", says=["loopback"])

    def test_bad_flags_are_told_before_anybody_is_asked(self):
        nobody = ("--kubeflow-url", f"http://127.0.0.1:{unused_port()}", "--username", "u@example.com")
        for name in ("train", "evaluate", "deploy"):
            with self.subTest(name):
                self.ends(USAGE, *nobody, "--train-split", "1.2", name=name, says=["split"])
        self.ends(USAGE, *nobody, "--gate-tolerance", "-1", name="deploy", says=["tolerance"])

    def test_a_sandbox_for_a_namespace_that_cannot_be(self):
        for namespace in ("", "Team A", "a-"):
            with self.subTest(namespace):
                self.ends(USAGE, "--namespace", namespace, name="sandbox", says=["namespace"])

    def test_the_exit_status_is_told_when_nobody_reads(self):
        reading, writing = os.pipe()
        os.close(reading)
        command = [harness.program("train"), "--train-split", "1.2"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, timeout=30)
        os.close(writing)
        self.assertEqual(done.returncode, USAGE)

    def test_no_wait_needs_a_kubeflow(self):
        self.ends(USAGE, "--no-wait", says=["--kubeflow-url"])

    def test_unknown_commit_fails_the_run(self):
        done = self.ends(FAILED, *self.box.flags(), "--git-sha", NO_SUCH_COMMIT, says=[NO_SUCH_COMMIT])
        self.assertIn("failed", done.out)

    def test_unknown_dataset_version_fails_the_run(self):
        self.ends(FAILED, *self.box.flags(), "--dataset-version", "v99", says=["v99"])

    def test_wrong_password(self):
        for release in ("1.8", "1.11"):
            with self.subTest(release), harness.sandbox("--release", release) as box:
                for name, flags in (("train", box.flags()), ("login", ["--url", box.url, "--username", box.username])):
                    self.ends(SERVICE, *flags, name=name, password="not-the-password", says=["KUBEFLOW_PASSWORD"])

    def test_no_password(self):
        done = harness.run("train", *self.box.flags())
        self.assertEqual(done.status, USAGE, str(done))
        self.assertIn("KUBEFLOW_PASSWORD", done.err)

    def test_nobody_there(self):
        url = f"http://127.0.0.1:{unused_port()}"
        done = self.ends(SERVICE, "--kubeflow-url", url, "--username", "u@example.com", limit=60)
        self.assertLess(done.seconds, 40)
        self.ends(SERVICE, "--url", url, "--username", "u@example.com", name="login", limit=60)

    def test_not_a_kubeflow(self):
        # An MLflow answers, but not with a login.
        self.ends(SERVICE, "--kubeflow-url", self.box.mlflow_url, "--username", "u@example.com", limit=60)

    def test_not_an_address(self):
        for url in ("", "kubeflow", "ftp://kubeflow.example.com", "http://"):
            with self.subTest(url):
                self.ends(USAGE, "--kubeflow-url", url, "--username", "u@example.com")

    def test_foreign_namespace(self):
        says = ["the namespace team-b", "name another one", "ask its owner"]
        self.ends(SERVICE, *self.box.flags(), "--namespace", "team-b", says=says)

    def test_a_file_that_holds_no_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ca.pem")
            for text in ("", "hello", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"):
                with self.subTest(text):
                    with open(path, "w", encoding="utf-8") as out:
                        out.write(text)
                    says = [f"--ca-file {path}", "certificate"]
                    self.ends(USAGE, *self.box.flags(), "--ca-file", path, says=says)
                    login = ("--url", self.box.url, "--username", self.box.username)
                    self.ends(USAGE, *login, "--ca-file", path, name="login", says=says)

    def test_no_model_to_evaluate(self):
        self.ends(USAGE, *self.box.flags(), "--model-name", "never-trained", name="evaluate", says=["never-trained"])

    def test_taken_port(self):
        port = self.box.url.rstrip("/").rsplit(":", 1)[1]
        self.ends(USAGE, "--port", port, name="sandbox", says=[port])


if __name__ == "__main__":
    harness.main()
