"""The official client of 1.8 through all its methods, against each generation of servers.

    VENV/bin/python .ci/official/kfp1.py        # VENV has kfp 1.8

It speaks v1beta1, which servers of 2.x serve as well. What a test expects is what the real servers of these generations
answer, refusals included.
"""

import json
import os
import sys
import unittest
import unittest.mock

import servers
from client1 import DRIVEN, IR, METHODS, PACKAGES, Case1, hello, kfp, package
from servers import EPOCH, against, every, harness, unique, written

GENERATIONS = ("1.8", "2.5", "2.17")


def load_tests(*_):
    return servers.suite([sys.modules[__name__]], EveryMethod)


@against(*every(*GENERATIONS))
class Health(Case1):
    def test_health(self):
        self.assertIs(self.client.get_kfp_healthz().multi_user, self.server.multi_user)


@against(*every(*GENERATIONS))
class Namespace(Case1):
    def test_context_file(self):
        self.assertEqual(self.client.get_user_namespace(), self.namespace or "")
        self.client.set_user_namespace("team-z")
        again = kfp.Client(host=self.server.url)
        self.assertEqual(again.get_user_namespace(), "team-z")
        if self.server.multi_user:
            with self.refused(403, 7, f"User '{self.server.box.username}' is not authorized"):
                again.list_experiments()
        self.assertEqual(self.connect(namespace="team-y").get_user_namespace(), "team-y")

    def test_lists_without_a_namespace(self):
        self.client.set_user_namespace("")
        self.client.list_pipelines()
        if not self.server.multi_user:
            self.client.list_experiments()
            self.client.list_runs()
            self.client.list_recurring_runs()
            return
        for call in (self.client.list_experiments, self.client.list_runs, self.client.list_recurring_runs):
            with self.refused(400, 3):
                call()

    def test_without_identity(self):
        run = self.run_of()
        nobody = self.connect(user="", existing_token="no-such-token")
        if not self.server.multi_user:
            self.assertEqual(nobody.get_run(run.id).run.id, run.id)
            return
        # The oldest servers take this for an error of their own.
        status, code = (500, 13) if self.old else (401, 16)
        for call in (
            lambda: nobody.get_run(run.id),
            lambda: nobody.list_experiments(namespace=self.namespace),
            lambda: nobody.list_runs(namespace=self.namespace),
        ):
            with self.refused(status, code):
                call()
        with self.not_found("Run nope"):
            nobody.get_run("nope")

    def test_foreign_namespace(self):
        run, experiment = self.run_of(), self.experiment()
        stranger = self.connect(user=servers.FOREIGNER)
        if not self.server.multi_user:
            self.assertEqual(stranger.get_run(run.id).run.id, run.id)
            return
        for call in (
            lambda: stranger.list_experiments(),
            lambda: stranger.list_runs(),
            lambda: stranger.create_experiment("x"),
            lambda: stranger.get_experiment(experiment.id),
            lambda: stranger.archive_experiment(experiment.id),
            lambda: stranger.delete_experiment(experiment.id),
            lambda: stranger.run_pipeline(experiment.id, "x", PACKAGES["hello"]),
            lambda: stranger.get_run(run.id),
        ):
            with self.refused(403, 7, f"User '{servers.FOREIGNER}' is not authorized"):
                call()


