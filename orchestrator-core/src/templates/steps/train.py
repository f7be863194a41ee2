"""Trains the model: entry point `train` with train_data, model_dir and seed.

In: --code, --split (train.csv or train.jsonl). Out: <output>/... whatever the entry point writes to model_dir.
"""


def main():
    args = Arguments()
    for flag in ("--code", "--split", "--parameters", "--seed", "--output"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    output = fresh(args.output)
    own = {"train_data": part_file(args.split, "train"), "model_dir": output, "seed": args.seed}
    run_entry_point(args.code, "train", own, args.parameters)
    files = [os.path.join(at, f) for at, _, names in os.walk(output) for f in names]
    if not files:
        die("entry point train wrote nothing to model_dir: it must save the model there")
    say("model: %d files, %d bytes" % (len(files), sum(os.path.getsize(f) for f in files)))


run(main)
