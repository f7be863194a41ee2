"""Gives an alias, such as champion, to a version of a registered model.

The version that had the alias before is kept in the model's tag previous.<alias>.
"""


def main():
    args = Arguments()
    for flag in ("--name", "--version", "--alias"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    client = tracking("promoting a model")
    try:
        client.get("model-versions/get", name=args.name, version=args.version)
    except ApiError as problem:
        if problem.status != 404:
            raise
        die("model %s has no version %s" % (args.name, args.version))
    model = client.get("registered-models/get", name=args.name)["registered_model"]
    former = {a["alias"]: str(a["version"]) for a in model.get("aliases", [])}.get(args.alias)
    if former == args.version:
        return say("promoted: %s version %s is already %s" % (args.name, args.version, args.alias))
    if former:
        client.post("registered-models/set-tag", name=args.name, key="previous." + args.alias, value=former)
    client.post("registered-models/alias", name=args.name, alias=args.alias, version=args.version)
    say("promoted: %s version %s is now %s (before: %s)" % (args.name, args.version, args.alias, former or "none"))


run(main)
