"""Brings one version of the data set, named by a DVC pointer of the commit, from the DVC store.

In: --code (source.tar with data/<version>.dvc or data/<version>.<ext>.dvc), --store (a DVC cache or remote on a
shared volume). Out: <output>/<the pointer's file name>, or the files of a data set that is a directory.
The checksums are verified; the tracked run gets the data set as an input.
"""
import hashlib

PACKED = ("gz", "bz2", "xz", "zst")


def version_of(stem):
    """v1 of v1.csv and of v1.csv.gz; v1.0 stays what it is."""
    for _ in range(2):
        base, dot, ext = stem.rpartition(".")
        if not (dot and base and re.fullmatch("[A-Za-z][A-Za-z0-9]*", ext)):
            break
        stem = base
        if ext not in PACKED:
            break
    return stem


def pointer(code, version):
    """Text and name of the one pointer of this version."""
    found, known = [], set()
    try:
        with tarfile.open(os.path.join(code, "source.tar")) as tar:
            for member in tar:
                path = re.fullmatch(r"data/([^/]+)\.dvc", member.name)
                if path and member.isreg():
                    known.add(version_of(path[1]))
                    if version in (path[1], version_of(path[1])):
                        found.append((member.name, tar.extractfile(member).read(1 << 16).decode("utf-8", "replace")))
    except (tarfile.TarError, EOFError) as problem:
        die("source.tar cannot be read: %s" % problem)
    if not found:
        die("data set version %s is not in data/ of this commit (there are: %s)" % (version, ", ".join(sorted(known)) or "none"))
    if len(found) > 1:
        die("data set version %s is ambiguous: %s" % (version, ", ".join(name for name, _ in found)))
    return found[0]


def parse(name, text):
    """The single entry of `outs` in what `dvc add` writes."""
    fields, inside = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if re.match(r"[^\s-]", line):
            inside = line.rstrip() == "outs:"
        elif inside:
            item = re.fullmatch(r"\s*(- +|\s+)(\w+): +(.*?)\s*", line)
            if not item or (item[1][0] == "-" and fields):
                die("%s line %d: one entry of `outs` with `key: value` lines is expected" % (name, number))
            fields[item[2]] = item[3]
    path = fields.get("path", "")
    path = path[1:-1].replace("''", "'") if path[:1] == "'" else path.strip('"')
    if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", fields.get("md5", "")) or fields.get("hash", "md5") != "md5":
        die("%s: an md5 of 32 hexadecimal digits is expected" % name)
    if not safe(path) or "/" in path:
        die("%s: path %r must be a plain file name" % (name, path))
    if not re.fullmatch(r"\d{1,18}", fields.get("size", "0")):
        die("%s: size is not a number" % name)
    return fields["md5"], int(fields["size"]) if "size" in fields else None, path, "hash" in fields


def safe(path):
    return all(p not in ("", ".", "..") for p in path.split("/")) and not re.search(r"[\0-\x1f\\]", path)


def copy(store, md5, modern, target, what):
    """Copies one object and verifies it on the way; the size in bytes."""
    layouts = ("files/md5", "") if modern else ("", "files/md5")
    places = [os.path.join(store, layout, md5[:2], md5[2:]) for layout in layouts]
    place = next((p for p in places if os.path.isfile(p)), None)
    if not place:
        die("%s (md5 %s) is not in the store %s: run `dvc push` where the data is" % (what, md5, store))
    exact, unix, size = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False), 0
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(place, "rb") as source, open(target + ".part", "wb") as out:
        for chunk in iter(lambda: source.read(1 << 20), b""):
            exact.update(chunk)
            if not modern:  # DVC 2 took the checksum of texts after turning CRLF into LF
                unix.update(chunk.replace(b"\r\n", b"\n"))
            out.write(chunk)
            size += len(chunk)
    if exact.hexdigest() != md5[:32] and (modern or unix.hexdigest() != md5[:32]):
        os.unlink(target + ".part")
        die("%s in the store is damaged: %s has md5 %s. Push the data again" % (what, place, exact.hexdigest()))
    os.replace(target + ".part", target)
    return size, place


def main():
    args = Arguments()
    for flag in ("--code", "--version", "--store", "--output"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    version = args.version
    if not safe(version) or "/" in version:
        die("--version must be one name without slashes, not %r" % version)
    name, text = pointer(args.code, version)
    md5, size, path, modern = parse(name, text)
    output = fresh(args.output)
    if md5.endswith(".dir"):
        with tempfile.TemporaryDirectory(prefix="step-") as scratch:
            listing = os.path.join(scratch, "dir")
            _, place = copy(args.store, md5, modern, listing, "data set " + version)
            entries = read_json(listing, "listing of the data set " + version)
        total = 0
        for entry in entries if isinstance(entries, list) else die("the listing of %s is no list" % version):
            entry = entry if isinstance(entry, dict) else {}
            file, digest = str(entry.get("relpath", "")), str(entry.get("md5"))
            if not safe(file) or not re.fullmatch("[0-9a-f]{32}", digest):
                die("the listing of %s has an unusable entry: %r" % (version, file))
            total += copy(args.store, digest, modern, os.path.join(output, file), "%s of %s" % (file, version))[0]
    else:
        total, place = copy(args.store, md5, modern, os.path.join(output, path), "data set " + version)
    if size is not None and total != size:
        die("data set %s has %d bytes, but %s says %d" % (version, total, name, size))
    say("data set %s: %d bytes, md5 %s" % (version, total, md5))
    client = tracking()
    if client:
        source = {"uri": os.path.abspath(place), "pointer": name, "version": version}
        entry = {"name": version, "digest": md5, "source_type": "local", "source": json.dumps(source)}
        context = [{"key": "mlflow.data.context", "value": "training"}]
        inputs = [{"tags": context, "dataset": entry}]
        noted("the data set", lambda: client.post("runs/log-inputs", run_id=client.run_id, datasets=inputs))


run(main)
