"""Entry point `evaluate`: measures a model on the test rows and writes its figures to metrics_file."""

import argparse
import json
import math

import penguins


def measure(model, rows):
    classes = sorted(set(model["classes"]) | {label for _, label in rows})
    hits = {name: 0 for name in classes}
    predicted = dict(hits)
    actual = dict(hits)
    loss = 0.0
    for values, label in rows:
        probabilities = penguins.predict(model, values)
        answer = max(probabilities, key=probabilities.get)
        predicted[answer] += 1
        actual[label] += 1
        hits[label] += answer == label
        loss -= math.log(max(probabilities.get(label, 0.0), 1e-15))
    # F1 of a class = 2 * hits / (predicted + actual); classes in neither are no part of the average.
    seen = [name for name in classes if predicted[name] + actual[name]]
    return {
        "accuracy": sum(hits.values()) / len(rows),
        "macro_f1": sum(2 * hits[name] / (predicted[name] + actual[name]) for name in seen) / len(seen),
        "log_loss": loss / len(rows),
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--test-data", required=True)
    arguments.add_argument("--model-dir", required=True)
    arguments.add_argument("--metrics-file", required=True)
    options = arguments.parse_args()
    rows, incomplete = penguins.read_rows(options.test_data)
    metrics = measure(penguins.load(options.model_dir), rows)
    with open(options.metrics_file, "w", encoding="utf-8") as out:
        json.dump(metrics, out)
    print(f"tested on {len(rows)} penguins ({incomplete} left out: not completely measured)")
    for name, value in metrics.items():
        print(f"{name} {value:.4f}")


if __name__ == "__main__":
    main()
