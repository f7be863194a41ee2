"""Entry point `deploy`: tests that the model answers, then puts a serving bundle into the target directory.

The target is the parameter `target`, else the environment variable PENGUINS_TARGET. With neither, only the test runs.
A real repository would call its serving platform here.
"""

import argparse
import json
import os
import shutil

import penguins

TYPICAL = {
    "Adelie": (38.8, 18.4, 190, 3700),
    "Chinstrap": (48.8, 18.4, 196, 3730),
    "Gentoo": (47.6, 15.0, 217, 5090),
}


def self_test(model):
    """A typical penguin of each species the model knows must be recognised."""
    for species in model["classes"]:
        if species not in TYPICAL:
            continue
        probabilities = penguins.predict(model, TYPICAL[species])
        answer = max(probabilities, key=probabilities.get)
        print(f"self-test: typical {species} is taken for {answer} ({probabilities[answer]:.2f})")
        if answer != species:
            raise SystemExit("self-test failed: this model must not be served")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--model-dir", required=True)
    arguments.add_argument("--model-name", default="penguins")
    arguments.add_argument("--model-version", default="0")
    arguments.add_argument("--target", default="")
    options = arguments.parse_args()
    self_test(penguins.load(options.model_dir))

    target = options.target or os.environ.get("PENGUINS_TARGET", "")
    if not target:
        print("no target given: nothing was put anywhere")
        return
    bundle = os.path.join(target, options.model_name, options.model_version)
    os.makedirs(bundle, exist_ok=True)
    here = os.path.dirname(os.path.abspath(__file__))
    shutil.copyfile(os.path.join(options.model_dir, "model.json"), os.path.join(bundle, "model.json"))
    shutil.copyfile(os.path.join(here, "penguins.py"), os.path.join(bundle, "penguins.py"))
    with open(os.path.join(bundle, "bundle.json"), "w", encoding="utf-8") as out:
        json.dump({"name": options.model_name, "version": options.model_version, "load": "penguins.load"}, out)
        out.write("\n")
    print(f"bundle of {options.model_name} version {options.model_version} written to {bundle}")


if __name__ == "__main__":
    main()
