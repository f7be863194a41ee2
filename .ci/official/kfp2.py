"""The official client of 2.x through all its methods, against each generation of servers that it supports.

    VENV/bin/python .ci/official/kfp2.py        # VENV has kfp 2.x

What a test expects is what the real servers of these generations answer, refusals included.
"""

import os
import sys
import unittest
import unittest.mock
import warnings

import servers
from client2 import DRIVEN, METHODS, PACKAGES, Case2, fails, hello, kfp, package, written
from servers import EPOCH, Server, against, every, harness, unique

GENERATIONS = ("2.5", "2.17")


def load_tests(*_):
    return servers.suite(sys.modules[__name__], EveryMethod)


@against(*every(*GENERATIONS))
class Health(Case2):
    def test_health(self):
        health = self.client.get_kfp_healthz()
        self.assertIs(health.multi_user, self.server.multi_user)
        self.assertEqual(health.pipeline_store, "database" if self.server.generation == "2.17" else None)


@against(*every(*GENERATIONS))
class Namespace(Case2):
    def test_context_file(self):
        self.assertEqual(self.client.get_user_namespace(), self.namespace or "")
        self.client.set_user_namespace("team-z")
        self.assertEqual(self.client.get_user_namespace(), "team-z")
        again = kfp.Client(host=self.server.url)
        self.assertEqual(again.get_user_namespace(), "team-z")
        if not self.server.multi_user:
            # A namespace means nothing here; nobody is refused.
            self.assertTrue(again.list_experiments().experiments)
            return
        with self.refused(403, 7, f"User '{self.server.box.username}' is not authorized"):
            again.list_experiments()

    def test_argument_comes_before_the_file(self):
        self.assertEqual(self.connect(namespace="team-y").get_user_namespace(), "team-y")

    def test_lists_without_a_namespace(self):
        self.client.set_user_namespace("")
        if not self.server.multi_user:
            self.assertIsNotNone(self.client.list_experiments().experiments)
            self.assertIsNone(self.client.list_runs(filter=self.predicate("EQUALS", "run_id", string_value="-")).runs)
            self.client.list_recurring_runs()
            return
        with self.refused(400, 3, "An experiment cannot have an empty namespace in multi-user mode"):
            self.client.list_experiments()
        with self.refused(400, 3):
            self.client.list_runs()
        with self.refused(400, 3):
            self.client.list_recurring_runs()
        # Pipelines may be shared by all namespaces.
        self.client.list_pipelines()

    def test_without_identity(self):
        run = self.run_of()
        nobody = self.connect(user="", existing_token="no-such-token")
        if not self.server.multi_user:
            self.assertEqual(nobody.get_run(run.run_id).run_id, run.run_id)
            return
        for call in (
            lambda: nobody.get_run(run.run_id),
            lambda: nobody.list_experiments(namespace=self.namespace),
            lambda: nobody.list_runs(namespace=self.namespace),
            lambda: nobody.delete_run(run.run_id),
        ):
            with self.refused(401, 16):
                call()
        # What is missing or is nothing is said first.
        with self.not_found("Run nope"):
            nobody.get_run("nope")
        with self.refused(400, 3):
            nobody.list_experiments()

    def test_foreign_namespace(self):
        run, experiment = self.run_of(), self.experiment()
        pipeline = self.pipeline()
        stranger = self.stranger()
        if not self.server.multi_user:
            self.assertEqual(stranger.get_run(run.run_id).run_id, run.run_id)
            return
        says = f"User '{servers.FOREIGNER}' is not authorized"
        for call in (
            lambda: stranger.list_experiments(),
            lambda: stranger.list_runs(),
            lambda: stranger.list_runs(experiment_id=experiment.experiment_id),
            lambda: stranger.list_recurring_runs(namespace=self.namespace),
            lambda: stranger.list_pipelines(namespace=self.namespace),
            lambda: stranger.create_experiment("x"),
            lambda: stranger.get_experiment(experiment.experiment_id),
            lambda: stranger.archive_experiment(experiment.experiment_id),
            lambda: stranger.delete_experiment(experiment.experiment_id),
            lambda: stranger.get_pipeline(pipeline.pipeline_id),
            lambda: stranger.delete_pipeline(pipeline.pipeline_id),
            lambda: stranger.run_pipeline(experiment.experiment_id, "x", PACKAGES["hello"]),
            lambda: stranger.get_run(run.run_id),
            lambda: stranger.terminate_run(run.run_id),
            lambda: stranger.archive_run(run.run_id),
            lambda: stranger.delete_run(run.run_id),
        ):
            with self.refused(403, 7, says):
                call()
        # The upload handler has one status for all that it refuses.
        with self.refused(400):
            stranger.upload_pipeline(PACKAGES["hello"], unique("x"), namespace=self.namespace)


