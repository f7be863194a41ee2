"""Compares the candidate's metrics with the champion's and logs both to the tracked run.

In: --candidate, --champion (directories with metrics.json; the champion's is empty when there is none).
Logged: <name> of the candidate, champion.<name>, difference.<name> (candidate minus champion).
"""


def main():
    args = Arguments()
    for flag in ("--candidate", "--champion"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    candidate, champion = (read_metrics(os.path.join(d, "metrics.json")) for d in (args.candidate, args.champion))
    metrics = dict(candidate)
    if not champion:
        say("there is no champion to compare with")
    say("%-24s %12s %12s %12s" % ("metric", "candidate", "champion", "difference"))
    for name in sorted(set(candidate) | set(champion)):
        row = [candidate.get(name), champion.get(name), None]
        if name in champion:
            metrics["champion." + name] = champion[name]
        if name in candidate and name in champion:
            row[2] = metrics["difference." + name] = candidate[name] - champion[name]
        say("%-24s %12s %12s %12s" % ((name,) + tuple("-" if v is None else "%.6g" % v for v in row)))
    say("metrics: " + json.dumps(metrics, sort_keys=True))
    client = tracking()
    if client:
        noted("the comparison", lambda: client.log(metrics))


run(main)
