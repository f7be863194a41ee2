"""Starts the example programs for the tests of this folder: each with a time limit, none left behind.

The programs are taken from the folder EXAMPLES (default: target/debug/examples). Nothing here prints a secret, and
`run` fails a test whose program does.
"""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.environ.get("EXAMPLES") or os.path.join(
    os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "debug", "examples"
)
START_LIMIT = 30
RUN_LIMIT = 120
# A session cookie with a value, whatever the gateway.
COOKIE = re.compile(r"(?:authservice_session|oauth2_proxy_kubeflow\w*)=[\w%|+/.-]{8,}")


def program(name):
    path = os.path.join(EXAMPLES, name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"{path} has not been built")
    return path


def environment(**changes):
    """This process's environment without the settings that the programs read, plus `changes`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KUBEFLOW_", "MLFLOW_", "KFP_"))}
    return {**kept, **changes}


class Done:
    """A program that has ended."""

    def __init__(self, arguments, status, out, err, seconds):
        self.arguments, self.status, self.out, self.err, self.seconds = arguments, status, out, err, seconds

    @property
    def report(self):
        return json.loads(self.out)

    def __str__(self):
        return f"{' '.join(self.arguments)}\nstatus {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


class Service:
    """A program that says in its first line of standard output where it listens, and serves until it is ended."""

    def __init__(self, name, *flags, env=None):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.told, self.left = "", []
        # Its folder for temporary files is its own, so that what it leaves there can be told.
        self.folder = tempfile.mkdtemp(prefix=f"{name}-")
        self.process = subprocess.Popen(
            [program(name), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment(TMPDIR=self.folder, **(env or {})),
        )
        lines = queue.Queue()
        self.reader = threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True)
        self.reader.start()
        try:
            self.info = json.loads(lines.get(timeout=START_LIMIT))
        except (queue.Empty, ValueError) as error:
            self.info = {}
            self.stop()
            raise AssertionError(f"{name} {' '.join(flags)} did not say where it listens: {self.said()}") from error

    def __getattr__(self, key):
        try:
            return self.__dict__["info"][key]
        except KeyError:
            raise AttributeError(key) from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def said(self):
        if not self.log.closed:
            self.log.seek(0)
            self.told = self.log.read()
        return self.told

    def stop(self, how=signal.SIGINT):
        """Ends it; answers its exit status. `left` then names what it left in its folder for temporary files."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        if not self.log.closed:
            self.reader.join(10)
            self.process.stdout.close()
            self.said()
            self.log.close()
            self.left = sorted(os.listdir(self.folder))
            self.end_orphans()
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode

    def end_orphans(self):
        """A killed sandbox cannot end its steps, and what they still write would be left behind."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if not os.readlink(f"/proc/{pid}/cwd").startswith(self.folder + "/"):
                    continue
                os.kill(int(pid), signal.SIGKILL)
                until("the orphan is gone", lambda pid=pid: not os.path.exists(f"/proc/{pid}/cwd"), 10)
            except OSError:
                continue

    def flags(self, mlflow=True):
        """The flags by which a program reaches this sandbox."""
        reached = ["--kubeflow-url", self.url, "--username", self.username]
        return reached + (["--mlflow-uri", self.mlflow_url] if mlflow else [])


def sandbox(*flags):
    return Service("sandbox", "--port", "0", *flags)


def start(name, *flags, password=None, env=None):
    """Starts a program without waiting for it."""
    changes = dict(env or {})
    if password is not None:
        changes["KUBEFLOW_PASSWORD"] = password
    return subprocess.Popen(
        [program(name), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(**changes),
    )


def finish(process, limit=RUN_LIMIT, secrets=()):
    """Waits for a program and checks that it told no secret."""
    begin = time.monotonic()
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate(timeout=10)
        raise AssertionError(f"{process.args} did not end within {limit} s\n{out}\n{err}") from None
    done = Done([os.path.basename(process.args[0]), *process.args[1:]], process.returncode, out, err, time.monotonic() - begin)
    for secret in filter(None, secrets):
        assert secret not in out + err, f"a secret is in the output of {done.arguments}"
    assert not COOKIE.search(out + err), f"a cookie is in the output of {done.arguments}"
    return done


def run(name, *flags, password=None, env=None, limit=RUN_LIMIT):
    """Runs a program to its end."""
    return finish(start(name, *flags, password=password, env=env), limit, (password,))


class Answer:
    """An HTTP answer, whatever its status."""

    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self):
        return json.loads(self.text)


def http(method, url, body=None, headers=None, limit=20):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = dict(headers or {})
    if data is not None:
        sent.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(url, data=data, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=limit) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read().decode())


def until(what, check, limit=60):
    """The first true value of `check()`, which is asked again and again."""
    end = time.monotonic() + limit
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.1)


def kfp_run(box, run_id):
    """A run as the API server has it."""
    url = f"{box.kfp_direct_url.rstrip('/')}/apis/v2beta1/runs/{run_id}"
    answer = http("GET", url, headers={"kubeflow-userid": box.username})
    assert answer.status == 200, answer.text
    return answer.json


def mlflow_run(uri, run_id):
    answer = http("GET", f"{uri.rstrip('/')}/api/2.0/mlflow/runs/get?run_id={run_id}")
    assert answer.status == 200, answer.text
    return answer.json["run"]


def champion(uri, model):
    """The version that the alias `champion` names, or None."""
    answer = http("GET", f"{uri.rstrip('/')}/api/2.0/mlflow/registered-models/alias?name={model}&alias=champion")
    return answer.json["model_version"]["version"] if answer.status == 200 else None


class Repository:
    """The bundled model repository with some files changed, committed in a folder of its own."""

    def __init__(self, **changed):
        self.folder = tempfile.mkdtemp(prefix="model-")
        self.path = os.path.join(self.folder, "penguins")
        shutil.copytree(os.path.join(ROOT, "examples", "model-repository"), self.path)
        self.commit(**changed)

    def commit(self, **changed):
        """Commits the bundled files with these in place of theirs; answers the commit."""
        for name, text in changed.items():
            with open(os.path.join(self.path, f"{name}.py"), "w", encoding="utf-8") as out:
                out.write(text)
        if not os.path.isdir(os.path.join(self.path, ".git")):
            self.git("init", "--quiet", "--initial-branch=main", ".")
        self.git("add", "--all", "--force", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", "test")
        self.sha = self.git("rev-parse", "HEAD")
        return self.sha

    def git(self, *arguments):
        identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                    for what, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))}
        return subprocess.run(
            ["git", "-c", "commit.gpgsign=false", *arguments], cwd=self.path, check=True, timeout=30, text=True,
            capture_output=True, env=environment(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", **identity),
        ).stdout.strip()

    def flags(self):
        return ["--git-repository", self.path, "--git-sha", self.sha]

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    """Runs the tests of the calling file and closes with `N passed, M failed`; skipped ones are named."""
    result = unittest.main(module="__main__", exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    for test, reason in result.skipped:
        print(f"SKIP: {test}: {reason}")
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    if os.environ.get("CI") == "true" and skipped:
        sys.exit("a test was skipped, though everything that it needs can be had here")
    sys.exit(1 if failed else 0)