@against(*every(*GENERATIONS))
class Experiments(Case1):
    def test_create_get_or_create(self):
        name = unique("Experiment")
        made = self.client.create_experiment(name, "what for", self.namespace)
        self.assertEqual((made.name, made.description, made.storage_state), (name, "what for", "STORAGESTATE_AVAILABLE"))
        self.recent(made.created_at)
        # Servers of 2.x refer to a namespace even where there is none.
        alone = {} if self.old else {"NAMESPACE": ("OWNER", None)}
        self.assertEqual(self.referred(made), {"NAMESPACE": ("OWNER", self.namespace)} if self.namespace else alone)
        self.assertEqual(self.client.create_experiment(name).id, made.id)
        self.assertEqual(self.client.create_experiment(name.upper()).id, made.id)
        self.assertEqual(self.client.get_experiment(made.id), made)
        self.assertEqual(self.client.get_experiment(experiment_name=name), made)

    def test_get_what_is_not_there(self):
        with self.not_found("Experiment nope"):
            self.client.get_experiment("nope")
        with self.assertRaisesRegex(ValueError, "No experiment is found with name nope"):
            self.client.get_experiment(experiment_name="nope")
        with self.assertRaises(ValueError):
            self.client.get_experiment()

    def test_names(self):
        with self.refused(*((400, 3) if self.old else (500, 13))):
            self.client.create_experiment("")
        with self.refused(400, 3, "failed to parse valid filter from"):
            self.client.create_experiment(f"100% {unique('x')}")
        plus = f"a+{unique('x')}"
        self.client.create_experiment(plus)
        with self.refused(409, 6, f"The name {plus} already exists"):
            self.client.create_experiment(plus)
        name = f"Füß 日本 {unique('x')}"
        self.assertEqual(self.client.create_experiment(name).name, name)
        long = unique("x").ljust(129, "n")
        if self.server.generation == "2.17":
            with self.refused(500, 13):
                self.client.create_experiment(long)
        else:
            self.assertEqual(self.client.create_experiment(long).name, long)

    def test_namespace_where_there_are_none(self):
        if self.server.multi_user:
            return
        if self.old:
            with self.refused(400, 3, "In single-user mode, CreateExperimentRequest shouldn't contain resource references"):
                self.client.experiments.create_experiment(
                    {
                        "name": unique("x"),
                        "resource_references": [{"key": {"type": "NAMESPACE", "id": "a"}, "relationship": "OWNER"}],
                    }
                )
        else:
            made = self.client.create_experiment(unique("x"), namespace="a")
            self.assertEqual(self.referred(made), {"NAMESPACE": ("OWNER", None)})

    def test_archive(self):
        experiment = self.experiment().id
        run = self.run_of(experiment=experiment).id
        job = self.client.create_recurring_run(
            experiment, "r", interval_second=3600, pipeline_package_path=PACKAGES["hello"]
        ).id
        self.client.archive_experiment(experiment)
        self.client.archive_experiment(experiment)
        self.assertEqual(self.client.get_experiment(experiment).storage_state, "STORAGESTATE_ARCHIVED")
        self.assertEqual(self.client.get_run(run).run.storage_state, "STORAGESTATE_ARCHIVED")
        self.assertIsNone(self.client.get_recurring_run(job).enabled)
        if not self.server.multi_user:
            self.client.archive_experiment("nope")

    def test_delete(self):
        experiment = self.experiment().id
        run = self.run_of(experiment=experiment).id
        self.assertEqual(self.client.delete_experiment(experiment), {})
        for call in (self.client.get_experiment, self.client.delete_experiment):
            with self.not_found(f"Experiment {experiment}"):
                call(experiment)
        self.assertEqual(self.client.get_run(run).run.id, run)

    def test_default_experiment(self):
        if self.server.multi_user or self.old:
            # Servers of 1.8 let it go; the tests that come later need it.
            return
        default = self.client.get_experiment(experiment_name="Default").id
        with self.refused(409, 10, "The default experiment cannot be deleted"):
            self.client.delete_experiment(default)

    def test_lists(self):
        mark = unique("page")
        for name in "bca":
            self.client.create_experiment(f"{mark}-{name}")
        self.assertPages(
            lambda **page: self.client.list_experiments(namespace=self.namespace, **page), "experiments", mark
        )


