"""Entry point `train`: fits the model by mini-batch gradient descent and writes model_dir/model.json."""

import argparse
import json
import os
import random

import penguins

BATCH = 16


def fit(rows, learning_rate, epochs, l2, seed):
    count = len(rows)
    columns = list(zip(*(values for values, _ in rows)))
    mean = [sum(c) / count for c in columns]
    deviation = [(sum((v - m) ** 2 for v in c) / count) ** 0.5 or 1.0 for c, m in zip(columns, mean)]
    classes = sorted({label for _, label in rows})
    generator = random.Random(seed)
    weights = [[generator.gauss(0, 0.01) for _ in range(len(mean) + 1)] for _ in classes]
    model = {"classes": classes, "mean": mean, "deviation": deviation, "weights": weights}
    examples = [(penguins.standardise(values, model), classes.index(label)) for values, label in rows]

    for _ in range(epochs):
        generator.shuffle(examples)
        for start in range(0, count, BATCH):
            batch = examples[start : start + BATCH]
            gradient = [[0.0] * len(row) for row in weights]
            for x, label in batch:
                for k, probability in enumerate(penguins.softmax(weights, x)):
                    error = probability - (k == label)
                    for j, value in enumerate(x):
                        gradient[k][j] += error * value
                    gradient[k][-1] += error
            for row, slope in zip(weights, gradient):
                for j in range(len(row)):
                    decay = l2 * row[j] if j < len(row) - 1 else 0.0
                    row[j] -= learning_rate * (slope[j] / len(batch) + decay)
    return model


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--train-data", required=True)
    arguments.add_argument("--model-dir", required=True)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--learning-rate", type=float, default=0.1)
    arguments.add_argument("--epochs", type=int, default=60)
    arguments.add_argument("--l2", type=float, default=0.001)
    options = arguments.parse_args()
    if options.learning_rate <= 0 or options.epochs < 1 or options.l2 < 0:
        raise SystemExit("learning_rate must be above 0, epochs at least 1, l2 at least 0")

    rows, incomplete = penguins.read_rows(options.train_data)
    print(f"training on {len(rows)} penguins ({incomplete} left out: not completely measured)")
    model = fit(rows, options.learning_rate, options.epochs, options.l2, options.seed)
    os.makedirs(options.model_dir, exist_ok=True)
    # The choices that shaped the model, without the paths of this machine.
    chosen = {name: getattr(options, name) for name in ("seed", "learning_rate", "epochs", "l2")}
    with open(f"{options.model_dir}/model.json", "w", encoding="utf-8") as out:
        json.dump({**model, "features": penguins.FEATURES, "parameters": chosen}, out, indent=1)
        out.write("\n")
    print(f"model of {len(model['classes'])} species written")


if __name__ == "__main__":
    main()
