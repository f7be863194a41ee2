"""What a training program does with the official client: log points, and search runs.

Arguments: tracking URI of a server to log to, that of a server to search, points, runs. Prints seconds as JSON.
"""

import contextlib
import json
import sys
import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

BATCH = 1000


def timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main():
    logging, searching, points, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    client = MlflowClient(tracking_uri=logging)
    run_id = client.create_run("0").info.run_id

    def log_batch():
        for start in range(0, points, BATCH):
            metrics = [Metric("loss", 0.5 * step, start, step) for step in range(start, start + BATCH)]
            client.log_batch(run_id, metrics=metrics)

    result = {"log_batch": timed(log_batch)}

    mlflow.set_tracking_uri(logging)
    calls = 200
    with mlflow.start_run(experiment_id="0"):
        result["log_metric"] = timed(lambda: [mlflow.log_metric("loss", 0.5, step=step) for step in range(calls)]) / calls
        begin = time.perf_counter()
        for step in range(calls):
            mlflow.log_metric("async", 0.5, step=step, synchronous=False)
        result["log_metric_async"] = (time.perf_counter() - begin) / calls
        mlflow.flush_async_logging()

    def search():
        found, token = 0, None
        searcher = MlflowClient(tracking_uri=searching)
        while True:
            page = searcher.search_runs(["0"], max_results=BATCH, page_token=token)
            found += len(page)
            token = page.token
            if not token:
                break
        if found != runs:
            raise SystemExit(f"{found} runs were found")

    result["search"] = timed(search)
    return result


if __name__ == "__main__":
    # The client prints where the run can be seen.
    with contextlib.redirect_stdout(sys.stderr):
        told = main()
    print(json.dumps(told))
