"""The generated services of the official client of 2.x.

    VENV/bin/python .ci/official/kfp2_api.py        # VENV has kfp 2.x

Every method of every service is called on every generation that they support; what the client itself never sends is
sent here. Refusals are those of the real servers.
"""

import http.server
import json
import re
import sys
import threading
import unittest
import uuid

import servers
from client2 import GENERATIONS, PACKAGES, Case2, Driven, hello, kfp_server_api, package, public_methods
from servers import EPOCH, against, every, harness, unique

DRIVEN = Driven()


def field_of(service):
    """Where the client keeps a service."""
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", service.removesuffix("ServiceApi")).lower() + "s"


SERVICES = {
    field_of(service): public_methods(getattr(kfp_server_api, service))
    for service in dir(kfp_server_api) if service.endswith("ServiceApi")
}


def load_tests(*_):
    return servers.suite([sys.modules[__name__]], EveryMethod)


class ApiCase(Case2):
    def connect(self, **keywords):
        client = super().connect(**keywords)
        for field, methods in SERVICES.items():
            DRIVEN.watch(self.server, getattr(client, field), methods, f"{field}.")
        return client

    def spec(self, pipeline="hello"):
        """The compiled pipeline as a request carries it."""
        return self.client.run_pipeline(self.home(), "spec", PACKAGES[pipeline], {"text": "t"}).pipeline_spec

    def home(self):
        return self.experiment().experiment_id

    def no_method(self):
        """A path that this server knows, but not with this method."""
        if self.old_errors():
            return self.refused(405, text="Method Not Allowed\n")
        return self.refused(501, 12, "Method Not Allowed")


@against(*every(*GENERATIONS))
class DeclaredOnly(ApiCase):
    """The description of the API names them; no server serves them under this version."""

    def test_not_served(self):
        for call in (
            lambda: self.client.auths.auth_service_authorize(namespace="team-a", resources="VIEWERS", verb="GET"),
            lambda: self.client.dummy_filters.dummy_filter_service_get_filter(),
            lambda: self.client.visualizations.visualization_service_create_visualization_v1(
                "team-a", {"source": "x", "type": "TABLE"}
            ),
        ):
            with self.no_route():
                call()

    def test_health(self):
        self.assertIs(self.client.healthzs.healthz_service_get_healthz().multi_user, self.server.multi_user)


@against(*every(*GENERATIONS))
class ExperimentService(ApiCase):
    def test_all(self):
        service, name = self.client.experiments, unique("api")
        made = service.experiment_service_create_experiment(
            {
                "display_name": name, "namespace": self.namespace, "experiment_id": str(uuid.uuid4()),
                "created_at": "2001-01-01T00:00:00Z",
            }
        )
        # Id and time are the server's own.
        self.recent(made.created_at)
        got = service.experiment_service_get_experiment(made.experiment_id)
        self.assertEqual(got, made)
        listed = service.experiment_service_list_experiments(
            namespace=self.namespace or "", page_size=200, sort_by="created_at desc", page_token="", filter=""
        )
        self.assertIn(made, listed.experiments)
        self.assertEqual(service.experiment_service_archive_experiment(made.experiment_id), {})
        self.assertEqual(service.experiment_service_unarchive_experiment(made.experiment_id), {})
        self.assertEqual(service.experiment_service_delete_experiment(made.experiment_id), {})
        with self.not_found(f"Experiment {made.experiment_id}"):
            service.experiment_service_get_experiment(made.experiment_id)

    def test_create_twice(self):
        body = {"display_name": unique("twice"), "namespace": self.namespace}
        self.client.experiments.experiment_service_create_experiment(body)
        with self.refused(409, 6, "already exists"):
            self.client.experiments.experiment_service_create_experiment(body)

    def test_unknown_field(self):
        body = {"display_name": unique("field"), "namespace": self.namespace, "nope": 1}
        if self.old_errors():
            self.assertTrue(self.client.experiments.experiment_service_create_experiment(body).experiment_id)
            return
        with self.refused(400, 3, 'unknown field "nope"'):
            self.client.experiments.experiment_service_create_experiment(body)

    def test_without_namespace(self):
        body = {"display_name": unique("nowhere")}
        if not self.server.multi_user:
            self.assertIsNone(self.client.experiments.experiment_service_create_experiment(body).namespace)
            return
        with self.refused(400, 3, "An experiment cannot have an empty namespace in multi-user mode"):
            self.client.experiments.experiment_service_create_experiment(body)


