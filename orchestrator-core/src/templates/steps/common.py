"""Prelude of every step: it is put in front of the step's own text and run as one `python3 -c` program.

Python 3.9 and its standard library only. Steps read directories, write one new directory, may be run
again at any time, and end with status 1 and one `error: ...` line when they cannot do their work.
No step's text may hold two braces in a row: workflow engines would take them for a placeholder.
"""
import sys

sys.path[:] = [p for p in sys.path if p]  # a checkout in the working directory must not shadow the library

import argparse, base64, http.client, json, math, os, re, shlex, shutil, signal, ssl, subprocess, tarfile, tempfile, time  # noqa: E401
import urllib.error, urllib.parse, urllib.request  # noqa: E401

OWN_PARAMETERS = ("train_data", "test_data", "model_dir", "metrics_file", "seed", "model_name", "model_version")


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
        tls = ssl.create_default_context(cafile=env.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
        if env.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=tls))

    def send(self, method, path, query=None, body=None, file=None, into=None, again=True):
        """One request. Waits at most 60 s for each read; five attempts unless `again` is false."""
        url = self.uri + path + ("?" + urllib.parse.urlencode(query) if query else "")
        for wait in (1, 2, 4, 8, None) if again else (None,):
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
                    raise ApiError(0, "", text) from None
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


# --- code -----------------------------------------------------------------------------------------


def unpack(code, into):
    """Unpacks <code>/source.tar. Links come last, so nothing is ever written through one."""
    links, root = [], os.path.realpath(into)
    try:
        with tarfile.open(os.path.join(code, "source.tar")) as tar:
            for member in tar:
                parts = member.name.split("/")
                if member.name.startswith("/") or ".." in parts or "\0" in member.name:
                    die("source.tar: %r leads outside of the checkout" % member.name)
                target = os.path.join(root, *parts)
                if member.isdir():
                    os.makedirs(target, exist_ok=True)
                    continue
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if member.isreg():
                    with open(target, "xb") as out:
                        shutil.copyfileobj(tar.extractfile(member), out)
                    os.chmod(target, 0o755 if member.mode & 0o100 else 0o644)
                elif member.issym():
                    links.append((target, member.linkname, member.name))
                else:
                    die("source.tar: %r is neither a file, a directory nor a symbolic link" % member.name)
    except (tarfile.TarError, EOFError) as problem:
        die("source.tar cannot be read: %s" % problem)
    for target, to, _ in links:
        os.symlink(to, target)
    for target, to, name in links:
        if os.path.isabs(to) or os.path.commonpath([os.path.realpath(target), root]) != root:
            die("the link %r leads outside of the checkout" % name)
    return root


def model_files(path):
    """The model's files: a directory a training wrote, or the one fetch_model made around them."""
    fetched = os.path.isfile(os.path.join(path, "version.json")) and os.path.isdir(os.path.join(path, "model"))
    return os.path.abspath(os.path.join(path, "model") if fetched else path)


def part_file(split, part):
    found = [f for f in (os.path.join(split, part + e) for e in (".csv", ".jsonl")) if os.path.isfile(f)]
    return os.path.abspath(found[0]) if len(found) == 1 else die("%s has no single %s.csv or %s.jsonl" % (split, part, part))


# --- MLproject ------------------------------------------------------------------------------------