@against(*every(*GENERATIONS))
class Pipelines(Case1):
    def test_upload(self):
        name = unique("pipeline")
        made = self.client.upload_pipeline(PACKAGES["hello"], name, "what it is")
        self.assertEqual((made.name, made.description), (name, "what it is"))
        self.assertEqual({p.name: p.value for p in made.parameters}, {"text": "hi", "count": "1"})
        self.recent(made.created_at)
        self.assertEqual(self.client.get_pipeline(made.id), made)
        self.assertEqual(self.client.get_pipeline_id(name), made.id)
        self.assertIsNone(self.client.get_pipeline_id(unique("nothing")))
        version = made.default_version
        self.assertEqual(version.name, name)
        # The first version has the id of its pipeline on servers of 1.8 alone.
        self.assertEqual(version.id == made.id, self.old)
        self.assertEqual(self.referred(version), {"PIPELINE": ("OWNER", made.id)})

    def test_kinds_of_files(self):
        for name in ("pipeline.yaml", "pipeline.zip", "pipeline.tar.gz"):
            with self.subTest(name):
                made = self.client.upload_pipeline(package(hello, name), unique("kind"))
                self.assertEqual(len(made.parameters), 2)

    def test_name_of_the_file(self):
        name = f"{unique('file')}.yaml"
        self.assertEqual(self.client.upload_pipeline(package(hello, name)).name, name)

    def test_uploads_that_are_refused(self):
        name = self.pipeline().name
        with self.refused(500 if self.old else 409):
            self.client.upload_pipeline(PACKAGES["hello"], name)
        with self.refused(400 if self.server.generation == "2.17" else 500, says="unknown template format"):
            self.client.upload_pipeline(written("a: 1\n", "p.yaml"), unique("bad"))
        with self.refused(400):
            self.client.upload_pipeline(written("a: 1\n", "p.txt"), unique("bad"))

    def test_newer_format(self):
        if self.old:
            with self.refused(500, says="unknown template format"):
                self.client.upload_pipeline(written(IR, "p.yaml"), unique("newer"))
        else:
            made = self.client.upload_pipeline(written(IR, "p.yaml"), unique("newer"))
            self.assertIsNone(made.parameters)

    def test_versions(self):
        pipeline = self.pipeline()
        second = self.client.upload_pipeline_version(
            PACKAGES["fails"], "second", pipeline_id=pipeline.id, description="better"
        )
        self.assertEqual((second.name, second.description), ("second", "better"))
        self.assertEqual(self.referred(second), {"PIPELINE": ("OWNER", pipeline.id)})
        third = self.client.upload_pipeline_version(PACKAGES["hello"], "third", pipeline_name=pipeline.name)
        listed = self.client.list_pipeline_versions(pipeline.id, page_size=10)
        self.assertEqual({row.id for row in listed.versions}, {pipeline.default_version.id, second.id, third.id})
        if self.old:
            self.assertEqual(self.client.get_pipeline(pipeline.id).default_version.id, third.id)
        with self.refused(500 if self.old else 409):
            self.client.upload_pipeline_version(PACKAGES["hello"], "second", pipeline_id=pipeline.id)
        with self.refused(400):
            self.client.upload_pipeline_version(PACKAGES["hello"], "x", pipeline_id="nope")
        with self.assertRaises(ValueError):
            self.client.upload_pipeline_version(PACKAGES["hello"], "x")
        if self.server.multi_user and self.server.generation == "2.17":
            return
        self.assertEqual(self.client.delete_pipeline_version(second.id), {})
        with self.refused(404, 5):
            self.client.delete_pipeline_version(second.id)

    def test_lists_of_versions(self):
        pipeline, mark = self.pipeline().id, unique("page")
        for name in "bca":
            self.client.upload_pipeline_version(PACKAGES["hello"], f"{mark}-{name}", pipeline_id=pipeline)
        self.assertPages(
            lambda **page: self.client.list_pipeline_versions(pipeline, **page), "versions", mark, filters=False
        )

    def test_lists(self):
        mark = unique("page")
        for name in "bca":
            self.client.upload_pipeline(PACKAGES["hello"], f"{mark}-{name}")
        self.assertPages(self.client.list_pipelines, "pipelines", mark)

    def test_delete(self):
        pipeline = self.pipeline()
        if self.server.multi_user and self.server.generation == "2.17":
            # This client's pipelines belong to nobody; only who owns the server's namespace may change them.
            for call in (
                lambda: self.client.delete_pipeline(pipeline.id),
                lambda: self.client.delete_pipeline_version(pipeline.default_version.id),
            ):
                with self.refused(403, 7):
                    call()
            return
        if not self.old:
            # Versions go with their pipeline on servers of 1.8 alone.
            with self.refused(400, 3):
                self.client.delete_pipeline(pipeline.id)
            self.client.delete_pipeline_version(pipeline.default_version.id)
        self.assertEqual(self.client.delete_pipeline(pipeline.id), {})
        for call in (self.client.get_pipeline, self.client.delete_pipeline):
            with self.not_found(f"Pipeline {pipeline.id}"):
                call(pipeline.id)


