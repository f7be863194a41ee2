"""Downloads a registered model, by version or by alias.

Out: <output>/model/... and <output>/version.json {name, version, source}. With --optional a model, version or alias
that does not exist gives <output>/ABSENT instead.
"""


def missing(problem):
    return problem.status == 404 and problem.code == "RESOURCE_DOES_NOT_EXIST"


def version_of(client, args):
    """The version's number, or the reason why there is none."""
    try:
        model = client.get("registered-models/get", name=args.name)["registered_model"]
    except ApiError as problem:
        if missing(problem):
            return None, "there is no registered model %s" % args.name
        raise
    if args.alias:
        aliases = {a["alias"]: str(a["version"]) for a in model.get("aliases", [])}
        return aliases.get(args.alias), "model %s has no alias %s" % (args.name, args.alias)
    try:
        return str(client.get("model-versions/get", name=args.name, version=args.version)["model_version"]["version"]), ""
    except ApiError as problem:
        if missing(problem):
            return None, "model %s has no version %s" % (args.name, args.version)
        raise


def resolve(client, name, version):
    """Follows runs:/ and models:/ addresses to where the files are."""
    uri = client.get("model-versions/get-download-uri", name=name, version=version)["artifact_uri"]
    for _ in range(10):
        scheme, _, rest = uri.partition(":/")
        first, _, path = rest.strip("/").partition("/")
        if scheme == "runs":
            run_info = client.get("runs/get", run_id=first)["run"]["info"]
            uri = run_info["artifact_uri"].rstrip("/") + "/" + path
        elif scheme == "models" and not path and first.startswith("m-"):
            uri = client.get("logged-models/" + urllib.parse.quote(first, safe=""))["model"]["info"]["artifact_uri"]
        elif scheme == "models" and path.isdigit():
            uri = client.get("model-versions/get-download-uri", name=urllib.parse.unquote(first), version=path)["artifact_uri"]
        else:
            return client.artifacts(uri)
    die("the address of model %s version %s leads in a circle" % (name, version))


def download(client, path, into, depth=0):
    """All files under a directory of the artifact store; their number."""
    os.makedirs(into, exist_ok=True)
    count = 0
    listed = client.send("GET", "/api/2.0/mlflow-artifacts/artifacts", query={"path": path})
    for entry in listed.get("files", []):
        name = entry["path"]
        if name in ("", ".", "..") or re.search(r"[/\\\0]", name) or depth > 50:
            die("the model has a file with an unusable name: %r" % name)
        if entry.get("is_dir"):
            count += download(client, path + "/" + name, os.path.join(into, name), depth + 1)
        else:
            client.send("GET", client.file_url(path + "/" + name), into=os.path.join(into, name))
            count += 1
    return count


def main():
    args = Arguments()
    args.add_argument("--name", required=True)
    which = args.add_mutually_exclusive_group(required=True)
    which.add_argument("--version")
    which.add_argument("--alias")
    args.add_argument("--optional", action="store_true")
    args.add_argument("--output", required=True)
    args = args.parse_args()
    client = tracking("fetching a model")
    output = fresh(args.output)
    version, reason = version_of(client, args)
    if version is None:
        if not args.optional:
            die(reason)
        with open(os.path.join(output, "ABSENT"), "w", encoding="utf-8") as out:
            out.write(reason + "\n")
        return say("absent: " + reason)
    path = resolve(client, args.name, version)
    count = download(client, path, os.path.join(output, "model"))
    if not count:
        die("model %s version %s has no files at %s" % (args.name, version, path))
    write_json(os.path.join(output, "version.json"), {"name": args.name, "version": version, "source": path})
    say("model: %s version %s, %d files" % (args.name, version, count))


run(main)
