"""The generated services of the official client of 1.8: every method of every service, on each generation of servers.

    VENV/bin/python .ci/official/kfp1_api.py        # VENV has kfp 1.8

Refusals are those of the real servers.
"""

import json
import re
import sys
import unittest
import uuid

import servers
from client1 import PACKAGES, Case1, Driven, hello, kfp_server_api, package, public_methods
from servers import EPOCH, against, every, harness, unique

GENERATIONS = ("1.8", "2.5", "2.17")
DRIVEN = Driven()


def field_of(service):
    """Where the client keeps a service."""
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", service[: -len("ServiceApi")]).lower() + "s"


SERVICES = {
    field_of(service): public_methods(getattr(kfp_server_api, service))
    for service in dir(kfp_server_api) if service.endswith("ServiceApi")
}


def load_tests(*_):
    return servers.suite([sys.modules[__name__]], EveryMethod)


class ApiCase(Case1):
    def connect(self, **keywords):
        client = super().connect(**keywords)
        for field, methods in SERVICES.items():
            DRIVEN.watch(self.server, getattr(client, field), methods, f"{field}.")
        return client

    def owner(self):
        """The reference by which an experiment belongs to a namespace."""
        return self.references(NAMESPACE=("OWNER", self.namespace)) if self.namespace else None

    def references(self, **kinds):
        return [
            {"key": {"type": kind, "id": name}, "relationship": relationship}
            for kind, (relationship, name) in kinds.items()
        ]

    def manifest(self, pipeline="hello"):
        """The compiled pipeline as a request carries it."""
        return json.loads(self.run_of(pipeline).pipeline_spec.workflow_manifest)

    def create(self, pipeline="hello", references=None, **fields):
        """A run of a manifest, in an experiment of its own."""
        body = {
            "name": "api", "pipeline_spec": {"workflow_manifest": json.dumps(self.manifest(pipeline))},
            "resource_references": references or self.references(EXPERIMENT=("OWNER", self.experiment().id)), **fields,
        }
        return self.client.runs.create_run(body).run


@against(*every(*GENERATIONS))
class Experiments(ApiCase):
    def test_all(self):
        service, name = self.client.experiments, unique("api")
        made = service.create_experiment(
            {"name": name, "resource_references": self.owner(), "id": str(uuid.uuid4()), "created_at": EPOCH}
        )
        self.recent(made.created_at)
        self.assertEqual(service.get_experiment(made.id), made)
        key = {"resource_reference_key_type": "NAMESPACE", "resource_reference_key_id": self.namespace or ""}
        listed = service.list_experiment(page_size=200, sort_by="created_at desc", **key).experiments
        self.assertIn(made, listed)
        self.assertEqual(service.archive_experiment(made.id), {})
        self.assertEqual(service.get_experiment(made.id).storage_state, "STORAGESTATE_ARCHIVED")
        self.assertEqual(service.unarchive_experiment(made.id), {})
        self.assertEqual(service.get_experiment(made.id).storage_state, "STORAGESTATE_AVAILABLE")
        with self.refused(409, 6, "already exists"):
            service.create_experiment({"name": name, "resource_references": self.owner()})
        self.assertEqual(service.delete_experiment(made.id), {})
        with self.not_found(f"Experiment {made.id}"):
            service.get_experiment(made.id)

    def test_unknown_field(self):
        body = {"name": unique("field"), "resource_references": self.owner(), "nope": 1}
        if self.old_errors():
            self.assertTrue(self.client.experiments.create_experiment(body).id)
            return
        with self.refused(400, 3, 'unknown field "nope"'):
            self.client.experiments.create_experiment(body)

    def test_health(self):
        self.assertIs(self.client.healthzs.get_healthz().multi_user, self.server.multi_user)


