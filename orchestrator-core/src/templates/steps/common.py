"""Prelude of every step: it is put in front of the step's own text and run as one `python3 -c` program.

Python 3.9 and its standard library only. Steps read directories, write one new directory, may be run
again at any time, and end with status 1 and one `error: ...` line when they cannot do their work.
No step's text may hold two braces in a row: workflow engines would take them for a placeholder.
"""
import sys

sys.path[:] = [p for p in sys.path if p]  # a checkout in the working directory must not shadow the library

import argparse, base64, http.client, json, math, os, re, shlex, shutil, signal, ssl, subprocess, tarfile, tempfile, time  # noqa: E401
import urllib.error, urllib.parse, urllib.request  # noqa: E401



def say(text):
    print(text, flush=True)


def die(text):
    print("error: " + " ".join(str(text).split()), file=sys.stderr, flush=True)
    sys.exit(1)


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        die(message)


def run(main):
    """Calls main(); failures of the outside world become one line instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # lets temporary directories be removed
    try:
        main()
    except (ApiError, OSError) as problem:
        die(problem)


def fresh(path):
    """An empty output directory, also when an earlier attempt left files in it."""
    os.makedirs(path, exist_ok=True)
    for entry in os.scandir(path):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    return os.path.abspath(path)


def write_json(path, value):
    with open(path + ".part", "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2, sort_keys=True)
        out.write("\n")
    os.replace(path + ".part", path)


def read_json(path, what):
    try:
        with open(path, encoding="utf-8") as source:
            return json.load(source)
    except (OSError, ValueError, RecursionError) as problem:
        die("%s cannot be read: %s" % (what, problem))


# --- tracking -------------------------------------------------------------------------------------


class ApiError(Exception):
    """An answer of the tracking server; status 0 means that none came."""

    def __init__(self, status, code, text):
        super().__init__(text)
        self.status, self.code = status, code

    def unreachable(self):
        """Whether the server may take the same later. A wrong setting is no matter of time."""
        return self.code == "UNREACHABLE" or self.status in (429, 502, 503, 504) or "QueuePool limit" in str(self)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):  # urllib would send the credentials along to the new host
        return None


class Tracking:
    """The run named by MLFLOW_TRACKING_URI and MLFLOW_RUN_ID, over plain REST."""

    def __init__(self):
        env = os.environ
        self.uri, self.run_id = env["MLFLOW_TRACKING_URI"].rstrip("/"), env.get("MLFLOW_RUN_ID", "")
        parts = urllib.parse.urlsplit(self.uri)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ApiError(0, "", "MLFLOW_TRACKING_URI must be an http or https address without a user or password in it")
        user, token = env.get("MLFLOW_TRACKING_USERNAME"), env.get("MLFLOW_TRACKING_TOKEN")
        self.headers = {"User-Agent": "orchestrator-step"}
        if user:
            pair = "%s:%s" % (user, env.get("MLFLOW_TRACKING_PASSWORD", ""))
            self.headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif token:
            self.headers["Authorization"] = "Bearer " + token
        # As the official client reads it: seconds of the first pause, each further one is twice as long.
        factor = float(env.get("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR") or 1)
        self.pauses = [factor, 2 * factor, 4 * factor, 8 * factor, None]
        tls = ssl.create_default_context(cafile=env.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
        if env.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=tls))

    def send(self, method, path, query=None, body=None, file=None, into=None, again=True):
        """One request. Waits at most 60 s for each read; five attempts unless `again` is false."""
        url = self.uri + path + ("?" + urllib.parse.urlencode(query) if query else "")
        for wait in self.pauses if again else (None,):
            headers, data = dict(self.headers), None
            if body is not None:
                data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
            if file:
                data, headers["Content-Length"] = open(file, "rb"), str(os.path.getsize(file))
                headers["Content-Type"] = "application/octet-stream"
            request = urllib.request.Request(url, data=data, headers=headers, method=method)
            try:
                # The limit is above the 30 s for which a server stalls before it reports a full pool.
                with self.opener.open(request, timeout=60) as answer:
                    if into:
                        with open(into, "wb") as out:
                            return shutil.copyfileobj(answer, out, 1 << 20)
                    return self.decode(answer.read(), file)
            except urllib.error.HTTPError as answer:
                problem = self.problem(answer, method, path)
                full = problem.status == 400 and "QueuePool limit" in str(problem)
                if wait is None or not (full or problem.status in (429, 502, 503, 504)):
                    raise problem from None
                after = answer.headers.get("Retry-After", "")
                wait = max(wait, min(int(after), 30) if after.isdigit() else 0)
            except (OSError, http.client.HTTPException, ValueError) as problem:
                if wait is None or isinstance(problem, ValueError):
                    text = "the tracking server %s could not be reached: %s" % (self.uri, problem)
                    raise ApiError(0, "" if isinstance(problem, ValueError) else "UNREACHABLE", text) from None
            finally:
                if file:
                    data.close()
            time.sleep(wait)

    def decode(self, text, file):
        try:
            return {} if file else json.loads(text)
        except ValueError:
            raise ApiError(200, "", "%s answered something else than JSON (a login page?): check "
                           "MLFLOW_TRACKING_URI and the credentials" % self.uri) from None

    def problem(self, answer, method, path):
        text = answer.read(4096).decode("utf-8", "replace")
        try:
            fields = json.loads(text)
            code, text = str(fields.get("error_code", "")), str(fields.get("message", text))
        except (ValueError, AttributeError):
            code = ""
        hint = " (check the MLflow credentials)" * (answer.code == 401) or " (a login page?)" * (300 <= answer.code < 400)
        return ApiError(answer.code, code, "%s %s: status %d%s: %s" % (method, path, answer.code, hint, text[:300]))

    def get(self, call, **query):
        return self.send("GET", "/api/2.0/mlflow/" + call, query=query)

    def post(self, call, again=True, **body):
        return self.send("POST", "/api/2.0/mlflow/" + call, body=body, again=again)

    def run_info(self):
        return self.get("runs/get", run_id=self.run_id)["run"]

    def log(self, metrics=None, tags=None):
        """Metrics the run has with this very value are left out, so that a second attempt adds no point."""
        metrics = dict(metrics or {})
        if metrics:
            for known in self.run_info().get("data", {}).get("metrics", []):
                if metrics.get(known["key"]) == known.get("value"):
                    del metrics[known["key"]]
        now = int(time.time() * 1000)
        points = [{"key": k, "value": v, "timestamp": now, "step": 0} for k, v in sorted(metrics.items())]
        pairs = [{"key": k, "value": str(v)} for k, v in sorted((tags or {}).items())]
        if points or pairs:
            self.post("runs/log-batch", run_id=self.run_id, metrics=points, tags=pairs)

    def artifacts(self, uri):
        """The proxy's path of an artifact address."""
        if not re.match(r"mlflow-artifacts:/(?!/)|mlflow-artifacts:///", uri):
            die("artifacts at %s cannot be reached from a step: start the MLflow server with "
                "--serve-artifacts, so that runs have mlflow-artifacts:/ addresses" % uri)
        return uri.split(":", 1)[1].strip("/")

    def file_url(self, path):
        return "/api/2.0/mlflow-artifacts/artifacts/" + urllib.parse.quote(path)


