"""Registers the trained model: uploads it to the tracked run under model/ and makes one version of it.

In: --model, --metrics (metrics.json). Out: <output>/version.json {name, version}. A second attempt finds the version
of the run instead of making another one. Metrics that could not be logged when they were measured are logged first.
"""


def version_of_run(client, name):
    """The version of this model made from the tracked run, if there is one (the oldest)."""
    found, token = [], {}
    for _ in range(100):
        page = client.get("model-versions/search", filter="run_id='%s'" % client.run_id, max_results=200, **token)
        found += [v for v in page.get("model_versions", []) if v["name"] == name]
        if not page.get("next_page_token"):
            break
        token = {"page_token": page["next_page_token"]}
    return min(found, key=lambda v: int(v["version"]), default=None)


def register(client, name, tags):
    try:
        client.post("registered-models/create", name=name)
    except ApiError as problem:
        if problem.code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    for wait in (1, 2, 4, 8, None):
        found = version_of_run(client, name)
        if found:
            for tag in tags:
                client.post("model-versions/set-tag", name=name, version=str(found["version"]), **tag)
            return found
        try:
            # Every call makes a new version: one without an answer is looked up before it is sent again.
            return client.post("model-versions/create", again=False, name=name, run_id=client.run_id,
                               source="runs:/%s/model" % client.run_id, tags=tags)["model_version"]
        except ApiError as problem:
            if wait is None or not (problem.status in (0, 429, 502, 503, 504) or "QueuePool" in str(problem)):
                raise
        time.sleep(wait)


def main():
    args = Arguments()
    for flag in ("--model", "--metrics", "--name", "--git-repository", "--git-sha", "--dataset-version", "--output"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    if not args.name.strip() or re.search("[/:]", args.name):
        die("a model name must not be empty or contain / or :")
    client, model = tracking("registering a model"), model_files(args.model)
    if not re.fullmatch("[0-9a-f]{32}", client.run_id):
        die("MLFLOW_RUN_ID is not a run id")
    metrics = read_metrics(os.path.join(args.metrics, "metrics.json"))
    root = client.artifacts(client.run_info()["info"]["artifact_uri"]) + "/model/"
    if os.path.exists(os.path.join(args.metrics, "UNLOGGED")):
        client.log(metrics)
    files = sorted(os.path.join(at, f) for at, _, names in os.walk(model) for f in names)
    if not files:
        die("the model directory is empty")
    for file in files:
        client.send("PUT", client.file_url(root + os.path.relpath(file, model)), file=file)
    say("uploaded %d files to the run" % len(files))
    tags = {"git_repository": args.git_repository, "git_sha": args.git_sha, "dataset_version": args.dataset_version}
    tags.update(("metric." + k, json.dumps(v)) for k, v in metrics.items())
    made = register(client, args.name, [{"key": k, "value": v} for k, v in sorted(tags.items())])
    version = str(made["version"])
    client.log(tags={"model.name": args.name, "model.version": version})
    write_json(os.path.join(fresh(args.output), "version.json"), {"name": args.name, "version": version})
    say("registered: %s version %s" % (args.name, version))


run(main)
