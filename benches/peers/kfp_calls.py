"""The calls of the benchmark `kfp_python` with the official client; prints what each kind of call took."""

import json
import sys
import time

import kfp

WARM_UP = 3


def measured(call, times):
    seconds = []
    for number in range(WARM_UP + times):
        if number == WARM_UP:
            seconds = []
            processor = time.process_time()
        begin = time.perf_counter()
        seen = call()
        seconds.append(time.perf_counter() - begin)
        if not seen:
            raise SystemExit("an answer was empty")
    return {"seconds": seconds, "processor": time.process_time() - processor}


def main():
    url, lists, gets = sys.argv[1:]
    client = kfp.Client(host=url)
    took = [
        measured(lambda: client.list_runs(page_size=200).runs, int(lists)),
        measured(lambda: client.get_run("r1").run_details.task_details, int(gets)),
    ]
    print(json.dumps(took))


if __name__ == "__main__":
    main()