@against(*every(*GENERATIONS))
class Runs(Case1):
    def test_run_of_a_package(self):
        experiment = self.experiment().id
        run = self.client.run_pipeline(experiment, "named", PACKAGES["hello"], {"text": "you", "count": 2})
        # Servers of 1.8 say nothing before the first report.
        self.assertEqual((run.name, run.status), ("named", None if self.old else "Pending"))
        self.assertEqual(self.referred(run)["EXPERIMENT"], ("OWNER", experiment))
        self.assertEqual({p.name: p.value for p in run.pipeline_spec.parameters}, {"text": "you", "count": "2"})
        self.assertEqual(json.loads(run.pipeline_spec.workflow_manifest)["kind"], "Workflow")
        self.assertEqual(run.service_account, "default-editor" if self.server.multi_user else "pipeline-runner")
        self.assertIsNone(run.storage_state)
        self.recent(run.created_at)
        self.assertEqual(run.scheduled_at, EPOCH if self.old else run.created_at)
        self.assertEqual(run.finished_at, EPOCH)
        names = {reference.name for reference in run.resource_references if reference.key.type == "EXPERIMENT"}
        self.assertEqual(names, {self.client.get_experiment(experiment).name if self.old else None})

    def test_run_of_an_upload(self):
        pipeline, experiment = self.pipeline(), self.experiment().id
        latest = self.client.run_pipeline(experiment, "r", pipeline_id=pipeline.id, params={"text": "x"})
        self.assertEqual((latest.pipeline_spec.pipeline_id, latest.pipeline_spec.pipeline_name), (pipeline.id, pipeline.name))
        version = pipeline.default_version.id
        run = self.client.run_pipeline(experiment, "r", version_id=version, service_account="robot")
        self.assertEqual(run.service_account, "robot")
        self.assertEqual(self.referred(run)["PIPELINE_VERSION"], ("CREATOR", version))
        with self.refused(*((404, 5) if self.old else (500, 13))):
            self.client.run_pipeline(experiment, "r", version_id="nope")
        # Where users are checked, the experiment is looked up first.
        with self.refused(*((500, 13) if self.old and not self.server.multi_user else (404, 5))):
            self.client.run_pipeline("nope", "r", version_id=version)
        both = {"pipeline_package_path": PACKAGES["hello"], "version_id": version}
        if self.old:
            with self.refused(400, 3):
                self.client.run_pipeline(experiment, "r", **both)

    def test_refused(self):
        experiment = self.experiment().id
        with self.refused(400, 3, "Unrecognized input parameter: zzz"):
            self.client.run_pipeline(experiment, "r", PACKAGES["hello"], {"zzz": "1"})
        with self.refused(*((400, 3) if self.old else (500, 13))):
            self.client.run_pipeline(experiment, "", PACKAGES["hello"])
        with self.refused(*((400, 3) if self.old else (500, 13))):
            self.client.run_pipeline(experiment, "r")

    def test_caching(self):
        def labels(**keywords):
            workflow = json.loads(self.run_of(**keywords).pipeline_spec.workflow_manifest)
            found = [template.get("metadata", {}).get("labels", {}) for template in workflow["spec"]["templates"]]
            return {label.get("pipelines.kubeflow.org/enable_caching") for label in found} - {None}

        self.assertEqual(labels(), {"true"})
        self.assertEqual(labels(enable_caching=False), {"false"})

    def test_run_from_package_and_function(self):
        name = unique("made")
        made = self.client.create_run_from_pipeline_package(
            PACKAGES["hello"], {"text": "x"}, "named", experiment_name=name, namespace=self.namespace
        )
        with servers.fast():
            ended = made.wait_for_run_completion(servers.END_LIMIT).run
        self.assertEqual((ended.id, ended.name, ended.status), (made.run_id, "named", "Succeeded"))
        experiment = self.client.get_experiment(experiment_name=name).id
        self.assertEqual(self.referred(ended)["EXPERIMENT"], ("OWNER", experiment))
        self.assertIn(made.run_id, repr(made))

    def test_experiment_of_the_environment(self):
        default = unique("default")
        names = []
        for changes in ({}, {"KF_PIPELINES_DEFAULT_EXPERIMENT_NAME": default}):
            with unittest.mock.patch.dict(os.environ, changes):
                made = self.client.create_run_from_pipeline_func(hello, {}).run_info
            names.append(self.client.get_experiment(self.referred(made)["EXPERIMENT"][1]).name)
        self.assertEqual(names, ["Default", default])

    def test_success(self):
        detail = self.ended(self.run_of())
        self.assertEqual(detail.run.status, "Succeeded")
        self.assertIsNone(detail.run.error)
        self.assertGreaterEqual(detail.run.finished_at, detail.run.created_at)
        workflow = json.loads(detail.pipeline_runtime.workflow_manifest)
        self.assertEqual(workflow["status"]["phase"], "Succeeded")
        self.assertIn("say", {node["displayName"] for node in workflow["status"]["nodes"].values()})

    def test_failure_and_time(self):
        self.assertEqual(self.ended(self.run_of("fails")).run.status, "Failed")
        run = self.run_of("hangs")
        with servers.fast(), self.assertRaises(TimeoutError):
            self.client.wait_for_run_completion(run.id, 0)
        with self.not_found("Run nope"):
            self.client.get_run("nope")

    def test_lists(self):
        mark, experiment = unique("page"), self.experiment().id
        made = [self.client.run_pipeline(experiment, f"{mark}-{name}", PACKAGES["hello"]).id for name in "bca"]
        self.assertPages(lambda **page: self.client.list_runs(namespace=self.namespace, **page), "runs", mark)
        self.assertEqual({run.id for run in self.client.list_runs(experiment_id=experiment).runs}, set(made))
        if self.server.multi_user:
            return
        if self.old:
            self.assertIsNone(self.client.list_runs(experiment_id="nope").runs)
        else:
            with self.not_found("Experiment nope"):
                self.client.list_runs(experiment_id="nope")

    def test_filters(self):
        experiment = self.experiment().id
        good, bad = self.run_of(experiment=experiment), self.run_of("fails", experiment=experiment)
        self.ended(good), self.ended(bad)

        def found(*predicate, **value):
            listed = self.client.list_runs(experiment_id=experiment, filter=self.predicate(*predicate, **value)).runs
            return {run.id for run in listed or []}

        self.assertEqual(found("EQUALS", "status", string_value="Succeeded"), {good.id})
        self.assertEqual(found("IN", "status", string_values={"values": ["Failed", "Succeeded"]}), {good.id, bad.id})
        self.assertEqual(found("EQUALS", "id", string_value=bad.id), {bad.id})
        newer = lambda: found("EQUALS", "run_id", string_value=bad.id)  # noqa: E731
        if self.old:
            with self.refused(400, 3, "no support for filtering on unrecognized field"):
                newer()
        else:
            self.assertEqual(newer(), {bad.id})


