"""The official client of 2.x through all its methods, against each generation of servers that it supports.

    VENV/bin/python .ci/official/kfp2.py        # VENV has kfp 2.x

What a test expects is what the real servers of these generations answer, refusals included.
"""

import sys
import unittest
import warnings

import kfp2_pipelines
import kfp2_runs
import servers
from client2 import DRIVEN, GENERATIONS, METHODS, PACKAGES, Case2, hello, kfp
from servers import Server, against, every, harness, unique


def load_tests(*_):
    return servers.suite([sys.modules[__name__], kfp2_pipelines, kfp2_runs], EveryMethod)


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

    def test_session_that_has_ended(self):
        for release in ("1.8", "1.9", "1.11"):
            with self.subTest(release), harness.sandbox("--simulate", "--release", release) as box:
                servers.context()
                client = kfp.Client(host=box.kfp_url, cookies="authservice_session=ended", namespace=box.namespace)
                if release == "1.11":
                    with self.assertRaises(self.Refused) as caught:
                        client.get_run("x")
                    self.assertEqual(caught.exception.status, 401)
                else:
                    # The client follows to the login page and reads that as a run of which it knows nothing.
                    self.assertEqual((client.get_run("x").run_id, client.get_run("x").state), (None, None))

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