@against(*every(*GENERATIONS))
class Experiments(Case2):
    def test_create_get_or_create(self):
        name = unique("Experiment")
        made = self.client.create_experiment(name, "what for", self.namespace)
        self.assertEqual((made.display_name, made.description), (name, "what for"))
        self.assertEqual((made.namespace, made.storage_state), (self.namespace, "AVAILABLE"))
        self.recent(made.created_at)
        self.assertEqual(made.last_run_created_at, EPOCH)
        self.assertEqual(self.client.create_experiment(name).experiment_id, made.experiment_id)
        # The database compares names without case.
        self.assertEqual(self.client.create_experiment(name.upper()).experiment_id, made.experiment_id)
        self.assertEqual(self.client.get_experiment(made.experiment_id), made)
        self.assertEqual(self.client.get_experiment(experiment_name=name), made)

    def test_get_what_is_not_there(self):
        with self.not_found("Experiment nope"):
            self.client.get_experiment("nope")
        with self.assertRaisesRegex(ValueError, "No experiment is found with name nope"):
            self.client.get_experiment(experiment_name="nope")
        with self.assertRaises(ValueError):
            self.client.get_experiment()

    def test_default_experiment(self):
        if self.server.multi_user:
            names = [row.display_name for row in self.client.list_experiments(page_size=200).experiments or []]
            made_here = self.client.create_experiment("Default")
            self.assertEqual(made_here.namespace, self.namespace)
            self.client.delete_experiment(made_here.experiment_id)
            self.assertLessEqual(names.count("Default"), 1)
            return
        default = self.client.get_experiment(experiment_name="Default")
        with self.refused(409, 10, "The default experiment cannot be deleted"):
            self.client.delete_experiment(default.experiment_id)

    def test_names_that_the_filter_of_the_client_breaks(self):
        # The server reads a filter as a query a second time, and this client escapes it once.
        with self.refused(400, 3, "failed to parse valid filter from"):
            self.client.create_experiment(f"100% {unique('x')}")
        plus = f"a+{unique('x')}"
        self.client.create_experiment(plus)
        with self.refused(409, 6, f"The name {plus} already exists"):
            self.client.create_experiment(plus)

    def test_names_of_all_letters(self):
        name = f"Füß 日本 {unique('x')}"
        self.assertEqual(self.client.create_experiment(name).display_name, name)
        with self.refused(500, 13):
            self.client.create_experiment(f"😀 {unique('x')}")

    def test_empty_name(self):
        with self.refused(500, 13, "Experiment must have a non-empty name"):
            self.client.create_experiment("")

    def test_long_name(self):
        name = unique("x").ljust(129, "n")
        if self.server.generation == "2.17":
            with self.refused(500, 13):
                self.client.create_experiment(name)
        else:
            self.assertEqual(self.client.create_experiment(name).display_name, name)

    def test_archive(self):
        experiment = self.experiment().experiment_id
        run = self.run_of(experiment=experiment).run_id
        recurring = self.client.create_recurring_run(
            experiment, "r", interval_second=3600, pipeline_package_path=PACKAGES["hello"]
        ).recurring_run_id
        self.assertEqual(self.client.archive_experiment(experiment), {})
        self.client.archive_experiment(experiment)
        self.assertEqual(self.client.get_experiment(experiment).storage_state, "ARCHIVED")
        self.assertEqual(self.client.get_run(run).storage_state, "ARCHIVED")
        self.assertEqual(self.client.get_recurring_run(recurring).status, "DISABLED")
        with self.refused(400, 9):
            self.client.unarchive_run(run)
        # New runs are taken all the same.
        self.assertEqual(self.run_of(experiment=experiment).storage_state, "AVAILABLE")
        self.assertEqual(self.client.unarchive_experiment(experiment), {})
        self.assertEqual(self.client.get_experiment(experiment).storage_state, "AVAILABLE")
        self.assertEqual(self.client.get_run(run).storage_state, "ARCHIVED")
        self.assertEqual(self.client.get_recurring_run(recurring).status, "DISABLED")

    def test_archive_what_is_not_there(self):
        if self.server.multi_user:
            with self.not_found("Experiment nope"):
                self.client.archive_experiment("nope")
        else:
            self.assertEqual(self.client.archive_experiment("nope"), {})

    def test_delete(self):
        experiment = self.experiment().experiment_id
        run = self.run_of(experiment=experiment).run_id
        self.assertEqual(self.client.delete_experiment(experiment), {})
        with self.not_found(f"Experiment {experiment}"):
            self.client.get_experiment(experiment)
        with self.not_found(f"Experiment {experiment}"):
            self.client.delete_experiment(experiment)
        self.assertEqual(self.client.get_run(run).experiment_id, experiment)

    def test_lists(self):
        mark = unique("page")
        for name in "bca":
            self.client.create_experiment(f"{mark}-{name}")
        chosen = self.predicate("IS_SUBSTRING", "display_name", string_value=mark)
        self.assertPages(
            lambda **page: self.client.list_experiments(namespace=self.namespace, **page), "experiments", chosen, mark
        )

    def test_filters(self):
        name = unique("filtered")
        made = self.client.create_experiment(name, "described")

        def found(*predicate, **value):
            rows = self.client.list_experiments(page_size=200, filter=self.predicate(*predicate, **value)).experiments
            return made.experiment_id in [row.experiment_id for row in rows or []]

        self.assertTrue(found("EQUALS", "experiment_id", string_value=made.experiment_id))
        self.assertTrue(found("EQUALS", "name", string_value=name))
        # Numbers of operations and camelCase are read, too.
        self.assertTrue(found(1, "display_name", stringValue=name))
        self.assertTrue(found("IN", "id", string_values={"values": ["x", made.experiment_id]}))
        self.assertTrue(found("GREATER_THAN", "created_at", timestamp_value="2020-01-01T00:00:00Z"))
        self.assertFalse(found("LESS_THAN", "created_at", timestamp_value="2020-01-01T00:00:00Z"))
        self.assertTrue(found("EQUALS", "storage_state", string_value="AVAILABLE"))
        self.assertFalse(found("EQUALS", "storage_state", string_value="ARCHIVED"))
        self.assertFalse(found("NOT_EQUALS", "display_name", string_value=name))


