"""The official client of 2.x that goes by names, through all its methods.

    VENV/bin/python .ci/official/kfp2_names.py        # VENV has kfp 2.x
"""

import sys
import unittest

import servers
from client2 import GENERATIONS, PACKAGES, Case2, Driven, fails, hangs, hello, public_methods, wants
from servers import Server, against, harness, unique

from kfp.kubeflow_client import KubernetesBackendConfig, PipelinesClient

DRIVEN = Driven()
METHODS = public_methods(PipelinesClient)


def load_tests(*_):
    return servers.suite([sys.modules[__name__]], EveryMethod)


@against(*(Server(generation, False) for generation in GENERATIONS))
class ByName(Case2):
    """The client that goes by names. It knows bearer tokens alone, so it meets a server without users here."""

    def setUp(self):
        super().setUp()
        client = PipelinesClient(KubernetesBackendConfig(base_url=self.server.url, namespace="kubeflow"))
        self.named = DRIVEN.watch(self.server, client, METHODS)

    def test_experiments(self):
        name = unique("named")
        made = self.named.create_experiment(name, description="d")
        self.assertEqual(self.named.create_experiment(name), made)
        self.assertEqual(self.named.get_experiment(name), made)
        self.assertTrue(self.named.list_experiments(page_size=2).experiments)
        self.named.delete_experiment(name)
        with self.assertRaises(ValueError):
            self.named.get_experiment(name)

    def test_pipelines(self):
        name = unique("named")
        version = self.named.upload_pipeline(hello, name=name, description="d")
        self.assertEqual(version.display_name, name)
        if self.old_errors():
            # The client renames the first version of a new pipeline, which these servers cannot.
            with self.assertWarnsRegex(UserWarning, "HTTP 405"):
                other = self.named.upload_pipeline(wants, name=unique("named"), version="first")
            self.assertNotEqual(other.display_name, "first")
        else:
            self.assertEqual(self.named.upload_pipeline(wants, name=unique("named"), version="first").display_name, "first")
        self.named.upload_pipeline(PACKAGES["wants"], name=name, version="second")
        pipeline = self.named.get_pipeline(name)
        self.assertEqual(pipeline.display_name, name)
        self.assertEqual(self.named.get_pipeline_version(name, "second").pipeline_id, pipeline.pipeline_id)
        self.assertEqual(len(self.named.list_pipeline_versions(name).pipeline_versions), 2)
        self.assertTrue(self.named.list_pipelines(page_size=2).pipelines)
        with self.assertRaises(ValueError):
            self.named.delete_pipeline(name)
        self.named.delete_pipeline(name, version="second")
        if self.old_errors():
            with self.refused(400, 3):
                self.named.delete_pipeline(name, force=True)
        else:
            self.named.delete_pipeline(name, force=True)
            with self.assertRaises(ValueError):
                self.named.get_pipeline(name)

    def test_runs(self):
        name, experiment = unique("named"), unique("named")
        self.named.create_experiment(experiment)
        version = self.named.upload_pipeline(hello, name=name)
        seen = []
        with servers.fast():
            for pipeline in (name, version, self.named.get_pipeline(name), hello, PACKAGES["hello"]):
                run = self.named.run(pipeline, params={"text": "x"}, experiment=experiment)
                ended = self.named.wait_for_run_status(run, timeout=servers.END_LIMIT, callbacks=[seen.append])
                self.assertEqual(ended.state, "SUCCEEDED")
            failed = self.named.wait_for_run_status(
                self.named.run(fails, experiment=experiment), timeout=servers.END_LIMIT
            )
            stuck = self.named.run(hangs, experiment=experiment)
            self.named.wait_for_run_status(stuck, status={"running"}, timeout=servers.END_LIMIT)
            self.named.kfp_client.terminate_run(stuck.run_id)
            self.assertEqual(self.named.wait_for_run_status(stuck.run_id, timeout=servers.END_LIMIT).state, "FAILED")
        self.assertEqual(failed.state, "FAILED")
        self.assertEqual(len(seen), 5)
        self.assertEqual(self.named.get_run(failed.run_id).state, "FAILED")
        listed = self.named.list_runs(experiment=experiment, status="succeeded", page_size=20).runs
        self.assertEqual(len(listed), 5)
        self.assertEqual(len(self.named.list_runs(pipeline=name, experiment=experiment, page_size=20).runs), 3)


class EveryMethod(unittest.TestCase):
    """The list comes from the class itself, so that a method which nobody has called fails here."""

    def test_all_were_driven(self):
        self.assertGreater(len(METHODS), 12)
        for generation in GENERATIONS:
            with self.subTest(generation):
                self.assertEqual(DRIVEN.missing(Server(generation, False), METHODS), [])


if __name__ == "__main__":
    harness.main()