@against(*every(*GENERATIONS))
class RecurringRuns(Case1):
    def recurring(self, **keywords):
        keywords.setdefault("experiment_id", self.experiment().id)
        if "pipeline_id" not in keywords and "version_id" not in keywords:
            keywords.setdefault("pipeline_package_path", PACKAGES["hello"])
        keywords.setdefault("job_name", unique("recurring"))
        made = self.client.create_recurring_run(**keywords)
        self.addCleanup(self.forget, made.id)
        return made

    def forget(self, job_id):
        try:
            self.client.delete_job(job_id)
        except self.Refused as error:
            self.assertEqual(error.status, 404)

    def test_interval(self):
        experiment = self.experiment().id
        made = self.recurring(
            experiment_id=experiment, description="each hour", interval_second=3600, max_concurrency=3, no_catchup=True,
            start_time="2030-01-01T00:00:00Z", end_time="2031-01-01T00:00:00Z", params={"text": "x"}, enabled=False,
            service_account="robot",
        )
        schedule = made.trigger.periodic_schedule
        self.assertEqual((schedule.interval_second, made.max_concurrency), ("3600", "3"))
        self.assertEqual((schedule.start_time.year, schedule.end_time.year), (2030, 2031))
        self.assertEqual((made.description, made.enabled, made.no_catchup), ("each hour", None, True))
        self.assertEqual(self.referred(made)["EXPERIMENT"], ("OWNER", experiment))
        self.assertEqual([(p.name, p.value) for p in made.pipeline_spec.parameters], [("text", "x")])
        self.assertEqual(made.service_account, "robot")
        self.assertEqual(made.status, "NO_STATUS" if self.old else "STATUS_UNSPECIFIED")
        self.recent(made.created_at)
        self.recent(made.updated_at)
        self.assertEqual(self.client.get_recurring_run(made.id).id, made.id)

    def test_cron_of_an_upload(self):
        pipeline = self.pipeline()
        for source in ({"pipeline_id": pipeline.id}, {"version_id": pipeline.default_version.id}):
            made = self.recurring(cron_expression="0 0 9 ? * 2-6", **source)
            self.assertEqual((made.trigger.cron_schedule.cron, made.enabled), ("0 0 9 ? * 2-6", True))

    def test_refused(self):
        for keywords in ({}, {"interval_second": 1, "cron_expression": "@hourly"}):
            with self.assertRaises(ValueError):
                self.recurring(**keywords)
        for keywords in (
            {"interval_second": 60, "max_concurrency": 0},
            {"interval_second": 60, "max_concurrency": 11},
            {"cron_expression": "every day"},
        ):
            with self.subTest(**keywords), self.refused(400, 3):
                self.recurring(**keywords)
        if self.old:
            # No name is no fault to them.
            self.assertIsNone(self.recurring(job_name="", interval_second=60).name)
        else:
            with self.refused(500, 13):
                self.recurring(job_name="", interval_second=60)

    def test_disable_and_delete(self):
        made = self.recurring(interval_second=3600).id
        self.assertEqual(self.client.disable_job(made), {})
        self.assertIsNone(self.client.get_recurring_run(made).enabled)
        self.assertEqual(self.client.delete_job(made), {})
        for call in (self.client.get_recurring_run, self.client.delete_job, self.client.disable_job):
            with self.refused(404, 5):
                call(made)

    def test_lists(self):
        mark, experiment = unique("page"), self.experiment().id
        made = [
            self.recurring(experiment_id=experiment, job_name=f"{mark}-{name}", interval_second=3600).id for name in "bca"
        ]
        self.assertPages(
            lambda **page: self.client.list_recurring_runs(experiment_id=experiment, **page), "jobs", mark
        )
        self.assertEqual(
            {job.id for job in self.client.list_recurring_runs(experiment_id=experiment).jobs}, set(made)
        )

    def test_runs_are_made(self):
        experiment = self.experiment().id
        made = self.recurring(experiment_id=experiment, interval_second=1, max_concurrency=2, params={"text": "again"})

        def runs():
            rows = self.client.list_runs(experiment_id=experiment).runs or []
            return rows if len(rows) > 1 else None

        rows = harness.until("two runs are made", runs, 30)
        self.client.delete_job(made.id)
        for run in rows:
            self.assertEqual(self.referred(run)["JOB"], ("CREATOR", made.id))
        self.assertEqual(self.ended(rows[0]).run.status, "Succeeded")


