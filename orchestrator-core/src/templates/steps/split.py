"""Splits a data set into a train and a test part; the same file, fraction and seed give the same parts.

In: --dataset (one .csv with a header, or one .jsonl). Out: <output>/train.csv and test.csv (or .jsonl), split.json.
Rows keep their order and their bytes; which part a row falls into follows from the seed and its number.
"""
import csv
import decimal
import hashlib


def data_file(folder):
    found = [os.path.join(at, f) for at, _, files in sorted(os.walk(folder)) for f in files if f.endswith((".csv", ".jsonl"))]
    if len(found) != 1:
        die("one .csv or .jsonl file is expected in the data set, not %d" % len(found))
    return found[0]


def rows(path):
    """The file's records as bytes, the header of a .csv first. Quoted line ends stay inside their record."""
    with open(path, "rb") as source:
        if source.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            die("%s is UTF-16: save it as UTF-8" % os.path.basename(path))
        source.seek(0)
        if path.endswith(".jsonl"):
            yield from (line.rstrip(b"\r\n") + b"\n" for line in source if line.strip())
            return
        taken = []

        def lines():
            for line in source:
                taken.append(line)
                yield line.decode("latin-1")  # keeps every byte; quotes and separators are ASCII

        first = source.readline().decode("latin-1")
        source.seek(0)
        csv.field_size_limit(1 << 30)
        try:
            for record in csv.reader(lines(), delimiter=max(",;\t|", key=first.count)):
                text = b"".join(taken)
                taken.clear()
                if record:
                    yield text if text.endswith(b"\n") else text + b"\n"
        except csv.Error as problem:
            die("%s is not CSV: %s" % (os.path.basename(path), problem))


def main():
    args = Arguments()
    for flag in ("--dataset", "--train-fraction", "--seed", "--output"):
        args.add_argument(flag, required=True)
    args = args.parse_args()
    if not re.fullmatch(r"0?\.\d{1,15}", args.train_fraction) or not args.train_fraction.strip("0."):
        die("--train-fraction must be a decimal number between 0 and 1, such as 0.8")
    if not re.fullmatch(r"\d{1,20}", args.seed):
        die("--seed must be a whole number, at least 0")
    path = data_file(args.dataset)
    extension = os.path.splitext(path)[1]
    headers = 1 if extension == ".csv" else 0
    total = sum(1 for _ in rows(path)) - headers
    share = 1 - decimal.Decimal(args.train_fraction)
    tests = int((share * max(total, 0)).to_integral_value(decimal.ROUND_CEILING))
    if tests < 1 or total - tests < 1:
        die("%d rows cannot be split at %s: each part needs at least one row" % (max(total, 0), args.train_fraction))
    seed = int(args.seed)
    order = sorted(range(total), key=lambda row: hashlib.sha256(b"%d:%d" % (seed, row)).digest())
    test = set(order[:tests])
    output = fresh(args.output)
    with open(os.path.join(output, "train" + extension), "wb") as train_out, \
            open(os.path.join(output, "test" + extension), "wb") as test_out:
        for number, row in enumerate(rows(path), -headers):
            if number < 0 or number not in test:
                train_out.write(row)
            if number < 0 or number in test:
                test_out.write(row)
    write_json(os.path.join(output, "split.json"), {"train_fraction": args.train_fraction, "seed": seed, "rows": total,
                                                    "train_rows": total - tests, "test_rows": tests})
    say("split: %d rows to train with, %d to test with (seed %d)" % (total - tests, tests, seed))
    client = tracking()
    if client:
        tags = {"split.train_rows": total - tests, "split.test_rows": tests}
        noted("the split", lambda: client.log(tags=tags))


run(main)