def tracking(needed_for=None):
    """The tracking client, or None when the step runs without tracking."""
    if os.environ.get("MLFLOW_TRACKING_URI") and os.environ.get("MLFLOW_RUN_ID"):
        return Tracking()
    if needed_for:
        die("%s needs MLflow: set MLFLOW_TRACKING_URI and MLFLOW_RUN_ID" % needed_for)
    say("no tracking: MLFLOW_TRACKING_URI and MLFLOW_RUN_ID are not set")
    return None


def noted(what, send):
    """Calls send() and answers whether it arrived. A step whose work is done does not fail because nobody notes it."""
    try:
        send()
    except ApiError as problem:
        if not problem.unreachable():
            raise
        say("warning: %s could not be logged: %s" % (what, problem))
        return False
    return True


def read_metrics(path):
    """A flat JSON object from metric names to finite numbers."""
    found = read_json(path, "metrics file")
    if not isinstance(found, dict) or len(found) > 400:
        die("the metrics file must hold one JSON object with at most 400 metrics")
    for name, value in found.items():
        fits = re.fullmatch(r"[\w.\- :/]{1,200}", name) and name == os.path.normpath(name) and name[0] not in "/."
        if not fits:
            die("metric name %r: use letters, digits and . _ - / : or blank, at most 200" % name)
        try:
            found[name] = float(None if isinstance(value, (bool, str)) else value)
        except (TypeError, OverflowError):
            die("metric %s is %.40r, not a number" % (name, value))
        if not math.isfinite(found[name]):
            die("metric %s is %r: only finite numbers can be compared" % (name, value))
    return found


def model_files(path):
    """The model's files: a directory a training wrote, or the one fetch_model made around them."""
    fetched = os.path.isfile(os.path.join(path, "version.json")) and os.path.isdir(os.path.join(path, "model"))
    return os.path.abspath(os.path.join(path, "model") if fetched else path)


def part_file(split, part):
    found = [f for f in (os.path.join(split, part + e) for e in (".csv", ".jsonl")) if os.path.isfile(f)]
    return os.path.abspath(found[0]) if len(found) == 1 else die("%s has no single %s.csv or %s.jsonl" % (split, part, part))
