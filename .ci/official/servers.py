"""The sandboxes that the official clients of Kubeflow Pipelines drive: one for each generation and mode, started once.

Import this before the client: it gives the client a home folder of its own, in which it keeps its context file.
"""

import atexit
import contextlib
import datetime
import json
import os
import sys
import tempfile
import time
import unittest
import unittest.mock
import uuid

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

HOME = tempfile.TemporaryDirectory(prefix="home-")
os.environ["HOME"] = HOME.name
for name in [name for name in os.environ if name.startswith(("KF_PIPELINES_", "KUBECONFIG"))]:
    del os.environ[name]

CONTEXT = os.path.join(HOME.name, ".config", "kfp", "context.json")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
FOREIGNER = "stranger@example.com"
# For the files that the clients upload.
FOLDER = tempfile.TemporaryDirectory(prefix="pipelines-")
# Long enough for a simulated run on a busy machine; it takes less than a second.
END_LIMIT = 60


class Server:
    """A sandbox in which nothing is executed, of one generation, with users and namespaces or without."""

    started = {}

    def __init__(self, generation, multi_user):
        self.generation, self.multi_user = generation, multi_user

    def __str__(self):
        return f"{self.generation} {'multi' if self.multi_user else 'single'}-user"

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    @property
    def box(self):
        if self not in self.started:
            mode = [] if self.multi_user else ["--single-user"]
            box = harness.sandbox("--simulate", "--kfp", self.generation, *mode)
            atexit.register(box.stop)
            self.started[self] = box
        return self.started[self]

    @property
    def url(self):
        return self.box.kfp_direct_url

    @property
    def namespace(self):
        """The namespace that the user owns; None where there are none."""
        return self.box.namespace if self.multi_user else None


def context(**settings):
    """Writes the clients' context file; without settings there is none."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(CONTEXT)
    if settings:
        os.makedirs(os.path.dirname(CONTEXT), exist_ok=True)
        with open(CONTEXT, "w", encoding="utf-8") as out:
            json.dump(settings, out)


def identity(user):
    """The settings by which a client inside the cluster says who it is."""
    return {"client_authentication_header_name": "kubeflow-userid", "client_authentication_header_value": user}


class Driven:
    """Which methods have been called from outside, on which server."""

    def __init__(self):
        self.calls = set()
        self.depth = 0

    def watch(self, server, owner, names, prefix=""):
        """Notes the calls of these methods of one object; not those that they make among themselves."""
        for name in names:
            setattr(owner, name, self.noting(server, prefix + name, getattr(owner, name)))
        return owner

    def noting(self, server, name, method):
        def noted(*arguments, **keywords):
            if self.depth == 0:
                self.calls.add((server, name))
            self.depth += 1
            try:
                return method(*arguments, **keywords)
            finally:
                self.depth -= 1

        return noted

    def missing(self, server, names):
        return sorted(name for name in names if (server, name) not in self.calls)


def public_methods(kind):
    """The public methods of a class, as far as they make one request each and return what was answered."""
    return sorted(
        name for name in dir(kind)
        if not name.startswith("_") and not name.endswith("_with_http_info") and callable(getattr(kind, name))
    )


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def written(text, name):
    """A file with this text."""
    path = os.path.join(tempfile.mkdtemp(dir=FOLDER.name), name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def fast():
    """Lets the waiting methods of the clients ask ten times in a second."""
    sleep = time.sleep
    return unittest.mock.patch("time.sleep", lambda seconds: sleep(min(seconds, 0.1)))


class Case(unittest.TestCase):
    """A test against one server; `against` makes one class of it for each."""

    server = None
    # The class of the client's refusals.
    Refused = None

    def ask_as(self, user=None):
        """Writes the context file that says who asks for which namespace, on servers that have users, for this test.

        It is the server's user unless another is named; "" is nobody.
        """
        self.addCleanup(context)
        if self.server.multi_user and user != "":
            context(namespace=self.server.namespace, **identity(user or self.server.box.username))
        else:
            context()

    def old_errors(self):
        """Whether errors have the shape of servers before 2.14."""
        return self.server.generation != "2.17"

    def recent(self, when):
        """A time that the server has set just now."""
        self.assertIsNotNone(when)
        age = datetime.datetime.now(datetime.timezone.utc) - when
        self.assertLess(abs(age.total_seconds()), 300, when)

    @contextlib.contextmanager
    def refused(self, status, code=None, says="", text=None):
        """A refusal of this server: its status, its gRPC code, and a part of the short message that a user reads.

        `text` is the whole body where it is no JSON. A `code` of None stands for the shape of the upload handlers.
        """
        with self.assertRaises(self.Refused) as caught:
            yield caught
        error = caught.exception
        body = error.body.decode() if isinstance(error.body, bytes) else error.body
        self.assertEqual(error.status, status, body)
        if text is not None:
            self.assertEqual(body, text)
            return
        told = json.loads(body)
        if code is None:
            self.assertEqual(sorted(told), ["error_details", "error_message"])
            self.assertIn(says, told["error_message"])
            return
        self.assertEqual(told["code"], code, body)
        self.assertEqual("error" in told, self.old_errors(), body)
        self.assertEqual(told.get("error", told["message"]), told["message"])
        details = told.get("details", [])
        if not details:
            # A refusal of the gateway in front of the handlers.
            self.assertIn(says, told["message"])
            return
        self.assertEqual(len(details), 1, body)
        if self.server.generation == "1.8":
            self.assertEqual(details[0]["@type"], "type.googleapis.com/api.Error")
            short = details[0]["error_message"]
        else:
            self.assertEqual(details[0]["@type"], "type.googleapis.com/google.rpc.Status")
            # An error of no kind at all keeps its own number in there.
            self.assertIn(details[0]["code"], (code, 2) if code == 13 else (code,))
            short = details[0]["message"]
        # An internal error hides its cause from the short message.
        self.assertIn(says, told["message"] if code == 13 else short)

    def not_found(self, what):
        return self.refused(404, 5, f"{what} not found")

    def no_route(self):
        """A path that this server does not know."""
        if self.old_errors():
            return self.refused(404, text="Not Found\n")
        return self.refused(404, 5, "Not Found")


def against(*servers):
    """Makes one test class for each server of the decorated one, which itself holds no tests any more."""

    def spread(case):
        module = sys.modules[case.__module__]
        for server in servers:
            name = f"{case.__name__}_{str(server).replace(' ', '_').replace('.', '_').replace('-', '_')}"
            made = type(name, (case,), {"server": server, "__module__": case.__module__, "__doc__": case.__doc__})
            setattr(module, name, made)
        case.__test__ = False
        return case

    return spread


def every(*generations):
    """These generations, single-user and multi-user."""
    return [Server(generation, multi_user) for generation in generations for multi_user in (False, True)]


def suite(modules, last):
    """The tests of some modules: of the classes that have a server, in the order of the files, then of the class `last`.

    `last` asks what all the others did, so it is left out when only some of them are to run.
    """
    # An imported class is found in several modules.
    found = {kind: None for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    made = [kind for kind in found if issubclass(kind, Case) and kind.__dict__.get("__test__", True) and tests_of(kind)]
    kinds = made if len(sys.argv) > 1 else [*made, last]
    return unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(kind) for kind in kinds)


def tests_of(kind):
    return unittest.defaultTestLoader.getTestCaseNames(kind)
