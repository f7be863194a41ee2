"""Evaluates a model: entry point `evaluate` with test_data, model_dir and metrics_file.

In: --code, --split (test.csv or test.jsonl), --model. Out: <output>/metrics.json, one flat object of finite numbers;
an empty one when the model is marked as absent. --log sends the metrics to the tracked run; where that cannot be
reached, the figures are there all the same, and the file UNLOGGED asks a later step to send them.
"""


def main():
    args = Arguments()
    for flag in ("--code", "--split", "--model", "--parameters", "--output"):
        args.add_argument(flag, required=True)
    args.add_argument("--log", action="store_true")
    args = args.parse_args()
    output = fresh(args.output)
    metrics = {}
    if os.path.exists(os.path.join(args.model, "ABSENT")):
        say("there is no model to evaluate")
    else:
        with tempfile.TemporaryDirectory(prefix="step-") as scratch:
            written = os.path.join(scratch, "metrics.json")
            own = {"test_data": part_file(args.split, "test"), "model_dir": model_files(args.model), "metrics_file": written}
            run_entry_point(args.code, "evaluate", own, args.parameters)
            if not os.path.isfile(written):
                die("entry point evaluate wrote no metrics_file: it must write a JSON object of numbers there")
            metrics = read_metrics(written)
        if not metrics:
            die("entry point evaluate wrote no metric to metrics_file")
    write_json(os.path.join(output, "metrics.json"), metrics)
    say("metrics: " + json.dumps(metrics, sort_keys=True))
    client = tracking() if args.log and metrics else None
    if client and not noted("the metrics", lambda: client.log(metrics)):
        open(os.path.join(output, "UNLOGGED"), "w").close()


run(main)