class Files:
    """Serves the compiled pipelines for as long as a test lasts."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with open(PACKAGES["hello"], "rb") as compiled:
                    body = compiled.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/pipeline.yaml"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@against(*every(*GENERATIONS))
class PipelineService(ApiCase):
    def made(self, name):
        return self.client.pipelines.pipeline_service_create_pipeline(
            {"display_name": name, "description": "bare", "namespace": self.namespace}
        )

    def test_pipeline_without_versions(self):
        service, name = self.client.pipelines, unique("bare")
        made = self.made(name)
        self.assertEqual((made.display_name, made.description, made.namespace), (name, "bare", self.namespace))
        self.recent(made.created_at)
        self.assertEqual(service.pipeline_service_get_pipeline(made.pipeline_id), made)
        found = service.pipeline_service_get_pipeline_by_name(name, namespace=self.namespace or "")
        self.assertEqual(found, made)
        # Without a namespace the name is found in all of them.
        self.assertEqual(service.pipeline_service_get_pipeline_by_name(name), made)
        with self.refused(404, 5):
            service.pipeline_service_get_pipeline_by_name(unique("nope"))
        listed = service.pipeline_service_list_pipelines(namespace=self.namespace or "", page_size=200)
        self.assertIn(made, listed.pipelines)
        self.assertIsNone(service.pipeline_service_list_pipeline_versions(made.pipeline_id).pipeline_versions)
        with self.refused(409, 6):
            self.made(name)
        self.assertEqual(service.pipeline_service_delete_pipeline(made.pipeline_id), {})
        with self.not_found(f"Pipeline {made.pipeline_id}"):
            service.pipeline_service_get_pipeline(made.pipeline_id)

    def test_versions(self):
        service, pipeline = self.client.pipelines, self.pipeline()
        version = self.only_version(pipeline.pipeline_id)
        got = service.pipeline_service_get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
        self.assertEqual(got, version)
        self.assertEqual(
            service.pipeline_service_delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id), {}
        )
        with self.refused(404, 5):
            service.pipeline_service_get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)

    def test_delete_with_versions(self):
        service, pipeline = self.client.pipelines, self.pipeline().pipeline_id
        version = self.only_version(pipeline).pipeline_version_id
        with self.refused(400, 3):
            service.pipeline_service_delete_pipeline(pipeline)
        if self.old_errors():
            # Servers before 2.14 do not know the word.
            with self.refused(400, 3):
                service.pipeline_service_delete_pipeline(pipeline, cascade=True)
            return
        self.assertEqual(service.pipeline_service_delete_pipeline(pipeline, cascade=True), {})
        with self.refused(404, 5):
            service.pipeline_service_get_pipeline_version(pipeline, version)

    def test_from_an_address(self):
        service, name = self.client.pipelines, unique("address")
        pipeline = {"display_name": name, "namespace": self.namespace}
        with Files() as files:
            body = {"pipeline": pipeline, "pipeline_version": {"package_url": {"pipeline_url": files.url}}}
            version = {"display_name": "v", "package_url": {"pipeline_url": files.url}}
            if self.old_errors():
                made = service.pipeline_service_create_pipeline_and_version(body)
                self.assertEqual(made.display_name, name)
                first = self.only_version(made.pipeline_id)
                self.assertEqual(first.pipeline_spec["pipelineInfo"]["name"], "hello")
                second = service.pipeline_service_create_pipeline_version(
                    made.pipeline_id, {**version, "pipeline_id": made.pipeline_id}
                )
                self.assertEqual((second.display_name, second.pipeline_id), ("v", made.pipeline_id))
                self.assertEqual(second.package_url.pipeline_url, files.url)
                return
            # From 2.17 the address has to be one of the public internet and of an allowed domain.
            with self.refused(400, 3, "Pipeline URL validation failed"):
                service.pipeline_service_create_pipeline_and_version(body)
            made = self.made(name).pipeline_id
            with self.refused(400, 3, "Pipeline URL validation failed"):
                service.pipeline_service_create_pipeline_version(made, {**version, "pipeline_id": made})
            with self.refused(400, 3, "Parent pipeline id is empty"):
                service.pipeline_service_create_pipeline_version(made, version)
            with self.refused(400, 3, "Package URL is nil"):
                service.pipeline_service_create_pipeline_version(
                    made, {"display_name": "v", "pipeline_id": made, "pipeline_spec": self.spec()}
                )

    def test_update(self):
        service, pipeline = self.client.pipelines, self.pipeline()
        version = self.only_version(pipeline.pipeline_id)
        ids = (pipeline.pipeline_id, version.pipeline_version_id)
        change = {"display_name": "Renamed", "tags": {"team": "a"}}
        if self.old_errors():
            with self.no_method():
                service.pipeline_service_update_pipeline(ids[0], change)
            with self.no_method():
                service.pipeline_service_update_pipeline_version(*ids, change)
            return
        changed = service.pipeline_service_update_pipeline(ids[0], change)
        self.assertEqual((changed.display_name, changed.name, changed.tags), ("Renamed", pipeline.name, {"team": "a"}))
        self.assertEqual(service.pipeline_service_get_pipeline(ids[0]), changed)
        tagged = self.predicate("EQUALS", "tags.team", string_value="a")
        listed = service.pipeline_service_list_pipelines(namespace=self.namespace or "", filter=tagged, page_size=200)
        self.assertIn(changed, listed.pipelines)
        # Tags are replaced as a whole, and other fields are left alone without a word.
        changed = service.pipeline_service_update_pipeline(ids[0], {"tags": {}, "description": "new"})
        self.assertEqual((changed.display_name, changed.tags, changed.description), ("Renamed", None, None))
        changed = service.pipeline_service_update_pipeline_version(*ids, change)
        self.assertEqual((changed.display_name, changed.name, changed.tags), ("Renamed", version.name, {"team": "a"}))
        with self.refused(400, 3):
            service.pipeline_service_update_pipeline(ids[0], {"tags": {"a.b": "c"}})
        with self.refused(404, 5):
            service.pipeline_service_update_pipeline("nope", change)


@against(*every(*GENERATIONS))
class PipelineUploadService(ApiCase):
    def test_labels_and_tags(self):
        service, name = self.client.pipeline_uploads, unique("upload")
        made = service.upload_pipeline(
            PACKAGES["hello"], name=name, display_name="Shown", description="d", namespace=self.namespace,
            tags=json.dumps({"team": "a"}),
        )
        version = service.upload_pipeline_version(
            PACKAGES["hello"], name="v", display_name="Shown V", pipelineid=made.pipeline_id, description="d",
            tags=json.dumps({"k": "v"}),
        )
        if self.old_errors():
            # They know names alone and skip the rest.
            self.assertEqual((made.display_name, made.name, made.tags), (name, None, None))
            self.assertEqual((version.display_name, version.name, version.tags), ("v", None, None))
            return
        self.assertEqual((made.display_name, made.name, made.tags), ("Shown", name, {"team": "a"}))
        self.assertEqual((version.display_name, version.name, version.tags), ("Shown V", "v", {"k": "v"}))
        with self.refused(400, says="must not contain '.' character"):
            service.upload_pipeline(PACKAGES["hello"], name=unique("bad"), tags=json.dumps({"a.b": "c"}))

    def test_name_of_the_file(self):
        name = f"{unique('file')}.yaml"
        made = self.client.pipeline_uploads.upload_pipeline(package(hello, name), namespace=self.namespace)
        self.assertEqual(made.display_name, name)
        self.assertEqual(self.only_version(made.pipeline_id).display_name, name)

    def test_version_without_pipeline(self):
        with self.refused(400):
            self.client.pipeline_uploads.upload_pipeline_version(PACKAGES["hello"], name="v")


@against(*every(*GENERATIONS))
class RunService(ApiCase):
    def create(self, **fields):
        body = {"display_name": "api", "experiment_id": self.home(), "pipeline_spec": self.spec(), **fields}
        return self.client.runs.run_service_create_run({name: value for name, value in body.items() if value is not None})

    def test_all(self):
        service, experiment = self.client.runs, self.home()
        run = self.create(experiment_id=experiment, description="d", pipeline_spec=self.spec("fails")).run_id
        self.assertEqual(service.run_service_get_run(run, experiment_id=experiment).description, "d")
        listed = service.run_service_list_runs(
            experiment_id=experiment, page_size=200, page_token="", sort_by="created_at desc", filter=""
        )
        self.assertEqual([row.run_id for row in listed.runs], [run])
        self.assertEqual(self.ended(service.run_service_get_run(run)).state, "FAILED")
        self.assertEqual(service.run_service_retry_run(run, experiment_id=experiment), {})
        self.assertEqual(service.run_service_terminate_run(run, experiment_id=experiment), {})
        self.assertEqual(service.run_service_get_run(run).state, "CANCELING")
        self.assertEqual(service.run_service_archive_run(run, experiment_id=experiment), {})
        self.assertEqual(service.run_service_unarchive_run(run, experiment_id=experiment), {})
        self.assertEqual(service.run_service_delete_run(run, experiment_id=experiment), {})
        with self.not_found(f"Run {run}"):
            service.run_service_get_run(run)

    def spec(self, pipeline="hello"):
        if pipeline == "hello":
            return super().spec()
        return self.client.run_pipeline(self.home(), "spec", PACKAGES[pipeline]).pipeline_spec

    def test_what_the_client_may_choose(self):
        chosen = str(uuid.uuid4())
        run = self.create(
            run_id=chosen, storage_state="ARCHIVED", service_account="robot", state="SUCCEEDED",
            created_at="2001-01-01T00:00:00Z",
        )
        self.assertEqual((run.run_id, run.storage_state, run.service_account), (chosen, "ARCHIVED", "robot"))
        self.assertEqual(run.state, "PENDING")
        self.recent(run.created_at)
        self.assertEqual(run.finished_at, EPOCH)
        # A second one of this id is no conflict to the server, but an error of its database.
        with self.refused(500, 13, f"Duplicate entry '{chosen}'"):
            self.create(run_id=chosen)
        self.assertEqual(self.client.get_run(chosen).display_name, run.display_name)

    def test_sources(self):
        pipeline = self.pipeline().pipeline_id
        version = self.only_version(pipeline).pipeline_version_id
        for reference in ({"pipeline_id": pipeline}, {"pipeline_version_id": version}):
            told = self.create(pipeline_spec=None, pipeline_version_reference=reference).pipeline_version_reference
            self.assertEqual((told.pipeline_id, told.pipeline_version_id), (pipeline, version))
        with self.refused(500, 13, "Failed to create a run due to error fetching manifest"):
            self.create(pipeline_spec=None)
        with self.refused(500, 13, "Failed to create a run due to error fetching manifest"):
            self.create(pipeline_spec=None, pipeline_version_id=version)
        both = {"pipeline_version_reference": {"pipeline_id": pipeline}}
        if self.old_errors():
            self.assertEqual(self.create(**both).pipeline_version_reference.pipeline_id, pipeline)
        else:
            with self.refused(400, 3, "oneof"):
                self.create(**both)

    def test_other_spellings(self):
        # camelCase is read as well, and a wrapper without platform comes back bare.
        spec = self.spec()
        made = self.client.runs.run_service_create_run(
            {"displayName": "camel", "experimentId": self.home(), "pipelineSpec": {"pipeline_spec": spec}}
        )
        self.assertEqual((made.display_name, made.pipeline_spec), ("camel", spec))

    def test_plugins(self):
        chosen = {"mlflow": {"disabled": True}}
        if self.old_errors():
            made = self.create(plugins_input=chosen, plugins_output={"mlflow": {}})
            self.assertEqual((made.plugins_input, made.plugins_output), (None, None))
            return
        self.assertEqual(self.create(plugins_input=chosen).plugins_input, chosen)
        with self.refused(409, 10, "plugins_output is server-owned"):
            self.create(plugins_output={"mlflow": {}})

    def test_experiment(self):
        if self.server.multi_user:
            with self.refused(400, 3):
                self.create(experiment_id=None)
            return
        default = self.client.get_experiment(experiment_name="Default").experiment_id
        self.assertEqual(self.create(experiment_id=None).experiment_id, default)
        # The query names another one, and is not looked at.
        body = {"display_name": "query", "pipeline_spec": self.spec()}
        made = self.client.runs.run_service_create_run(body, experiment_id=self.home())
        self.assertEqual(made.experiment_id, default)

    def test_unknown_recurring_run(self):
        with self.refused(500, 13):
            self.create(recurring_run_id=str(uuid.uuid4()))


@against(*every(*GENERATIONS))
class RecurringRunService(ApiCase):
    def create(self, **fields):
        body = {
            "display_name": "api", "experiment_id": self.home(), "max_concurrency": "1", "pipeline_spec": self.spec(),
            "trigger": {"periodic_schedule": {"interval_second": "3600"}}, **fields,
        }
        return self.client.recurring_runs.recurring_run_service_create_recurring_run(
            {name: value for name, value in body.items() if value is not None}
        )

    def test_all(self):
        service, experiment = self.client.recurring_runs, self.home()
        made = self.create(experiment_id=experiment, mode="ENABLE").recurring_run_id
        self.assertEqual(service.recurring_run_service_get_recurring_run(made).status, "ENABLED")
        listed = service.recurring_run_service_list_recurring_runs(
            experiment_id=experiment, page_size=200, page_token="", sort_by="created_at desc", filter=""
        )
        self.assertEqual([row.recurring_run_id for row in listed.recurring_runs], [made])
        self.assertEqual(service.recurring_run_service_disable_recurring_run(made), {})
        self.assertEqual(service.recurring_run_service_get_recurring_run(made).status, "DISABLED")
        self.assertEqual(service.recurring_run_service_enable_recurring_run(made), {})
        deleted = service.recurring_run_service_delete_recurring_run(made, propagation_policy="ORPHAN")
        self.assertEqual(deleted, {})
        with self.not_found(f"Job {made}"):
            service.recurring_run_service_get_recurring_run(made)

    def test_what_is_left_out(self):
        made = self.create()
        self.assertEqual((made.mode, made.status), ("DISABLE", "DISABLED"))
        made = self.create(trigger=None)
        self.assertEqual((made.trigger.cron_schedule, made.trigger.periodic_schedule), (None, None))
        with self.refused(400, 3, "Max concurrency of a recurring run must be at least 1 and at most 10. Received 0"):
            self.create(max_concurrency=None)
        with self.refused(500, 13):
            self.create(display_name=None)
        with self.refused(500, 13, "Cannot create a job with an empty pipeline ID"):
            self.create(pipeline_spec=None)
        with self.refused(400, 3):
            self.create(trigger={"periodic_schedule": {"interval_second": "0"}})

    def test_latest_version(self):
        pipeline = self.pipeline().pipeline_id
        made = self.create(pipeline_spec=None, pipeline_version_reference={"pipeline_id": pipeline})
        reference = made.pipeline_version_reference
        self.assertEqual((reference.pipeline_id, reference.pipeline_version_id), (pipeline, None))
        self.assertIsNone(made.service_account)


@against(*every(*GENERATIONS))
class ReportService(ApiCase):
    """What the persistence agent of the cluster sends."""

    def test_workflow(self):
        run = self.client.run_pipeline(self.home(), "reported", PACKAGES["hangs"]).run_id

        def workflow_of_the_run():
            tasks = (self.client.get_run(run).run_details or kfp_server_api.V2beta1RunDetails()).task_details or []
            return next((task.display_name for task in tasks if task.display_name.startswith("hangs-")), None)

        workflow = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {
                "name": harness.until("the run is known to the cluster", workflow_of_the_run, servers.END_LIMIT),
                "namespace": self.namespace or "kubeflow", "uid": str(uuid.uuid4()),
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"pipeline/runid": run},
            },
            "spec": {"entrypoint": "root"},
            "status": {
                "phase": "Succeeded", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z",
            },
        }
        report = self.client.reports.report_service_report_workflow
        with self.refused(400, 3, "Could not unmarshal workflow"):
            report("not a workflow")
        if self.server.multi_user:
            # A right that the agent has, and no user.
            with self.refused(403, 7):
                report(json.dumps(workflow))
            return
        self.assertEqual(report(json.dumps(workflow)), {})
        self.assertEqual(self.client.get_run(run).state, "SUCCEEDED")

    def test_scheduled_workflow(self):
        with self.refused(400, 3):
            self.client.reports.report_service_report_scheduled_workflow("not a scheduled workflow")
        made = self.client.create_recurring_run(
            self.home(), "reported", interval_second=3600, pipeline_package_path=PACKAGES["hello"]
        )
        workflow = {
            "apiVersion": "kubeflow.org/v1beta1", "kind": "ScheduledWorkflow",
            "metadata": {
                "name": "reported", "namespace": self.namespace or "kubeflow", "uid": made.recurring_run_id,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"enabled": True, "maxConcurrency": 1, "trigger": {"periodicSchedule": {"intervalSecond": 7200}}},
            "status": {"conditions": [{"type": "Enabled", "status": "True", "reason": "", "message": ""}]},
        }
        report = self.client.reports.report_service_report_scheduled_workflow
        if self.server.multi_user:
            with self.refused(403, 7):
                report(json.dumps(workflow))
            return
        self.assertEqual(report(json.dumps(workflow)), {})
        told = self.client.get_recurring_run(made.recurring_run_id)
        self.assertEqual(told.trigger.periodic_schedule.interval_second, "7200")


class EveryMethod(unittest.TestCase):
    """The lists come from the generated classes, so that a method which nobody has called fails here."""

    def test_services(self):
        names = [f"{field}.{method}" for field, methods in SERVICES.items() for method in methods]
        self.assertGreater(len(names), 35)
        for server in every(*GENERATIONS):
            with self.subTest(str(server)):
                self.assertEqual(DRIVEN.missing(server, names), [])


if __name__ == "__main__":
    harness.main()