@against(*every(*GENERATIONS))
class Pipelines(Case2):
    def test_upload(self):
        name = unique("pipeline")
        made = self.client.upload_pipeline(PACKAGES["hello"], name, "what it is", self.namespace)
        self.assertEqual((made.display_name, made.description), (name, "what it is"))
        self.assertEqual(made.namespace, self.namespace)
        self.recent(made.created_at)
        self.assertEqual(self.client.get_pipeline(made.pipeline_id), made)
        # The client asks for it without a namespace, that is among the shared ones.
        self.assertEqual(self.client.get_pipeline_id(name), None if self.server.multi_user else made.pipeline_id)
        version = self.only_version(made.pipeline_id)
        self.assertEqual((version.display_name, version.description), (name, "what it is"))
        self.assertEqual(version.pipeline_id, made.pipeline_id)
        self.assertEqual(version.pipeline_spec["pipelineInfo"]["name"], "hello")
        self.assertEqual(version.pipeline_spec["schemaVersion"], "2.1.0")
        # What a name is apart from its label came with 2.14.
        named = name if self.server.generation == "2.17" else None
        self.assertEqual((made.name, version.name), (named, named))

    def test_name_of_the_document(self):
        made = self.client.upload_pipeline_from_pipeline_func(fails, namespace=self.namespace)
        self.addCleanup(self.remove, made.pipeline_id)
        self.assertEqual(made.display_name, "fails")
        self.assertEqual(self.only_version(made.pipeline_id).display_name, "fails")

    def remove(self, pipeline_id):
        for version in self.client.list_pipeline_versions(pipeline_id, page_size=100).pipeline_versions or []:
            self.client.delete_pipeline_version(pipeline_id, version.pipeline_version_id)
        self.client.delete_pipeline(pipeline_id)

    def test_kinds_of_files(self):
        for name in ("pipeline.yaml", "other.yml", "pipeline.zip", "pipeline.tar.gz", "pipeline.tgz"):
            with self.subTest(name):
                made = self.client.upload_pipeline(package(hello, name), unique("kind"), namespace=self.namespace)
                spec = self.only_version(made.pipeline_id).pipeline_spec
                self.assertEqual(spec["pipelineInfo"]["name"], "hello")

    def test_platform(self):
        platform = '{"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}'
        with open(PACKAGES["hello"], encoding="utf-8") as compiled:
            both = written(compiled.read() + "\n---\n" + platform, "pipeline.yaml")
        made = self.client.upload_pipeline(both, unique("platform"), namespace=self.namespace)
        spec = self.only_version(made.pipeline_id).pipeline_spec
        self.assertEqual(sorted(spec), ["pipeline_spec", "platform_spec"])
        self.assertIn("kubernetes", spec["platform_spec"]["platforms"])

    def test_uploads_that_are_refused(self):
        new = self.server.generation == "2.17"
        name = self.pipeline().display_name
        with self.refused(409, says="Failed to create a pipeline and a pipeline version"):
            self.client.upload_pipeline(PACKAGES["hello"], name, namespace=self.namespace)
        with self.refused(400 if new else 500, says="unknown template format"):
            self.client.upload_pipeline(written("a: 1\n", "p.yaml"), unique("bad"), namespace=self.namespace)
        with self.refused(400):
            self.client.upload_pipeline(written("a: 1\n", "p.txt"), unique("bad"), namespace=self.namespace)
        with open(PACKAGES["hello"], encoding="utf-8") as compiled:
            future = written(compiled.read().replace("schemaVersion: 2.1.0", "schemaVersion: 2.2.0"), "p.yaml")
        with self.refused(400 if new else 500, says="KFP only supports schema version 2.1.0"):
            self.client.upload_pipeline(future, unique("bad"), namespace=self.namespace)
        with self.assertRaises(ValueError):
            self.client.upload_pipeline(PACKAGES["hello"], "")

    def test_versions(self):
        pipeline = self.pipeline()
        first = self.only_version(pipeline.pipeline_id)
        second = self.client.upload_pipeline_version(
            PACKAGES["wants"], "second", pipeline_id=pipeline.pipeline_id, description="better"
        )
        self.assertEqual((second.display_name, second.description), ("second", "better"))
        self.assertEqual(second.pipeline_id, pipeline.pipeline_id)
        named = {"pipeline_name": pipeline.display_name}
        if self.server.multi_user:
            # The client does not find the name and sends no id at all.
            with self.refused(400):
                self.client.upload_pipeline_version(PACKAGES["wants"], "third", **named)
            named = {"pipeline_id": pipeline.pipeline_id}
        third = self.client.upload_pipeline_version(PACKAGES["wants"], "third", **named)
        fourth = self.client.upload_pipeline_version_from_pipeline_func(
            hello, "fourth", pipeline_id=pipeline.pipeline_id
        )
        ids = {version.pipeline_version_id for version in (first, second, third, fourth)}
        listed = self.client.list_pipeline_versions(pipeline.pipeline_id, page_size=10)
        self.assertEqual({version.pipeline_version_id for version in listed.pipeline_versions}, ids)
        self.assertEqual(listed.total_size, 4)
        got = self.client.get_pipeline_version(pipeline.pipeline_id, second.pipeline_version_id)
        self.assertEqual(got, second)
        # The pipeline's id is not looked at.
        self.assertEqual(self.client.get_pipeline_version("nope", second.pipeline_version_id), second)
        with self.refused(404, 5):
            self.client.get_pipeline_version(pipeline.pipeline_id, "nope")
        with self.refused(409, says="Failed to create a pipeline version"):
            self.client.upload_pipeline_version(PACKAGES["hello"], "second", pipeline_id=pipeline.pipeline_id)
        with self.refused(400):
            self.client.upload_pipeline_version(PACKAGES["hello"], "x", pipeline_id="nope")
        with self.assertRaises(ValueError):
            self.client.upload_pipeline_version(PACKAGES["hello"], "x")

    def test_lists_of_versions(self):
        pipeline, mark = self.pipeline().pipeline_id, unique("page")
        for name in "bca":
            self.client.upload_pipeline_version(PACKAGES["hello"], f"{mark}-{name}", pipeline_id=pipeline)
        chosen = self.predicate("IS_SUBSTRING", "display_name", string_value=mark)
        self.assertPages(
            lambda **page: self.client.list_pipeline_versions(pipeline, **page), "pipeline_versions", chosen, mark
        )

    def test_lists(self):
        mark = unique("page")
        for name in "bca":
            self.client.upload_pipeline(PACKAGES["hello"], f"{mark}-{name}", namespace=self.namespace)
        chosen = self.predicate("IS_SUBSTRING", "display_name", string_value=mark)
        self.assertPages(
            lambda **page: self.client.list_pipelines(namespace=self.namespace, **page), "pipelines", chosen, mark
        )
        self.assertIsNone(self.client.get_pipeline_id(unique("nothing")))

    def test_shared_pipelines(self):
        name = unique("shared")
        shared = self.client.upload_pipeline(PACKAGES["hello"], name)
        self.assertIsNone(shared.namespace)
        chosen = self.predicate("EQUALS", "display_name", string_value=name)
        self.assertEqual(self.client.list_pipelines(filter=chosen).pipelines, [shared])
        if not self.server.multi_user:
            return
        self.assertIsNone(self.client.list_pipelines(filter=chosen, namespace=self.namespace).pipelines)
        # Everybody may read and upload them; from 2.17 on who changes them has to own the server's namespace.
        nobody = self.connect(user="")
        self.assertEqual(nobody.get_pipeline(shared.pipeline_id), shared)
        self.assertIsNone(nobody.upload_pipeline(PACKAGES["hello"], unique("shared")).namespace)
        version = self.only_version(shared.pipeline_id).pipeline_version_id
        if self.old_errors():
            # Before 2.17 nobody is asked who deletes them.
            nobody.delete_pipeline_version(shared.pipeline_id, version)
            nobody.delete_pipeline(shared.pipeline_id)
            return
        for call in (
            lambda client: client.delete_pipeline(shared.pipeline_id),
            lambda client: client.delete_pipeline_version(shared.pipeline_id, version),
        ):
            with self.refused(401, 16):
                call(nobody)
            with self.refused(403, 7):
                call(self.client)

    def test_delete(self):
        pipeline = self.pipeline().pipeline_id
        version = self.only_version(pipeline).pipeline_version_id
        with self.refused(400, 3):
            self.client.delete_pipeline(pipeline)
        self.assertEqual(self.client.delete_pipeline_version(pipeline, version), {})
        with self.refused(404, 5):
            self.client.get_pipeline_version(pipeline, version)
        self.assertIsNone(self.client.list_pipeline_versions(pipeline).pipeline_versions)
        self.assertEqual(self.client.delete_pipeline(pipeline), {})
        with self.not_found(f"Pipeline {pipeline}"):
            self.client.get_pipeline(pipeline)
        with self.refused(404, 5):
            self.client.delete_pipeline(pipeline)


