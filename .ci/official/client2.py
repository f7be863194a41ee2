"""What the tests of the official client of 2.x share: pipelines, clients, and things made on a server."""

import json
import os
import tarfile
import tempfile
import warnings
import zipfile

import servers
from servers import FOLDER, Case, Driven, public_methods

import kfp  # noqa: E402
import kfp_server_api  # noqa: E402
from kfp import compiler, dsl  # noqa: E402

warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")

# The client prints a link for everything that it makes.
kfp.client.client.print = lambda *_: None
# The generations of servers that this client supports.
GENERATIONS = ("2.5", "2.17")
METHODS = public_methods(kfp.Client)
DRIVEN = Driven()


@dsl.container_component
def say(text: str):
    return dsl.ContainerSpec(image="busybox", command=["echo"], args=[text])


@dsl.pipeline(name="hello", description="says it")
def hello(text: str = "hi", count: int = 1):
    say(text=text)


@dsl.pipeline(name="wants")
def wants(text: str, ratio: float = 0.5, flag: bool = True, names: list = ["a"], options: dict = {"k": "v"}):
    say(text=text)


@dsl.pipeline(name="fails")
def fails():
    say(text="please-fail")


@dsl.pipeline(name="hangs")
def hangs():
    say(text="please-hang")


def package(pipeline, name="pipeline.yaml"):
    """The compiled pipeline as a file of one of the kinds that the client takes."""
    path = os.path.join(tempfile.mkdtemp(dir=FOLDER.name), name)
    plain = path if name.endswith((".yaml", ".yml")) else os.path.join(os.path.dirname(path), "pipeline.yaml")
    compiler.Compiler().compile(pipeline, plain)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(plain, "pipeline.yaml")
    elif name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(path, "w:gz") as archive:
            archive.add(plain, "pipeline.yaml")
    return path


PACKAGES = {pipeline.name: package(pipeline) for pipeline in (hello, wants, fails, hangs)}


class Case2(Case):
    Refused = kfp_server_api.ApiException

    def setUp(self):
        self.client = self.connect()
        self.namespace = self.server.namespace

    def connect(self, user=None, host=None, **keywords):
        """A client as a user sets it up: who and where stands in the context file, on servers that have users."""
        self.ask_as(user)
        client = kfp.Client(host=host or self.server.url, **keywords)
        return DRIVEN.watch(self.server, client, METHODS)

    def stranger(self):
        """Somebody who owns nothing, asking for the user's namespace."""
        return self.connect(user=servers.FOREIGNER)

    def experiment(self):
        return self.client.create_experiment(servers.unique("experiment"), namespace=self.namespace)

    def pipeline(self, pipeline="hello"):
        return self.client.upload_pipeline(
            PACKAGES[pipeline], pipeline_name=servers.unique(pipeline), namespace=self.namespace
        )

    def only_version(self, pipeline_id):
        versions = self.client.list_pipeline_versions(pipeline_id).pipeline_versions
        self.assertEqual(len(versions), 1)
        return versions[0]

    def run_of(self, pipeline="hello", experiment=None, **keywords):
        experiment = experiment or self.experiment().experiment_id
        return self.client.run_pipeline(experiment, servers.unique("run"), PACKAGES[pipeline], **keywords)

    def ended(self, run):
        """The run after its end."""
        with servers.fast():
            return self.client.wait_for_run_completion(run.run_id, servers.END_LIMIT)

    def predicate(self, operation, key, **value):
        """A filter of one predicate, as users of this client write it."""
        return json.dumps({"predicates": [{"operation": operation, "key": key, **value}]})

    def assertPages(self, fetch, field, chosen, mark):
        """Three rows named MARK-a to MARK-c come two to a page, sorted; the token holds sort and filter."""
        one = fetch(page_size=2, sort_by="display_name desc", filter=chosen)
        self.assertEqual([row.display_name for row in getattr(one, field)], [f"{mark}-c", f"{mark}-b"])
        self.assertEqual(one.total_size, 3)
        two = fetch(page_size=2, page_token=one.next_page_token, sort_by="display_name desc", filter=chosen)
        self.assertEqual([row.display_name for row in getattr(two, field)], [f"{mark}-a"])
        self.assertIsNone(two.next_page_token)
        self.assertEqual(fetch(page_size=2, page_token=one.next_page_token), two)
        with self.refused(400, 3, "page token does not match the supplied sort by and/or filtering criteria"):
            fetch(page_size=2, page_token=one.next_page_token, sort_by="display_name")
        with self.refused(400, 3):
            fetch(page_token="garbage")
        with self.refused(400, 3, "Invalid sorting field"):
            fetch(sort_by="nope")
        with self.refused(400, 3, "The page size should be greater than 0"):
            fetch(page_size=-1)
        with self.refused(400, 3, "no support for filtering on unrecognized field"):
            fetch(filter=self.predicate("EQUALS", "nope", string_value="x"))
        with self.refused(400, 3, "failed to parse valid filter from"):
            fetch(filter='{"predicates": [{"op": "EQUALS", "key": "display_name", "string_value": "x"}]}')
        nothing = fetch(filter=self.predicate("EQUALS", "display_name", string_value=servers.unique("nothing")))
        self.assertEqual((getattr(nothing, field), nothing.total_size, nothing.next_page_token), (None, None, None))
