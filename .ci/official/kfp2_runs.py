"""Runs and recurring runs through the official client of 2.x; kfp2.py runs these tests."""

import os
import unittest.mock
import warnings

import servers
from client2 import GENERATIONS, PACKAGES, Case2, hello
from servers import EPOCH, against, every, harness, unique


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

        def runs():
            rows = self.client.list_runs(experiment_id=made.experiment_id, filter=chosen).runs or []
            return rows if len(rows) > 1 else None

        rows = harness.until("two runs are made", runs, 30)
        self.client.delete_recurring_run(made.recurring_run_id)
        for run in rows:
            self.assertEqual(run.recurring_run_id, made.recurring_run_id)
            self.assertEqual(run.runtime_config.parameters, {"text": "again"})
        self.assertEqual(self.ended(rows[0]).state, "SUCCEEDED")
