"""Plays the conformance judges against the sandbox.

    python3 .ci/conformance/run.py [--only login|kfp]

The judges hold what the real programs answered. A scenario that does not pass yet stands in known-failures-*.txt
beside this file, one name a line; one that passes although it is listed fails as well, so the lists only get shorter.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import harness  # noqa: E402

TOOLS = os.environ.get("JUDGES") or os.path.join(harness.ROOT, "..", "shared", "tools")
JUDGE_LIMIT = 300
RELEASES = ("1.8", "1.9", "1.11")
GENERATIONS = ("1.8", "2.5", "2.17")


def known(name):
    """The scenarios listed in a file, without comments; none if there is no file."""
    try:
        with open(os.path.join(HERE, f"known-failures-{name}.txt"), encoding="utf-8") as source:
            return {line.split("#")[0].strip() for line in source} - {""}
    except FileNotFoundError:
        return set()


def judge(tool, *arguments):
    """The judge's verdict: {scenario: list of differences}; skipped scenarios are not in it."""
    done = subprocess.run(
        [sys.executable, os.path.join(TOOLS, tool, tool), *arguments, "--report", "json"],
        capture_output=True, text=True, timeout=JUDGE_LIMIT, stdin=subprocess.DEVNULL,
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{tool} gave no report: {done.stderr or done.stdout}") from None
    return {
        scenario.get("name") or scenario["scenario"]: scenario["differences"]
        for scenario in report["scenarios"] if scenario.get("result") != "skipped"
    }


def login(release):
    with harness.sandbox("--release", release, "--simulate") as box:
        return judge(
            "login-conformance", box.url, "--release", release, "--username", box.username, "--password", box.password
        )


def cookie(box):
    done = harness.finish(
        harness.start("login", "--url", box.url, "--username", box.username, password=box.password)
    )
    assert done.status == 0, done.err
    return f"{done.report['name']}={done.report['value']}"


def kfp(generation, way):
    flags = ["--kfp", generation] + (["--single-user"] if way == "single-user" else [])
    with harness.sandbox(*flags) as box:
        if way == "single-user":
            how = [box.kfp_direct_url]
        elif way == "multi-user":
            how = [box.kfp_direct_url, "--mode", "multi-user", "--header", f"kubeflow-userid:{box.username}"]
        else:
            how = [box.kfp_url, "--mode", "multi-user", "--cookie", cookie(box)]
        return judge("kfp-conformance", *how, "--generation", generation, "--namespace", box.namespace or "team-a")


def compare(name, verdict):
    """Prints what is not as the list says; answers how many scenarios passed, failed unexpectedly, and fail as listed."""
    listed, passed, failed = known(name), 0, 0
    for scenario, found in verdict.items():
        if found and scenario not in listed:
            failed += 1
            print(f"FAIL {name}: {scenario}")
            for difference in found[:6]:
                print(f"       {json.dumps(difference)[:400]}")
        elif not found and scenario in listed:
            failed += 1
            print(f"FAIL {name}: {scenario} passes: take it off known-failures-{name}.txt")
        else:
            passed += not found
    for scenario in sorted(listed - verdict.keys()):
        failed += 1
        print(f"FAIL {name}: {scenario} is listed, but there is no such scenario")
    listed_failures = sum(1 for scenario, found in verdict.items() if found and scenario in listed)
    note = f", {listed_failures} not, as listed" if listed_failures else ""
    print(f"{name}: {passed} of {len(verdict)} scenarios as the real program{note}", flush=True)
    if not verdict:
        failed += 1
        print(f"FAIL {name}: the judge played nothing")
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="only the judgements whose name holds this text")
    options = parser.parse_args()
    if not os.path.isdir(TOOLS):
        print(f"SKIP: conformance judges: {TOOLS} is not there")
        return 0
    judgements = {f"login-{release}": (login, (release,)) for release in RELEASES}
    for generation in GENERATIONS:
        for way in ("multi-user", "gateway", "single-user"):
            judgements[f"kfp-{generation}-{way}"] = (kfp, (generation, way))
    passed = failed = 0
    for name, (play, arguments) in judgements.items():
        if options.only in name:
            try:
                counts = compare(name, play(*arguments))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                print(f"FAIL {name}: {error}")
                counts = 0, 1
            passed, failed = passed + counts[0], failed + counts[1]
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
