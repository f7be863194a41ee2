"""Keycloak, started once for all realms; reached by plain HTTP and by TLS, on the hosts of the broker and the company."""

import json
import os
import shutil
import urllib.error
import urllib.request


def link(source, destination):
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)
    return destination


class Keycloak:
    def __init__(self, installed, folder, host, http_port, https_port):
        self.installed, self.folder, self.host = installed, folder, host
        self.http_port, self.https_port = http_port, https_port

    def start(self, children, realms, certificate, key):
        """Starts it and does not wait."""
        # It reads and writes below its home, so each run has one; links make that quick.
        home = os.path.join(self.folder, "home")
        shutil.copytree(os.path.join(self.installed, "dist"), home, copy_function=link, symlinks=True)
        shutil.rmtree(os.path.join(home, "data"), ignore_errors=True)
        wanted = os.path.join(home, "data", "import")
        os.makedirs(wanted)
        for realm in realms:
            with open(os.path.join(wanted, f"{realm['realm']}-realm.json"), "w", encoding="utf-8") as out:
                json.dump(realm, out, indent=1)
        self.names = [realm["realm"] for realm in realms]
        children.start("keycloak", [
            os.path.join(home, "bin", "kc.sh"), "start", "--optimized", "--import-realm",
            f"--http-host={self.host}", "--http-enabled=true", f"--http-port={self.http_port}",
            f"--https-port={self.https_port}", f"--https-certificate-file={certificate}", f"--https-certificate-key-file={key}",
            # One node: it looks for no others and listens nowhere else.
            "--cache=local",
            # Links carry the host by which it was reached.
            "--hostname-strict=false",
            # Each login, good or bad, becomes a line of the log.
            "--spi-events-listener--jboss-logging--success-level=info",
        ], env={
            **os.environ, "TMPDIR": self.folder, "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m",
            # It serves some hundred requests: a quick start is worth more than fast code.
            "JAVA_OPTS_APPEND": f"-XX:TieredStopAtLevel=1 -Djava.io.tmpdir={self.folder}",
        })

    def ready(self):
        for name in self.names:
            try:
                urllib.request.urlopen(f"http://{self.host}:{self.http_port}/realms/{name}", timeout=5).close()
            except (urllib.error.URLError, OSError):
                return False
        return True
