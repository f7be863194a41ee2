"""The main job as one writes it with the official clients: log in by the form, record in MLflow, submit to Kubeflow.

The password comes from KUBEFLOW_PASSWORD.
"""

import argparse
import json
import os
import re
from html import unescape
from urllib.parse import urljoin

import kfp
import requests
from mlflow import MlflowClient
from mlflow.entities import Param, RunTag

LIMIT = 30


def log_in(url, username, password):
    """The cookie of oauth2-proxy, as `name=value`."""
    with requests.Session() as session:
        page = session.get(urljoin(url, "/oauth2/start?rd=/"), timeout=LIMIT)
        form = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        action = urljoin(page.url, unescape(form[1]) if form else "")
        answer = session.post(action, data={"login": username, "password": password}, timeout=LIMIT)
        answer.raise_for_status()
        kept = [f"{cookie.name}={cookie.value}" for cookie in session.cookies if cookie.name == "oauth2_proxy_kubeflow"]
        if not kept:
            raise SystemExit("no session cookie")
        return kept[0]


def main():
    parser = argparse.ArgumentParser()
    for name in ("url", "username", "namespace", "mlflow-uri", "git-repository", "git-sha", "package", "arguments"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()

    cookie = log_in(options.url, options.username, os.environ["KUBEFLOW_PASSWORD"])
    tracking = MlflowClient(tracking_uri=options.mlflow_uri)
    experiment = tracking.get_experiment_by_name("python")
    experiment_id = experiment.experiment_id if experiment else tracking.create_experiment("python")
    tags = {"mlflow.source.git.commit": options.git_sha, "mlflow.source.git.repoURL": options.git_repository}
    record = tracking.create_run(experiment_id, tags=tags)
    tracking.log_batch(record.info.run_id, params=[Param("dataset_version", "v1"), Param("train_split", "0.8")])

    kubeflow = kfp.Client(host=f"{options.url}/pipeline", cookies=cookie, namespace=options.namespace)
    submitted = kubeflow.create_run_from_pipeline_package(
        options.package, arguments=json.loads(options.arguments), experiment_name="python", namespace=options.namespace
    )
    tracking.log_batch(record.info.run_id, tags=[RunTag("engine.run_id", submitted.run_id)])
    print(submitted.run_id)


if __name__ == "__main__":
    main()
