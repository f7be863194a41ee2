"""Starts single sign-on as a company has it, with the real programs, for as long as a command runs.

    python3 .ci/sso/start.py [--sandbox] [--setup FILE] [--limit SECONDS] [-- COMMAND ...]

    slapd (people) -> Keycloak realm `corp` -SAML-> Keycloak realm `cognito` -OIDC-> oauth2-proxy -> Envoy -> services

Behind the gateways a small server answers everything with the identity that it was told; with --sandbox the API server
of the sandbox, which trusts its gateway as the real one does, answers at /pipeline/apis/.

The command finds in SSO_TEST_SETUP the name of a JSON file that says where everything is and who may log in. Without
a command the programs run until this one is ended. Everything is on loopback addresses and in a scratch folder; each
host has an address of its own, since cookies do not tell ports apart. All secrets are made at random.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import gateways  # noqa: E402
import harness  # noqa: E402
import install  # noqa: E402
import programs  # noqa: E402
import realms  # noqa: E402
import upstream  # noqa: E402
from children import Children, Failed, Ports, end_group, listens, say  # noqa: E402
from control import Control  # noqa: E402
from envoy import Envoy  # noqa: E402
from keycloak import Keycloak  # noqa: E402
from other_provider import OtherProvider  # noqa: E402
from people import everybody  # noqa: E402
from slapd import Slapd  # noqa: E402
from tls import Authority  # noqa: E402

BROKER, COMPANY, DIRECTORY, OTHER = "127.77.1.1", "127.77.1.2", "127.77.1.3", "127.77.1.4"
HERE = "127.0.0.1"


class Setup:
    def __init__(self, folder, with_sandbox):
        self.folder = folder
        self.children = Children(folder)
        self.people = everybody()
        self.sandbox = harness.sandbox("--simulate") if with_sandbox else None
        self.begin = time.monotonic()

    def say(self, text):
        say(f"{text} ({time.monotonic() - self.begin:.1f} s)")

    def sub(self, name):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    @staticmethod
    def installed(name):
        return os.path.join(install.FOLDER, name)

    def start(self):
        ports = Ports()
        self.authority = Authority(self.sub("tls"))
        signing = self.authority.self_signed("corp-signing")
        slapd = Slapd(self.installed("slapd"), self.sub("slapd"), DIRECTORY, ports.free(DIRECTORY))
        keycloak = Keycloak(self.installed("keycloak"), self.sub("keycloak"), BROKER, ports.free(BROKER), ports.free(BROKER))
        other = OtherProvider(self.installed("oidc-provider"), self.sub("provider"), OTHER, ports.free(OTHER))
        company = {"http": ports.free(COMPANY), "https": ports.free(COMPANY)}
        self.broker_origins = {
            "http": f"http://{BROKER}:{keycloak.http_port}", "https": f"https://{BROKER}:{keycloak.https_port}",
        }
        self.company_origins = {scheme: f"{scheme}://{COMPANY}:{port}" for scheme, port in company.items()}
        self.other_origin = other.issuer
        cognito = f"{self.broker_origins['http']}/realms/cognito"
        cognito_tls = f"{self.broker_origins['https']}/realms/cognito-tls"
        corp, corp_tls = (f"{self.company_origins[scheme]}/realms/corp" for scheme in ("http", "https"))

        made = gateways.keycloak
        self.gateways = [
            made("chain", "127.77.0.1", ports, cognito),
            made("short", "127.77.0.2", ports, cognito, cookie_expire="4s"),
            made("tls", "127.77.0.3", ports, cognito_tls),
            made("direct", "127.77.0.4", ports, corp),
            made("stale", "127.77.0.5", ports, corp, token_seconds=3),
            made("broken", "127.77.0.6", ports, corp, broken=True),
            other.gateway("other", "127.77.0.7", ports),
            other.gateway("consent", "127.77.0.8", ports),
            # Whose check a test may stop, with nobody else in the way.
            other.gateway("crash", "127.77.0.9", ports),
        ]

        def of(issuer):
            return [gateway for gateway in self.gateways if gateway.issuer == issuer]

        upstream_port, control_port = ports.free(HERE), ports.free(HERE)
        people = list(self.people.values())
        wanted = [
            realms.corp([cognito, cognito_tls], of(corp), people, slapd, *signing),
            realms.broker("cognito", cognito, corp, of(cognito), people, signing[0]),
            realms.broker("cognito-tls", cognito_tls, corp_tls, of(cognito_tls), people, signing[0]),
        ]
        certificates = {host: self.authority.issue(host, [host]) for host in {g.host for g in self.gateways if g.tls}}
        keycloak_certificate = self.authority.issue("keycloak", [BROKER, COMPANY])
        ports.release()

        slapd.start(self.children, [person for person in people if not person.realm])
        keycloak.start(self.children, wanted, *keycloak_certificate)
        upstream.start(HERE, upstream_port)
        other.start(self.children, [p for p in people if not p.realm], of(other.issuer), asks_consent=["consent"])
        envoy = Envoy(programs.envoy_binary(self.installed("envoy")), self.sub("envoy"), self.authority.certificate)
        envoy.upstream(HERE, upstream_port)
        if self.sandbox:
            kfp = urllib.parse.urlsplit(self.sandbox.kfp_direct_url)
            envoy.kfp(kfp.hostname, kfp.port)
        proxies = self.sub("oauth2-proxy")
        for gateway in self.gateways:
            envoy.gateway(gateway, certificates.get(gateway.host))
            if not gateway.broken:
                gateways.start_oauth2_proxy(
                    self.children, self.installed("oauth2-proxy"), proxies, gateway, self.authority.certificate
                )
        envoy.passed_through("company", COMPANY, company["http"], BROKER, keycloak.http_port)
        envoy.passed_through("company-tls", COMPANY, company["https"], BROKER, keycloak.https_port)
        envoy.start(self.children)

        ready = {
            "slapd": (slapd.host, slapd.port), "oidc-provider": (other.host, other.port),
            "envoy": (self.gateways[0].host, self.gateways[0].port), "keycloak": (BROKER, keycloak.http_port),
            **{gateways.program(g): (HERE, g.proxy_port) for g in self.gateways if not g.broken},
        }
        for name, (host, port) in ready.items():
            if name != "keycloak":
                self.children.until(name, lambda host=host, port=port: listens(host, port), 60)
        self.say("all but Keycloak are ready")
        self.children.until("keycloak", keycloak.ready, 240)
        self.say("Keycloak is ready")
        self.control = Control(self.children, self.people, self.gateways, envoy, ready).serve(HERE, control_port)

    def stop(self):
        self.children.stop_all()
        if self.sandbox:
            self.sandbox.stop()

    def told(self):
        return {
            "ca_file": self.authority.certificate,
            "gateways": {gateway.name: gateway.url for gateway in self.gateways},
            # By scheme, as the gateways reach them.
            "origins": {"broker": self.broker_origins, "company": self.company_origins, "other": {"http": self.other_origin}},
            # The name by which the broker's page calls the company's provider.
            "federated": "AzureAD",
            "users": {name: person.told() for name, person in self.people.items()},
            "has_kfp": self.sandbox is not None,
            "session_seconds": {"short": 4, "stale": 3},
            "control": self.control,
        }

    def write(self, path):
        # The name is there only when the content is.
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            json.dump(self.told(), out, indent=1)
        os.replace(path + ".new", path)


def arguments():
    ours, command = sys.argv[1:], []
    if "--" in ours:
        at = ours.index("--")
        ours, command = ours[:at], ours[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="with the API server of the sandbox behind the gateways")
    parser.add_argument("--setup", help="where the JSON file is written")
    parser.add_argument("--limit", type=int, default=3600, help="seconds after which everything is ended")
    return parser.parse_args(ours), command


def follow(command, limit, env):
    """The status of a command, or of our wait for a signal when there is none."""
    if not command:
        time.sleep(limit)
        return 0
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env, start_new_session=True)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        say(f"not ended within {limit} s: {command[0]}")
        return 1
    finally:
        end_group(process, signal.SIGTERM)
        process.wait(10)


def main():
    chosen, command = arguments()
    missing = programs.missing(install.FOLDER)
    if missing:
        sys.exit("missing (see .ci/sso/install.py): " + ", ".join(missing))
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: sys.exit(130))
    os.umask(0o077)
    folder = tempfile.mkdtemp(prefix="sso-")
    setup, status = None, 1
    try:
        setup = Setup(folder, chosen.sandbox)
        setup.start()
        path = chosen.setup or os.path.join(folder, "setup.json")
        setup.write(path)
        say(f"setup: {path}")
        status = follow(command, chosen.limit, {**os.environ, "SSO_TEST_SETUP": path})
    except Failed as error:
        say(error)
    finally:
        if setup:
            setup.stop()
        kept = os.environ.get("SSO_KEEP_LOGS")
        if kept:
            shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("home", "tls"))
        shutil.rmtree(folder, ignore_errors=True)
        if chosen.setup and os.path.exists(chosen.setup):
            os.remove(chosen.setup)
    sys.exit(status)


if __name__ == "__main__":
    main()