@against(*every(*GENERATIONS))
class Runs(Case2):
    def test_run_of_a_package(self):
        experiment = self.experiment().experiment_id
        run = self.client.run_pipeline(
            experiment, "named", PACKAGES["hello"], {"text": "you", "count": 2}, pipeline_root="s3://bucket/root"
        )
        self.assertEqual((run.display_name, run.experiment_id, run.state), ("named", experiment, "PENDING"))
        self.assertEqual(run.runtime_config.parameters, {"text": "you", "count": 2})
        self.assertEqual(run.runtime_config.pipeline_root, "s3://bucket/root")
        self.assertEqual(run.pipeline_spec["pipelineInfo"]["name"], "hello")
        self.assertIsNone(run.pipeline_version_reference)
        self.assertEqual(run.storage_state, "AVAILABLE")
        self.assertEqual(run.service_account, "default-editor" if self.server.multi_user else "pipeline-runner")
        self.recent(run.created_at)
        self.assertEqual(run.scheduled_at, run.created_at)
        self.assertEqual(run.finished_at, EPOCH)
        self.assertEqual([entry.state for entry in run.state_history], ["PENDING"])
        self.assertIsNone(run.run_details)
        self.assertIsNone(run.error)
        self.recent(self.client.get_experiment(experiment).last_run_created_at)

    def test_run_of_a_version(self):
        pipeline = self.pipeline().pipeline_id
        version = self.only_version(pipeline).pipeline_version_id
        experiment = self.experiment().experiment_id
        run = self.client.run_pipeline(
            experiment, "r", pipeline_id=pipeline, version_id=version, params={"text": "x"}, service_account="robot"
        )
        reference = run.pipeline_version_reference
        self.assertEqual((reference.pipeline_id, reference.pipeline_version_id), (pipeline, version))
        self.assertIsNone(run.pipeline_spec)
        self.assertEqual(run.service_account, "robot")
        with self.assertRaises(ValueError):
            self.client.run_pipeline(experiment, "r", pipeline_id=pipeline)
        with self.refused(500, 13, "Failed to create a run due to error fetching manifest"):
            self.client.run_pipeline(experiment, "r", pipeline_id=pipeline, version_id="nope")
        with self.refused(404, 5, "Experiment nope not found"):
            self.client.run_pipeline("nope", "r", pipeline_id=pipeline, version_id=version)

    def test_names(self):
        experiment = self.experiment().experiment_id
        with self.refused(500, 13):
            self.client.run_pipeline(experiment, "", PACKAGES["hello"])
        with self.refused(500, 13):
            self.client.run_pipeline(experiment, "n" * 300, PACKAGES["hello"])
        # Names of runs need not be unique.
        one, two = (self.client.run_pipeline(experiment, "same", PACKAGES["hello"]) for _ in range(2))
        self.assertNotEqual(one.run_id, two.run_id)

    def test_parameters(self):
        values = {"text": "t", "ratio": 1, "flag": False, "names": ["x", None], "options": {"deep": [1, 2.5]}}
        run = self.run_of("wants", params=values)
        self.assertEqual(self.client.get_run(run.run_id).runtime_config.parameters, values)
        # A fraction passes for an integer, and integers are exact to 2^53 only.
        self.assertEqual(self.run_of(params={"count": 1.5}).runtime_config.parameters, {"count": 1.5})
        self.assertEqual(self.run_of(params={"count": 2**53 + 1}).runtime_config.parameters, {"count": 2**53})
        macro = {"text": "[[RunUUID]] {{$.pipeline_job_name}}"}
        self.assertEqual(self.run_of(params=macro).runtime_config.parameters, macro)

    def test_parameters_that_are_refused(self):
        for pipeline, params in (
            ("wants", {}),
            ("wants", {"text": "t", "more": 1}),
            ("wants", {"text": 1}),
            ("wants", {"text": None}),
            ("wants", {"text": "t", "ratio": "0.5"}),
            ("wants", {"text": "t", "flag": "true"}),
            ("wants", {"text": "t", "names": {}}),
            ("wants", {"text": "t", "options": []}),
            ("hello", {"count": "1"}),
        ):
            with self.subTest(params=params), self.refused(400, 3):
                self.run_of(pipeline, params=params)

    def test_caching(self):
        def options(**keywords):
            spec = self.run_of(**keywords).pipeline_spec
            return spec["root"]["dag"]["tasks"]["say"]["cachingOptions"]

        self.assertEqual(options(), {"enableCache": True})
        self.assertEqual(options(enable_caching=False), {})
        self.assertEqual(options(enable_caching=True, cache_key="k"), {"enableCache": True, "cacheKey": "k"})

    def test_run_from_package_and_function(self):
        name = unique("made")
        made = self.client.create_run_from_pipeline_package(
            PACKAGES["hello"], {"text": "x"}, "named", experiment_name=name, namespace=self.namespace,
            service_account="robot",
        )
        with servers.fast():
            ended = made.wait_for_run_completion(servers.END_LIMIT)
        self.assertEqual((ended.run_id, ended.display_name, ended.state), (made.run_id, "named", "SUCCEEDED"))
        self.assertEqual(ended.experiment_id, self.client.get_experiment(experiment_name=name).experiment_id)
        self.assertIn(made.run_id, repr(made))
        again = self.client.create_run_from_pipeline_func(hello, {}, experiment_id=ended.experiment_id)
        self.assertTrue(again.run_info.display_name.startswith("hello "))
        self.assertEqual(again.run_info.experiment_id, ended.experiment_id)
        with self.assertRaises(ValueError):
            self.client.create_run_from_pipeline_func(hello, {}, experiment_id="x", experiment_name="y")

    def test_experiment_of_the_environment(self):
        default, override = unique("default"), unique("override")
        names = []
        for changes in (
            {},
            {"KF_PIPELINES_DEFAULT_EXPERIMENT_NAME": default},
            {"KF_PIPELINES_DEFAULT_EXPERIMENT_NAME": default, "KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME": override},
        ):
            with unittest.mock.patch.dict(os.environ, changes), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = self.client.create_run_from_pipeline_func(hello, {}).run_info
            names.append(self.client.get_experiment(made.experiment_id).display_name)
        self.assertEqual(names, ["Default", default, override])

    def test_success(self):
        run = self.ended(self.run_of())
        self.assertEqual(run.state, "SUCCEEDED")
        self.assertEqual([entry.state for entry in run.state_history], ["PENDING", "RUNNING", "SUCCEEDED"])
        self.assertGreaterEqual(run.finished_at, run.created_at)
        tasks = {task.display_name: task.state for task in run.run_details.task_details}
        self.assertEqual((tasks["root"], tasks["say"], tasks["root-driver"]), ("SUCCEEDED",) * 3)
        for task in run.run_details.task_details:
            self.assertEqual(task.run_id, run.run_id)
            self.assertTrue(task.task_id)
            self.recent(task.create_time)

    def test_failure(self):
        run = self.ended(self.run_of("fails"))
        self.assertEqual(run.state, "FAILED")
        # The reason is in the logs alone.
        self.assertIsNone(run.error)
        self.assertEqual([entry.error for entry in run.state_history], [None] * len(run.state_history))

    def test_wait_that_is_too_short(self):
        run = self.run_of("hangs")
        with servers.fast(), self.assertRaises(TimeoutError):
            self.client.wait_for_run_completion(run.run_id, 0)
        with self.not_found("Run nope"):
            self.client.wait_for_run_completion("nope", 1)
        self.client.delete_run(run.run_id)

    def test_terminate(self):
        run = self.run_of("hangs")
        harness.until("it runs", lambda: self.client.get_run(run.run_id).state == "RUNNING", servers.END_LIMIT)
        self.assertEqual(self.client.terminate_run(run.run_id), {})
        self.assertEqual(self.client.get_run(run.run_id).state, "CANCELING")
        with self.refused(400, 3, "Row not found"):
            self.client.terminate_run(run.run_id)
        ended = self.ended(run)
        # Argo reports a terminated workflow as failed; only the history tells.
        self.assertEqual(ended.state, "FAILED")
        self.assertIn("CANCELING", [entry.state for entry in ended.state_history])
        with self.refused(400, 3, "Row not found"):
            self.client.terminate_run(run.run_id)
        with self.not_found("Run nope"):
            self.client.terminate_run("nope")

    def test_retry(self):
        run = self.ended(self.run_of("fails"))
        retry = self.client.runs.run_service_retry_run
        self.assertEqual(retry(run.run_id), {})
        again = self.client.get_run(run.run_id)
        self.assertEqual((again.state, again.finished_at), ("RUNNING", EPOCH))
        states = [entry.state for entry in again.state_history]
        # Older servers forget what was before.
        self.assertEqual(states, ["RUNNING"] if self.old_errors() else ["PENDING", "RUNNING", "FAILED", "RUNNING"])
        with self.refused(409, 10):
            retry(run.run_id)
        self.assertEqual(self.ended(run).state, "FAILED")
        with self.refused(409, 10):
            retry(self.ended(self.run_of()).run_id)
        with self.not_found("Run nope"):
            retry("nope")

    def test_archive(self):
        run = self.run_of().run_id
        self.assertEqual(self.client.archive_run(run), {})
        self.client.archive_run(run)
        self.assertEqual(self.client.get_run(run).storage_state, "ARCHIVED")
        self.assertEqual(self.client.unarchive_run(run), {})
        self.assertEqual(self.client.get_run(run).storage_state, "AVAILABLE")
        for call in (self.client.archive_run, self.client.unarchive_run):
            with self.not_found("Run nope"):
                call("nope")

    def test_delete(self):
        run = self.run_of("hangs").run_id
        self.assertEqual(self.client.delete_run(run), {})
        for call in (self.client.get_run, self.client.delete_run):
            with self.not_found(f"Run {run}"):
                call(run)

    def test_lists(self):
        mark, experiment = unique("page"), self.experiment().experiment_id
        made = {}
        for name in "bca":
            made[name] = self.client.run_pipeline(experiment, f"{mark}-{name}", PACKAGES["hello"])
        chosen = self.predicate("IS_SUBSTRING", "display_name", string_value=mark)
        self.assertPages(
            lambda **page: self.client.list_runs(namespace=self.namespace, **page), "runs", chosen, mark
        )
        listed = self.client.list_runs(experiment_id=experiment)
        self.assertEqual({run.run_id for run in listed.runs}, {run.run_id for run in made.values()})
        with self.not_found("Experiment nope"):
            self.client.list_runs(experiment_id="nope")

    def test_filters(self):
        experiment = self.experiment().experiment_id
        good, bad = self.run_of(experiment=experiment), self.run_of("fails", experiment=experiment)
        self.ended(good), self.ended(bad)

        def found(*predicate, **value):
            listed = self.client.list_runs(experiment_id=experiment, filter=self.predicate(*predicate, **value)).runs
            return {run.run_id for run in listed or []}

        both = {good.run_id, bad.run_id}
        self.assertEqual(found("EQUALS", "state", string_value="SUCCEEDED"), {good.run_id})
        self.assertEqual(found("EQUALS", "state", string_value="failed"), {bad.run_id})
        self.assertEqual(found("IN", "state", string_values={"values": ["FAILED", "SUCCEEDED"]}), both)
        self.assertEqual(found("EQUALS", "run_id", string_value=bad.run_id), {bad.run_id})
        self.assertEqual(found("GREATER_THAN", "finished_at", timestamp_value="2020-01-01T00:00:00Z"), both)
        self.assertEqual(found("EQUALS", "experiment_id", string_value=experiment), both)
        self.assertEqual(found("EQUALS", "storage_state", string_value="ARCHIVED"), set())
        with self.refused(400, 3):
            found("IN", "state", string_value="FAILED")
        with self.refused(400, 3):
            found("EQUALS", "state")
        with self.refused(400, 3):
            found("IS_SUBSTRING", "state", int_value=1)
        with self.refused(400, 3, "failed to parse valid filter from"):
            found("GREATER_THAN", "created_at", timestamp_value="yesterday")


