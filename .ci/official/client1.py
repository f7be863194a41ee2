"""What the tests of the official client of 1.8 share: pipelines, clients, and things made on a server."""

import json
import os
import tempfile
import warnings

import servers
from servers import FOLDER, Case, Driven, public_methods

warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)

import kfp  # noqa: E402
import kfp_server_api  # noqa: E402
from kfp import compiler, components, dsl  # noqa: E402

METHODS = public_methods(kfp.Client)
DRIVEN = Driven()

say = components.load_component_from_text(
    """
name: say
inputs: [{name: text, type: String}]
implementation: {container: {image: busybox, command: [echo, {inputValue: text}]}}
"""
)


@dsl.pipeline(name="hello", description="says it")
def hello(text: str = "hi", count: int = 1):
    say(text)


@dsl.pipeline(name="fails")
def fails():
    say("please-fail")


@dsl.pipeline(name="hangs")
def hangs():
    say("please-hang")


# A pipeline in the format of 2.x.
IR = """
pipelineInfo: {name: newer}
schemaVersion: 2.1.0
root: {dag: {tasks: {a: {taskInfo: {name: a}, componentRef: {name: comp-a}}}}}
components: {comp-a: {executorLabel: exec-a}}
deploymentSpec: {executors: {exec-a: {container: {image: busybox, command: [echo, hi]}}}}
"""


def package(pipeline, name="pipeline.yaml"):
    """The compiled pipeline as a file of one of the kinds that the client takes."""
    path = os.path.join(tempfile.mkdtemp(dir=FOLDER.name), name)
    compiler.Compiler().compile(pipeline, path)
    return path


PACKAGES = {pipeline.__name__: package(pipeline) for pipeline in (hello, fails, hangs)}


class Case1(Case):
    Refused = kfp_server_api.ApiException

    def setUp(self):
        self.client = self.connect()
        self.namespace = self.server.namespace
        self.old = self.server.generation == "1.8"

    def connect(self, user=None, **keywords):
        """A client as a user sets it up: who and where stands in the context file, on servers that have users."""
        self.ask_as(user)
        client = kfp.Client(host=self.server.url, **keywords)
        return DRIVEN.watch(self.server, client, METHODS)

    def experiment(self):
        return self.client.create_experiment(servers.unique("experiment"), namespace=self.namespace)

    def pipeline(self, pipeline="hello"):
        return self.client.upload_pipeline(PACKAGES[pipeline], servers.unique(pipeline))

    def run_of(self, pipeline="hello", experiment=None, **keywords):
        experiment = experiment or self.experiment().id
        return self.client.run_pipeline(experiment, servers.unique("run"), PACKAGES[pipeline], **keywords)

    def ended(self, run):
        """The detail of the run after its end."""
        with servers.fast():
            return self.client.wait_for_run_completion(run.id, servers.END_LIMIT)

    def predicate(self, op, key, **value):
        """A filter of one predicate, as users of this client write it."""
        return json.dumps({"predicates": [{"op": op, "key": key, **value}]})

    def referred(self, row):
        """What a row refers to: the relationship and id of each kind."""
        return {
            reference.key.type: (reference.relationship, reference.key.id) for reference in row.resource_references or []
        }

    def assertPages(self, fetch, field, mark, filters=True):
        """Three rows named MARK-a to MARK-c come two to a page, sorted; the token holds sort and filter."""
        chosen = {"filter": self.predicate("IS_SUBSTRING", "name", string_value=mark)} if filters else {}
        one = fetch(page_size=2, sort_by="name desc", **chosen)
        self.assertEqual([row.name for row in getattr(one, field)], [f"{mark}-c", f"{mark}-b"])
        two = fetch(page_size=2, page_token=one.next_page_token, sort_by="name desc", **chosen)
        self.assertEqual(getattr(two, field)[0].name, f"{mark}-a")
        self.assertEqual(fetch(page_size=2, page_token=one.next_page_token), two)
        with self.refused(400, 3, "page token does not match the supplied sort by and/or filtering criteria"):
            fetch(page_size=2, page_token=one.next_page_token, sort_by="name")
        with self.refused(400, 3):
            fetch(page_token="garbage")
        with self.refused(400, 3, "Invalid sorting field"):
            fetch(sort_by="nope")
        with self.refused(400, 3, "The page size should be greater than 0"):
            fetch(page_size=-1)
        if not filters:
            return
        self.assertEqual((one.total_size, two.total_size, two.next_page_token), (3, 3, None))
        with self.refused(400, 3, "no support for filtering on unrecognized field"):
            fetch(filter=self.predicate("EQUALS", "nope", string_value="x"))
        with self.refused(400, 3, "failed to parse valid filter from"):
            fetch(filter='{"predicates": [{"operation": "EQUALS", "key": "name", "string_value": "x"}]}')
        nothing = fetch(filter=self.predicate("EQUALS", "name", string_value=servers.unique("nothing")))
        self.assertEqual((getattr(nothing, field), nothing.total_size, nothing.next_page_token), (None, None, None))
