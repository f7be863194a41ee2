"""Deploys a model: entry point `deploy` with model_dir, model_name and model_version.

In: --code, --model. A repository without that entry point has nothing to deploy, which is no failure.
"""


def main():
    args = Arguments()
    for flag in ("--code", "--model", "--name", "--version", "--parameters"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    if os.path.exists(os.path.join(args.model, "ABSENT")):
        die("there is no model to deploy")
    own = {"model_dir": model_files(args.model), "model_name": args.name, "model_version": args.version}
    if run_entry_point(args.code, "deploy", own, args.parameters, optional=True):
        say("deployed: %s version %s" % (args.name, args.version))
    else:
        say("MLproject has no entry point deploy: nothing to run for %s version %s" % (args.name, args.version))


run(main)