@against(*every(*GENERATIONS))
class Pipelines(ApiCase):
    def test_all(self):
        service, uploads = self.client.pipelines, self.client.pipeline_uploads
        pipeline = uploads.upload_pipeline(PACKAGES["hello"], name=unique("api"), description="d")
        version = uploads.upload_pipeline_version(
            package(hello, "pipeline.zip"), name="second", pipelineid=pipeline.id, description="d"
        )
        self.assertEqual(service.get_pipeline_version(version.id), version)
        listed = service.list_pipeline_versions(
            resource_key_type="PIPELINE", resource_key_id=pipeline.id, page_size=200, sort_by="created_at"
        )
        self.assertEqual({row.id for row in listed.versions}, {pipeline.default_version.id, version.id})
        self.assertIn(pipeline.id, {row.id for row in service.list_pipelines(page_size=200, sort_by="name desc").pipelines})
        self.assertEqual(service.get_pipeline(pipeline.id).id, pipeline.id)
        for template in (service.get_template(pipeline.id), service.get_pipeline_version_template(version.id)):
            self.assertIn("argoproj.io", template.template)
        with self.refused(404, 5):
            service.get_pipeline_version("nope")
        with self.refused(404, 5):
            service.get_template("nope")
        if self.server.multi_user and self.server.generation == "2.17":
            # The pipeline belongs to nobody, so that only who owns the server's namespace may change it.
            for call in (
                lambda: service.update_pipeline_default_version(pipeline.id, version.id),
                lambda: service.delete_pipeline_version(version.id),
                lambda: service.delete_pipeline(pipeline.id),
            ):
                with self.refused(403, 7):
                    call()
            return
        first = pipeline.default_version.id
        self.assertEqual(service.update_pipeline_default_version(pipeline.id, first), {})
        if self.old:
            self.assertEqual(service.get_pipeline(pipeline.id).default_version.id, first)
        self.assertEqual(service.delete_pipeline_version(version.id), {})
        if not self.old:
            with self.refused(400, 3):
                service.delete_pipeline(pipeline.id)
            service.delete_pipeline_version(first)
        self.assertEqual(service.delete_pipeline(pipeline.id), {})
        with self.not_found(f"Pipeline {pipeline.id}"):
            service.get_pipeline(pipeline.id)

    def test_from_an_address(self):
        # Nothing listens there, or nothing may be fetched from there.
        url = {"pipeline_url": "http://127.0.0.1:9/pipeline.yaml"}
        pipeline = self.pipeline()
        version = {
            "name": unique("v"), "package_url": url, "resource_references": self.references(PIPELINE=("OWNER", pipeline.id)),
        }
        service = self.client.pipelines
        for call in (
            lambda: service.create_pipeline({"name": unique("url"), "url": url}),
            lambda: service.create_pipeline_version(version),
        ):
            if self.old:
                refusal = self.refused(500, 13, "Failed to download the pipeline from")
            elif self.server.generation == "2.5":
                refusal = self.refused(500, 13, "error downloading the pipeline spec from")
            elif self.server.multi_user:
                # What belongs to nobody may be uploaded by everybody, but not made in this way.
                refusal = self.refused(403, 7)
            else:
                refusal = self.refused(400, 3, "Pipeline URL validation failed")
            with refusal:
                call()

    def test_versions_of_nothing(self):
        with self.refused(400, 3):
            self.client.pipelines.list_pipeline_versions()


