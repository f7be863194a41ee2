"""Exit step: sets the final status of the tracked run. Never fails the workflow.

In: --status, a word such as Succeeded or Failed, or a JSON object with the word in `state`.
"""

FINAL = {"succeeded": "FINISHED", "cancelled": "KILLED", "canceled": "KILLED", "killed": "KILLED", "terminated": "KILLED"}


def main():
    args = Arguments()
    args.add_argument("--status", required=True)
    word = args.parse_args().status.strip()
    try:
        word = json.loads(word)
        word = word.get("state", "") if isinstance(word, dict) else word
    except ValueError:
        pass
    final = FINAL.get(str(word).lower(), "FAILED")
    say("workflow: %s" % (word or "no status"))
    try:
        client = tracking()
        if not client:
            return
        info = client.run_info()["info"]
        # FINISHED may come from the training code itself, so the workflow's own end counts more. A run that
        # was cancelled stays so.
        if info.get("status") == "KILLED" or (info.get("status") == final and info.get("end_time")):
            return say("run: stays %s" % info["status"])
        client.post("runs/update", run_id=client.run_id, status=final, end_time=int(time.time() * 1000))
        say("run: %s" % final)
    except (ApiError, OSError, KeyError) as problem:
        say("warning: the run's status could not be set: %s" % problem)


run(main)