@against(*every(*GENERATIONS))
class RecurringRuns(Case2):
    def recurring(self, **keywords):
        keywords.setdefault("pipeline_package_path", PACKAGES["hello"])
        keywords.setdefault("experiment_id", self.experiment().experiment_id)
        made = self.client.create_recurring_run(job_name=unique("recurring"), **keywords)
        self.addCleanup(self.forget, made.recurring_run_id)
        return made

    def forget(self, recurring_run_id):
        try:
            self.client.delete_recurring_run(recurring_run_id)
        except self.Refused as error:
            self.assertEqual(error.status, 404)

    def test_interval(self):
        experiment = self.experiment().experiment_id
        made = self.recurring(
            experiment_id=experiment, description="each hour", interval_second=3600, max_concurrency=3, no_catchup=True,
            start_time="2030-01-01T00:00:00Z", end_time="2031-01-01T00:00:00Z", params={"text": "x"}, enabled=False,
            service_account="robot",
        )
        schedule = made.trigger.periodic_schedule
        # 64-bit numbers are texts.
        self.assertEqual((schedule.interval_second, made.max_concurrency), ("3600", "3"))
        self.assertEqual((schedule.start_time.year, schedule.end_time.year), (2030, 2031))
        self.assertIsNone(made.trigger.cron_schedule)
        self.assertEqual((made.description, made.experiment_id), ("each hour", experiment))
        self.assertEqual((made.mode, made.status, made.no_catchup), ("DISABLE", "DISABLED", True))
        self.assertEqual(made.runtime_config.parameters, {"text": "x"})
        self.assertEqual(made.pipeline_spec["pipelineInfo"]["name"], "hello")
        self.assertEqual(made.service_account, "robot")
        self.assertEqual(made.namespace, self.namespace or "kubeflow")
        self.recent(made.created_at)
        self.recent(made.updated_at)
        self.assertEqual(self.client.get_recurring_run(made.recurring_run_id), made)

    def test_cron_of_a_version(self):
        pipeline = self.pipeline().pipeline_id
        version = self.only_version(pipeline).pipeline_version_id
        made = self.recurring(
            pipeline_package_path=None, pipeline_id=pipeline, version_id=version, cron_expression="0 0 9 ? * 2-6"
        )
        self.assertEqual(made.trigger.cron_schedule.cron, "0 0 9 ? * 2-6")
        self.assertIsNone(made.trigger.periodic_schedule)
        self.assertEqual(made.pipeline_version_reference.pipeline_version_id, version)
        self.assertEqual((made.mode, made.status, made.max_concurrency), ("ENABLE", "ENABLED", "1"))

    def test_refused(self):
        for keywords in ({}, {"interval_second": 1, "cron_expression": "@hourly"}):
            with self.assertRaises(ValueError):
                self.recurring(**keywords)
        for keywords in (
            {"interval_second": 60, "max_concurrency": 0},
            {"interval_second": 60, "max_concurrency": 11},
            {"cron_expression": "every day"},
            {"cron_expression": "61 * * * * *"},
            {"interval_second": 60, "params": {"count": "1"}},
            {"interval_second": 60, "params": {"more": "1"}},
        ):
            with self.subTest(**keywords), self.refused(400, 3):
                self.recurring(**keywords)
        with self.refused(404, 5, "Experiment nope not found"):
            self.recurring(experiment_id="nope", interval_second=60)

    def test_five_fields_and_words(self):
        for expression in ("0 * * * *", "@every 1h30m", "@daily"):
            self.assertEqual(self.recurring(cron_expression=expression).trigger.cron_schedule.cron, expression)

    def test_enable_and_disable(self):
        made = self.recurring(interval_second=3600)
        self.assertEqual(self.client.disable_recurring_run(made.recurring_run_id), {})
        disabled = self.client.get_recurring_run(made.recurring_run_id)
        self.assertEqual((disabled.status, disabled.mode), ("DISABLED", "DISABLE"))
        self.assertEqual(self.client.enable_recurring_run(made.recurring_run_id), {})
        self.assertEqual(self.client.get_recurring_run(made.recurring_run_id).status, "ENABLED")

    def test_older_names(self):
        made = self.recurring(interval_second=3600).recurring_run_id
        with self.assertWarns(DeprecationWarning):
            self.client.disable_job(made)
        with self.assertWarns(DeprecationWarning):
            self.assertEqual(self.client.get_recurring_run("", job_id=made).status, "DISABLED")
        with self.assertWarns(DeprecationWarning):
            self.client.enable_job(made)
        self.assertEqual(self.client.get_recurring_run(made).status, "ENABLED")
        with self.assertWarns(DeprecationWarning):
            self.assertEqual(self.client.delete_job(made), {})
        with self.not_found(f"Job {made}"):
            self.client.get_recurring_run(made)

    def test_delete(self):
        made = self.recurring(interval_second=3600).recurring_run_id
        self.assertEqual(self.client.delete_recurring_run(made), {})
        for call in (
            self.client.get_recurring_run, self.client.delete_recurring_run, self.client.enable_recurring_run,
            self.client.disable_recurring_run,
        ):
            with self.refused(404, 5):
                call(made)

    def test_lists(self):
        mark, experiment = unique("page"), self.experiment().experiment_id
        made = {}
        for name in "bca":
            made[name] = self.client.create_recurring_run(
                experiment, f"{mark}-{name}", interval_second=3600, pipeline_package_path=PACKAGES["hello"]
            ).recurring_run_id
            self.addCleanup(self.forget, made[name])
        chosen = self.predicate("IS_SUBSTRING", "display_name", string_value=mark)
        # The name of this field alone is written in camelCase.
        self.assertPages(
            lambda **page: self.client.list_recurring_runs(namespace=self.namespace, **page), "recurring_runs",
            chosen, mark,
        )
        listed = self.client.list_recurring_runs(experiment_id=experiment).recurring_runs
        self.assertEqual({row.recurring_run_id for row in listed}, set(made.values()))

    def test_runs_are_made(self):
        made = self.recurring(interval_second=1, max_concurrency=2, params={"text": "again"})
        chosen = self.predicate("EQUALS", "recurring_run_id", string_value=made.recurring_run_id)
        runs = harness.until(
            "two runs are made",
            lambda: (lambda rows: rows if len(rows or []) > 1 else None)(
                self.client.list_runs(experiment_id=made.experiment_id, filter=chosen).runs
            ),
            servers.END_LIMIT,
        )
        self.client.delete_recurring_run(made.recurring_run_id)
        for run in runs:
            self.assertEqual(run.recurring_run_id, made.recurring_run_id)
            self.assertEqual(run.runtime_config.parameters, {"text": "again"})
        self.assertEqual(self.ended(runs[0]).state, "SUCCEEDED")


