"""Lets a deployment pass, or refuses it (status 1), by one metric.

In: --candidate, --champion (directories with metrics.json). The candidate passes when it is not worse than the champion
by more than the tolerance, and keeps the minimum or maximum; with no champion only the latter count.
Logged: candidate.<metric>, champion.<metric>, tag deploy.gate = passed or refused.
"""
import decimal


def number(text):
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        die("%r is not a number" % text)
    return value if value.is_finite() else die("%r is not a finite number" % text)


def metric(folder, name, whose):
    metrics = read_metrics(os.path.join(folder, "metrics.json"))
    if not metrics and whose == "champion":
        return None
    if name not in metrics:
        die("the %s has no metric %s (there are: %s)" % (whose, name, ", ".join(sorted(metrics)) or "none"))
    return metrics[name]


def verdict(args, candidate, champion):
    """Why the candidate is refused, or None. In decimals, so that 0.98 - 0.05 is 0.93."""
    value = decimal.Decimal(repr(candidate))
    said = "%s of the candidate is %r" % (args.metric, candidate)
    if champion is not None:
        lead = (value - decimal.Decimal(repr(champion))) * (1 if args.direction == "higher" else -1)
        if lead < -number(args.tolerance):
            return "%s, of the champion %r (tolerance %s)" % (said, champion, args.tolerance)
    if args.minimum is not None and value < number(args.minimum):
        return "%s, the minimum is %s" % (said, args.minimum)
    if args.maximum is not None and value > number(args.maximum):
        return "%s, the maximum is %s" % (said, args.maximum)
    return None


def main():
    args = Arguments()
    for flag in ("--candidate", "--champion", "--metric", "--tolerance"):
        args.add_argument(flag, required=True)
    args.add_argument("--direction", required=True, choices=("higher", "lower"))
    for flag in ("--minimum", "--maximum"):
        args.add_argument(flag)
    args = args.parse_args()
    if number(args.tolerance) < 0:
        die("--tolerance must not be negative")
    candidate = metric(args.candidate, args.metric, "candidate")
    champion = metric(args.champion, args.metric, "champion")
    say("%s (%s is better): candidate %r, champion %s" % (args.metric, args.direction, candidate, "none" if champion is None else repr(champion)))
    refused = verdict(args, candidate, champion)
    metrics = {"candidate." + args.metric: candidate}
    if champion is not None:
        metrics["champion." + args.metric] = champion
    try:
        client = tracking()
        if client:
            client.log(metrics, {"deploy.gate": "refused" if refused else "passed"})
    except ApiError as problem:
        if not refused:
            raise
        say("warning: the refusal could not be logged: %s" % problem)
    if refused:
        die("refused: " + refused)
    say("gate: passed")


run(main)
