"""Fetches one commit of a git repository.

Out: <output>/source.tar (the commit's tree), <output>/commit.json. GIT_TOKEN, if set, is sent to the
repository's own host only (user GIT_USERNAME, default x-access-token), and never stands in a command line.
"""


def git(directory, env, *args, limit=900):
    options = ["-c", "protocol.version=2", "-c", "core.hooksPath=/dev/null", "-c", "http.followRedirects=false",
               "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "gc.auto=0"]
    try:
        return subprocess.run(["git", "-C", directory] + options + list(args), env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=limit, text=True, errors="replace")
    except FileNotFoundError:
        die("git is not in this image: use one that has it, such as python:3.12")
    except subprocess.TimeoutExpired:
        die("git did not finish within %d s" % limit)


def environment(url, scratch):
    parts = urllib.parse.urlsplit(url)
    local = parts.scheme == "file"
    # A repository of another user: git honours safe.directory only in a global or system file here.
    config = os.path.join(scratch, "config")
    with open(config, "w", encoding="utf-8") as out:
        out.write("[safe]\n\tdirectory = *\n" if local else "")
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith("GIT_SSL_")}
    env.update(GIT_TERMINAL_PROMPT="0", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=config, GIT_LFS_SKIP_SMUDGE="1",
               GIT_ALLOW_PROTOCOL="https:ssh" + (":file" if local else ""), LC_ALL="C",
               GIT_SSH_COMMAND=os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30"))
    token = os.environ.get("GIT_TOKEN")
    if token and parts.scheme == "https":
        pair = "%s:%s" % (os.environ.get("GIT_USERNAME") or "x-access-token", token)
        env.update(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="http.https://%s/.extraHeader" % parts.netloc,
                   GIT_CONFIG_VALUE_0="Authorization: Basic " + base64.b64encode(pair.encode()).decode())
    return env


def fetch(repo, env, url, sha):
    for wait in (2, 5, None):
        got = git(repo, env, "fetch", "-q", "--depth", "1", "--no-tags", "--no-recurse-submodules", "--", url, sha)
        if got.returncode == 0:
            return
        said = got.stderr
        if re.search("not our ref|unadvertised object|not valid|remote ref|no such remote ref", said, re.I):
            # Servers of the older protocol give only what a branch or tag points to.
            got = git(repo, env, "fetch", "-q", "--no-recurse-submodules", "--", url,
                      "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            if got.returncode == 0:
                return
            said = got.stderr
        lasting = not re.search(r"resolve host|timed? ?out|reset|early EOF|hung up|connect to|error: (429|5\d\d)", said, re.I)
        if wait is None or lasting:
            lines = [x for x in said.splitlines() if x.startswith(("fatal:", "error:", "remote:"))] or said.splitlines()
            die("cannot fetch from %s: %s" % (url, " ".join(lines[:2])[:400] or "git gave no reason"))
        say("fetching again in %d s" % wait)
        time.sleep(wait)


def main():
    args = Arguments()
    for flag in ("--repository", "--sha", "--output"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    url, sha = args.repository, args.sha.lower()
    if not re.fullmatch("[0-9a-f]{40}(?:[0-9a-f]{24})?", sha) or not sha.strip("0"):
        die("--sha must be the full commit id of 40 or 64 hexadecimal digits")
    form = re.fullmatch(r"https://[^/\s@-][^\s@]*|ssh://([\w.-]+@)?[\w.\[][^\s@]*|file:///\S*|[\w.]+@[\w.][\w.-]*:[^-\s]\S*", url)
    if not form or re.search(r"[\0-\x20\x7f]|::", url):
        die("the repository must be https://host/path, ssh://[user@]host/path, user@host:path or "
            "file:///path, without a password (a token belongs into GIT_TOKEN)")
    output = fresh(args.output)
    with tempfile.TemporaryDirectory(prefix="step-") as scratch:
        repo, env = os.path.join(scratch, "repo"), environment(url, scratch)
        os.mkdir(repo)
        kind = ["--object-format=sha256"] if len(sha) == 64 else []
        made = git(repo, env, "init", "-q", "--bare", "--template=", *kind)
        if made.returncode:
            die("git init failed: %s" % made.stderr)
        say("fetching %s of %s" % (sha, url))
        fetch(repo, env, url, sha)
        if git(repo, env, "rev-parse", "--verify", "-q", sha + "^{commit}").stdout.strip() != sha:
            die("commit %s is not in %s: push it, or give a sha that is" % (sha, url))
        # The archive must be the whole tree, whatever the commit's attributes leave out of releases.
        os.makedirs(os.path.join(repo, "info"), exist_ok=True)
        with open(os.path.join(repo, "info", "attributes"), "w", encoding="utf-8") as out:
            out.write("* -export-ignore -export-subst\n")
        part = os.path.join(output, "source.tar.part")
        made = git(repo, env, "archive", "--format=tar", "-o", part, sha)
        if made.returncode:
            die("git archive failed: %s" % made.stderr)
        tree, when, subject = git(repo, env, "log", "-1", "--format=%T%n%cI%n%s", sha).stdout.split("\n", 2)
    os.replace(part, os.path.join(output, "source.tar"))
    write_json(os.path.join(output, "commit.json"),
               {"repository": url, "sha": sha, "tree": tree, "committed_at": when, "subject": subject.strip()})
    say("commit %s: %s" % (sha, subject.strip()))


run(main)