@against(Server("1.8", False), Server("1.8", True))
class ServersOf18(Case2):
    """A server that knows v1beta1 alone answers each call of this client with its text for unknown paths."""

    ARGUMENTS = {
        "create_experiment": ("x",), "get_experiment": ("x",), "archive_experiment": ("x",),
        "unarchive_experiment": ("x",), "delete_experiment": ("x",), "list_experiments": (), "get_pipeline_id": ("x",),
        "list_pipelines": (), "get_pipeline": ("x",), "delete_pipeline": ("x",),
        "upload_pipeline": (PACKAGES["hello"], "x"), "upload_pipeline_from_pipeline_func": (hello, "x"),
        "upload_pipeline_version": (PACKAGES["hello"], "x", "y"),
        "upload_pipeline_version_from_pipeline_func": (hello, "x", "y"), "list_pipeline_versions": ("x",),
        "get_pipeline_version": ("x", "y"), "delete_pipeline_version": ("x", "y"),
        "run_pipeline": ("x", "y", PACKAGES["hello"]), "create_run_from_pipeline_func": (hello, {}),
        "create_run_from_pipeline_package": (PACKAGES["hello"], {}), "get_run": ("x",), "list_runs": (),
        "archive_run": ("x",), "unarchive_run": ("x",), "delete_run": ("x",), "terminate_run": ("x",),
        "wait_for_run_completion": ("x", 1),
        "create_recurring_run": ("x", "y", None, None, None, 60, None, 1, None, None, PACKAGES["hello"]),
        "get_recurring_run": ("x",), "list_recurring_runs": (), "enable_recurring_run": ("x",),
        "disable_recurring_run": ("x",), "delete_recurring_run": ("x",), "enable_job": ("x",), "disable_job": ("x",),
        "delete_job": ("x",),
    }

    def connect(self, **keywords):
        # Without a namespace the client would ask for the server's health at once, and again and again.
        return super().connect(namespace="team-a", **keywords)

    def test_nothing_is_there(self):
        for name, arguments in self.ARGUMENTS.items():
            with self.subTest(name), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                with self.no_route():
                    getattr(self.client, name)(*arguments)

    def test_health_is_asked_five_times(self):
        with self.assertLogs(level="ERROR") as log, self.assertRaises(TimeoutError):
            self.client.get_kfp_healthz(sleep_duration=0)
        self.assertEqual(len(log.records), 5)

    def test_namespace(self):
        self.client.set_user_namespace("team-b")
        self.assertEqual(self.client.get_user_namespace(), "team-b")


