"""Experiments, pipelines and their versions through the official client of 2.x; kfp2.py runs these tests."""

from client2 import GENERATIONS, PACKAGES, Case2, fails, hello, package
from servers import EPOCH, against, every, unique, written


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
