"""Installs the real programs of single sign-on into the build folder; does nothing where they are there already.

    python3 .ci/sso/install.py [--check]        # --check: only says what is missing
"""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time

import programs
from children import Failed, end_running, say

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "sso")


def install(name):
    begin = time.monotonic()
    try:
        programs.install(FOLDER, name)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        return f"{name}: {error}"
    say(f"{name} installed in {time.monotonic() - begin:.0f} s")
    return None


def main():
    signal.signal(signal.SIGTERM, end_running)
    signal.signal(signal.SIGINT, end_running)
    os.makedirs(FOLDER, exist_ok=True)
    missing = programs.missing(FOLDER)
    if "--check" not in sys.argv[1:]:
        # Two at a time: one that downloads, one that compiles.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for error in filter(None, pool.map(install, missing)):
                print(error, file=sys.stderr)
        missing = programs.missing(FOLDER)
    if missing:
        sys.exit("missing: " + ", ".join(missing))


if __name__ == "__main__":
    main()