class ThroughTheGateway(Case2):
    """With the cookie of a session, as users outside the cluster have it."""

    RELEASES = {"2.5": "1.9", "2.17": "1.11"}

    def test_session(self):
        for generation, release in self.RELEASES.items():
            with self.subTest(generation), harness.sandbox("--simulate", "--kfp", generation, "--release", release) as box:
                login = harness.run("login", "--url", box.url, "--username", box.username, password=box.password)
                self.assertEqual(login.status, 0, login.err)
                cookie = f"{login.report['name']}={login.report['value']}"
                servers.context()
                client = kfp.Client(host=box.kfp_url, cookies=cookie, namespace=box.namespace)
                # The UI server in between writes its own health.
                self.assertIs(client.get_kfp_healthz().multi_user, True)
                made = client.create_run_from_pipeline_func(hello, {}, experiment_name="gateway")
                with servers.fast():
                    self.assertEqual(made.wait_for_run_completion(servers.END_LIMIT).state, "SUCCEEDED")
                pipeline = client.upload_pipeline(PACKAGES["hello"], "gateway", namespace=box.namespace)
                self.assertEqual(client.get_pipeline(pipeline.pipeline_id).namespace, box.namespace)
                with self.assertRaises(self.Refused) as caught:
                    client.get_run("nope")
                self.assertEqual(caught.exception.status, 404)
                with self.assertRaises(self.Refused) as caught:
                    client.reports.report_service_report_workflow("{}")
                self.assertEqual(caught.exception.status, 403)

    def setUp(self):
        self.addCleanup(servers.context)


class EveryMethod(unittest.TestCase):
    """The list of methods comes from the class itself, so that a method which nobody has called fails here."""

    def test_all_were_driven(self):
        self.assertGreater(len(METHODS), 30)
        for server in every("1.8", *GENERATIONS):
            with self.subTest(str(server)):
                self.assertEqual(DRIVEN.missing(server, METHODS), [])


if __name__ == "__main__":
    harness.main()
