"""The model itself: multinomial logistic regression on four measurements of a penguin."""

import csv
import json
import math

FEATURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
LABEL = "species"


def read_rows(path):
    """Features and label of every penguin that was measured completely, and how many were not."""
    rows, incomplete = [], 0
    with open(path, encoding="utf-8", newline="") as source:
        reader = csv.DictReader(source)
        absent = [name for name in (*FEATURES, LABEL) if name not in (reader.fieldnames or ())]
        if absent:
            raise SystemExit(f"{path}: no column {', '.join(absent)}")
        for row in reader:
            try:
                rows.append(([float(row[name]) for name in FEATURES], row[LABEL]))
            except (TypeError, ValueError):  # NA
                incomplete += 1
    if not rows:
        raise SystemExit(f"{path}: no complete row")
    return rows, incomplete


def load(model_dir):
    with open(f"{model_dir}/model.json", encoding="utf-8") as source:
        return json.load(source)


def standardise(values, model):
    return [(v - m) / s for v, m, s in zip(values, model["mean"], model["deviation"])]


def softmax(weights, x):
    """Class probabilities of a standardised row; the last weight of each class is its intercept."""
    scores = [sum(w * v for w, v in zip(row, x)) + row[-1] for row in weights]
    top = max(scores)
    powers = [math.exp(s - top) for s in scores]
    total = sum(powers)
    return [p / total for p in powers]


def predict(model, values):
    """Probability of each species."""
    return dict(zip(model["classes"], softmax(model["weights"], standardise(values, model))))