class Yaml:
    """The part of YAML that MLproject files use: nested maps, plain, quoted and block scalars, flow
    maps and lists. Everything else is refused with its line number. Numbers stay text."""

    KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s\-?:,\[\]{}#&*!|>'"%@`][^:#]*?)\s*:(?=\s|$)""")
    WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
    TRUTH = {**dict.fromkeys("true yes on".split(), "True"), **dict.fromkeys("false no off".split(), "False")}

    def __init__(self, text, name):
        self.name, self.at, self.lines = name, 0, text.splitlines()

    def refuse(self, why="this is not understood"):
        die("%s line %d: %s" % (self.name, self.at + 1, why))

    def peek(self):
        """Indentation of the next line that says something, or -1 at the end."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            said = line.strip()
            opening = line.rstrip() == "---" and all(e.strip()[:1] in ("", "#") for e in self.lines[: self.at])
            if said and not said.startswith("#") and not opening:
                indent = len(line) - len(line.lstrip(" "))
                return self.refuse("indent with blanks, not tabs") if line[indent] == "\t" else indent
            self.at += 1
        return -1

    def block(self, indent):
        found = {}
        while self.peek() == indent:
            line = self.lines[self.at][indent:].rstrip()
            key = self.KEY.match(line) or self.refuse("`key: value` is expected")
            name = self.scalar(key[1])
            if name in found:
                self.refuse("the key %s is there twice" % name)
            found[name] = self.value(line[key.end() :].strip(), indent)
        if self.peek() > indent:
            self.refuse("the indentation does not fit")
        return found

    def value(self, text, indent):
        if not text or text.startswith("#"):
            self.at += 1
            deeper = self.peek()
            return self.block(deeper) if deeper > indent else None
        if text[0] in "|>":
            return self.literal(text, indent)
        if text[0] in "\"'{[":
            start = self.at
            while True:
                value, rest = self.flow(text)
                if rest is not None:
                    break
                self.at += 1
                if self.peek() <= indent:
                    self.at = start
                    self.refuse("the quotation or bracket is not closed")
                folded = text[0] == '"' and text.endswith("\\")
                text = (text[:-1] if folded else text + " ") + self.lines[self.at].strip()
            if rest.strip() and not re.match(r"\s+#", rest):
                self.refuse()
            self.at += 1
            return value
        text = self.plain(text)
        self.at += 1
        while self.peek() > indent:
            text += " " + self.plain(self.lines[self.at].strip())
            self.at += 1
        return self.scalar(text)

    def plain(self, text):
        text = re.split(r"\s#", text)[0].rstrip()
        if text[0] in "&*!%@`?,]}" or text[:2] == "- " or re.search(r":(\s|$)", text):
            self.refuse("quote this value")
        return text

    def literal(self, head, indent):
        style = re.fullmatch(r"([|>])([+-]?)(\s+#.*)?", head) or self.refuse()
        taken, self.at = [], self.at + 1
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            taken.append(line)
            self.at += 1
        depth = min((len(t) - len(t.lstrip(" ")) for t in taken if t.strip()), default=0)
        text = "\n".join(t[depth:] for t in taken).rstrip("\n ")
        if style[1] == ">":
            text = re.sub(r"(?<!\n)\n(?![\n ])", " ", text)
            text = re.sub(r"\n(\n+)", r"\1", text)
        return text + ("" if style[2] == "-" else "\n")

    def scalar(self, text):
        if text[:1] == "'":
            return text[1:-1].replace("''", "'")
        if text[:1] == '"':
            try:
                return json.loads(text, strict=False)
            except ValueError:
                self.refuse("this escape is not understood")
        return self.WORDS.get(text, self.TRUTH.get(text.lower(), text))

    def flow(self, text):
        """The flow value at the start of the text and what follows it (None: the text ends too early)."""
        if text[:1] in ("'", '"'):
            end = re.match(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*\"""", text)
            return (self.scalar(end[0]), text[end.end() :]) if end else (None, None)
        if text[:1] not in ("{", "["):
            end = re.match(r"[^,\[\]{}#\"'&*!|>%@`]+?(?=\s*(?:[,\]}]|:\s|:$|$))", text) or self.refuse()
            return self.scalar(end[0].strip()), text[end.end() :]
        closing, found, rest = ("}", {}, text[1:]) if text[0] == "{" else ("]", [], text[1:])
        while True:
            rest = rest.lstrip()
            if not rest:
                return None, None
            if rest[0] == closing:
                return found, rest[1:]
            item, rest = self.flow(rest)
            if rest is not None and closing == "}":
                colon = re.match(r"\s*:\s", rest + " ") or self.refuse()
                key, rest = item, (rest + " ")[colon.end() :].lstrip()
                item, rest = self.flow(rest) if rest else (None, None)
                if isinstance(key, (dict, list)) or key in found:
                    self.refuse()
                found[key] = item
            elif rest is not None:
                found.append(item)
            rest = (rest or "").lstrip()
            if not rest:
                return None, None
            if rest[0] == ",":
                rest = rest[1:]
            elif rest[0] != closing:
                self.refuse()


def parse_yaml(text, name):
    try:
        import yaml
    except ImportError:
        reader = Yaml(text, name)
        indent = reader.peek()
        found = reader.block(indent) if indent >= 0 else {}
        return found if reader.peek() < 0 else reader.refuse()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as problem:
        die("%s: %s" % (name, problem))