@against(*every(*GENERATIONS))
class Runs(ApiCase):
    def test_all(self):
        service = self.client.runs
        run = self.create("fails", description="d")
        self.assertEqual(run.description, "d")
        self.assertEqual(self.ended(run).run.status, "Failed")
        self.assertEqual(service.retry_run(run.id), {})
        again = service.get_run(run.id).run
        self.assertEqual((again.status, again.finished_at), ("Running", EPOCH))
        self.assertEqual(service.terminate_run(run.id), {})
        self.assertEqual(service.get_run(run.id).run.status, "Terminating")
        with self.refused(400, 3, "Row not found"):
            service.terminate_run(run.id)
        self.assertEqual(self.ended(run).run.status, "Failed")
        self.assertEqual(service.archive_run(run.id), {})
        self.assertEqual(service.get_run(run.id).run.storage_state, "STORAGESTATE_ARCHIVED")
        self.assertEqual(service.unarchive_run(run.id), {})
        self.assertIsNone(service.get_run(run.id).run.storage_state)
        key = {
            "resource_reference_key_type": "EXPERIMENT", "resource_reference_key_id": self.referred(run)["EXPERIMENT"][1],
        }
        self.assertEqual([row.id for row in service.list_runs(page_size=200, **key).runs], [run.id])
        self.assertEqual(service.delete_run(run.id), {})
        for call in (service.get_run, service.delete_run, service.terminate_run, service.retry_run):
            with self.not_found(f"Run {run.id}"):
                call(run.id)

    def test_retry_of_a_success(self):
        with self.refused(409, 10):
            self.client.runs.retry_run(self.ended(self.run_of()).run.id)

    def test_archive_what_is_not_there(self):
        for call in (self.client.runs.archive_run, self.client.runs.unarchive_run):
            if self.old and not self.server.multi_user:
                self.assertEqual(call("nope"), {})
            else:
                with self.not_found("Run nope"):
                    call("nope")

    def test_unarchive_in_an_archived_experiment(self):
        run = self.run_of()
        self.client.experiments.archive_experiment(self.referred(run)["EXPERIMENT"][1])
        if self.old:
            self.assertEqual(self.client.runs.unarchive_run(run.id), {})
        else:
            with self.refused(400, 9):
                self.client.runs.unarchive_run(run.id)

    def test_id_of_the_client(self):
        chosen = str(uuid.uuid4())
        run = self.create(id=chosen)
        self.assertEqual(run.id == chosen, not self.old)
        if self.old:
            self.assertNotEqual(self.create(id=chosen).id, run.id)
        else:
            with self.refused(500, 13, f"Duplicate entry '{chosen}'"):
                self.create(id=chosen)

    def test_metrics(self):
        run = self.ended(self.run_of()).run.id
        metrics = [
            {"name": "accuracy", "node_id": "n1", "number_value": 0.95, "format": "PERCENTAGE"},
            {"name": "Bad Name", "node_id": "n1", "number_value": 1},
            {"name": "zero", "node_id": "n1", "number_value": 0},
        ]
        told = self.client.runs.report_run_metrics(run, {"metrics": metrics}).results
        self.assertEqual([result.status for result in told], ["OK", "INVALID_ARGUMENT", "OK"])
        told = self.client.runs.report_run_metrics(run, {"metrics": metrics[:1]}).results
        self.assertEqual(told[0].status, "DUPLICATE_REPORTING")
        kept = {metric.name: metric for metric in self.client.get_run(run).run.metrics}
        self.assertEqual((kept["accuracy"].number_value, kept["accuracy"].format), (0.95, "PERCENTAGE"))
        self.assertEqual(kept["zero"].number_value, 0)
        with self.refused(404, 5):
            self.client.runs.report_run_metrics("nope", {"metrics": metrics})

    def test_artifact(self):
        run = self.ended(self.run_of()).run.id
        read = lambda: self.client.runs.read_artifact(run, "no-such-node", "main-logs")  # noqa: E731
        if self.old_errors():
            with self.refused(404, 5):
                read()
        elif self.server.multi_user:
            # The handler never learns who asks.
            with self.refused(403):
                read()
        else:
            with self.refused(404, says="artifact not found"):
                read()


@against(*every(*GENERATIONS))
class Jobs(ApiCase):
    def job(self, **fields):
        body = {
            "name": "api", "pipeline_spec": {"workflow_manifest": json.dumps(self.manifest())}, "max_concurrency": "1",
            "trigger": {"periodic_schedule": {"interval_second": "3600"}},
            "resource_references": self.references(EXPERIMENT=("OWNER", self.experiment().id)), **fields,
        }
        return self.client.jobs.create_job({name: value for name, value in body.items() if value is not None})

    def test_all(self):
        service = self.client.jobs
        made = self.job(enabled=True)
        self.assertTrue(service.get_job(made.id).enabled)
        self.assertEqual(service.disable_job(made.id), {})
        self.assertIsNone(service.get_job(made.id).enabled)
        self.assertEqual(service.enable_job(made.id), {})
        self.assertTrue(service.get_job(made.id).enabled)
        key = {
            "resource_reference_key_type": "EXPERIMENT", "resource_reference_key_id": self.referred(made)["EXPERIMENT"][1],
        }
        self.assertEqual([row.id for row in service.list_jobs(page_size=200, **key).jobs], [made.id])
        self.assertEqual(service.delete_job(made.id), {})
        for call in (service.get_job, service.delete_job, service.enable_job, service.disable_job):
            with self.refused(404, 5):
                call(made.id)

    def test_what_is_left_out(self):
        self.assertIsNone(self.job().enabled)
        # Servers of 1.8 read `enabled` alone.
        self.assertEqual(self.job(mode="ENABLED").enabled, None if self.old else True)
        made = self.job(trigger=None)
        self.assertFalse(made.trigger and (made.trigger.cron_schedule or made.trigger.periodic_schedule))
        with self.refused(400, 3):
            self.job(max_concurrency=None)


class EveryMethod(unittest.TestCase):
    """The list comes from the generated classes, so that a method which nobody has called fails here."""

    def test_services(self):
        names = [f"{field}.{method}" for field, methods in SERVICES.items() for method in methods]
        self.assertGreater(len(names), 30)
        for server in every(*GENERATIONS):
            with self.subTest(str(server)):
                self.assertEqual(DRIVEN.missing(server, names), [])


if __name__ == "__main__":
    harness.main()