class ThroughTheGateway(Case1):
    """With the cookie of a session, as users outside the cluster have it."""

    RELEASES = {"1.8": "1.6", "2.5": "1.9", "2.17": "1.11"}

    def setUp(self):
        self.addCleanup(servers.context)

    def test_session(self):
        for generation, release in self.RELEASES.items():
            with self.subTest(generation), harness.sandbox("--simulate", "--kfp", generation, "--release", release) as box:
                login = harness.run("login", "--url", box.url, "--username", box.username, password=box.password)
                self.assertEqual(login.status, 0, login.err)
                servers.context()
                client = kfp.Client(
                    host=box.kfp_url, cookies=f"{login.report['name']}={login.report['value']}", namespace=box.namespace
                )
                self.assertIs(client.get_kfp_healthz().multi_user, True)
                made = client.create_run_from_pipeline_func(hello, {}, experiment_name="gateway")
                with servers.fast():
                    self.assertEqual(made.wait_for_run_completion(servers.END_LIMIT).run.status, "Succeeded")
                pipeline = client.upload_pipeline(PACKAGES["hello"], "gateway")
                self.assertEqual(client.get_pipeline(pipeline.id).name, "gateway")
                with self.assertRaises(self.Refused) as caught:
                    client.runs.report_run_metrics(made.run_id, {"metrics": []})
                self.assertEqual(caught.exception.status, 403)


class EveryMethod(unittest.TestCase):
    """The list of methods comes from the class itself, so that a method which nobody has called fails here."""

    def test_all_were_driven(self):
        self.assertGreater(len(METHODS), 25)
        for server in every(*GENERATIONS):
            with self.subTest(str(server)):
                self.assertEqual(DRIVEN.missing(server, METHODS), [])


if __name__ == "__main__":
    harness.main()
