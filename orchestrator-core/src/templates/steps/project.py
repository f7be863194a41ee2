"""Second prelude, of the steps that run the repository's own code: unpacks it, reads MLproject, runs an entry point."""
OWN_PARAMETERS = ("train_data", "test_data", "model_dir", "metrics_file", "seed", "model_name", "model_version")


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