def entry_points(checkout):
    names = [n for n in sorted(os.listdir(checkout)) if n.lower() == "mlproject"]
    if not names:
        die("the repository has no file MLproject in its root: add one that names its entry points")
    with open(os.path.join(checkout, names[0]), encoding="utf-8", errors="replace") as source:
        project = parse_yaml(source.read(), names[0])
    points = project.get("entry_points") if isinstance(project, dict) else None
    if not isinstance(points, dict):
        die("%s: entry_points is missing or is not a map" % names[0])
    for env in sorted({"python_env", "conda_env", "docker_env"} & set(project)):
        say("note: %s of %s is not used, the step's image provides the packages" % (env, names[0]))
    return points


def parameters_of(name, point):
    declared = (point.get("parameters") or {}) if isinstance(point, dict) else None
    if not isinstance(declared, dict) or not isinstance(point.get("command"), str):
        die("MLproject: entry point %s needs a `command` and, if any, a map of `parameters`" % name)
    return declared


def command_of(name, points, own, given):
    """The shell command of an entry point, as MLflow Projects composes it. One request serves several entry
    points, so a parameter that only another one declares is left out instead of appended."""
    point, declared, values = points[name], parameters_of(name, points[name]), dict(own)
    elsewhere = {str(k) for n, p in points.items() for k in parameters_of(n, p)}
    for key, spec in declared.items():
        kind, default = (spec.get("type"), spec.get("default")) if isinstance(spec, dict) else (spec, None)
        value = own.get(key, given.get(key, default))
        if value is None or isinstance(value, (dict, list)):
            die("parameter %s of entry point %s has no value: give one, or a default in MLproject" % (key, name))
        try:
            {"float": float, "int": int}.get(str(kind), str)(value)
        except ValueError:
            die("parameter %s of entry point %s must be of type %s, not %r" % (key, name, kind, value))
        values[str(key)] = str(value)

    def put(match):
        inner = match[0][1:-1]
        if match[0] in (2 * "{", 2 * "}"):
            return match[0][0]
        if inner not in values:
            die("MLproject: the command of %s has %s, which is no parameter of it (double the braces that "
                "are meant for the shell)" % (name, match[0]))
        return shlex.quote(values[inner])

    command = re.sub(r"\{\{|\}\}|\{[^{}]*\}?|\}", put, point["command"])
    more = {k: v for k, v in given.items() if k not in declared and k not in elsewhere}
    if name == "evaluate" and more:  # they are meant for what is measured, not for the measuring
        say("not declared by entry point evaluate, left out: " + ", ".join(more))
        more = {}
    return " ".join([command.rstrip()] + ["--%s %s" % (k, shlex.quote(v)) for k, v in more.items()])


def user_parameters(text):
    """The user's parameters from their JSON; numbers stay as they were written."""
    try:
        given = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except ValueError as problem:
        die("--parameters is not JSON: %s" % problem)
    if not isinstance(given, dict):
        die("--parameters must be a JSON object")
    for name, value in given.items():
        if name in OWN_PARAMETERS:
            die("parameter %s is set by the orchestrator: choose another name" % name)
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            die("parameter name %r: use letters, digits and . _ -" % name)
        given[name] = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
        if not isinstance(given[name], str) or re.search("[\0\ud800-\udfff]", given[name]):
            die("parameter %s must be a text, a number, true or false" % name)
    return given


def run_entry_point(code, name, own, parameters, optional=False):
    """Runs an entry point in a checkout that is removed afterwards. False: there is none of that name."""
    given = user_parameters(parameters)
    with tempfile.TemporaryDirectory(prefix="step-") as parent:
        checkout = unpack(code, os.path.join(parent, "code"))
        points = entry_points(checkout)
        if name not in points:
            if optional:
                return False
            die("MLproject has no entry point %s (there are: %s)" % (name, ", ".join(map(str, points)) or "none"))
        command = command_of(name, points, own, given)
        say("running entry point %s: %s" % (name, command))
        shell = shutil.which("bash") or "/bin/sh"
        child = subprocess.Popen([shell, "-c", command], cwd=checkout, stdin=subprocess.DEVNULL,
                                 env={"PYTHONUNBUFFERED": "1", **os.environ})
        try:
            status = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
        if status < 0:
            die("entry point %s was ended by signal %d%s" % (name, -status, " (out of memory?)" * (status == -9)))
        if status:
            die("entry point %s ended with status %d" % (name, status))
    return True
