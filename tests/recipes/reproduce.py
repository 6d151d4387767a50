#!/usr/bin/env python3
"""Repeat published results, and the retail tasks, with fedtill-simulate.

    tests/recipes/reproduce.py cj_return --quick
    tests/recipes/reproduce.py mcmahan2017-table1 --data ~/mnist --target 0.97
    tests/recipes/reproduce.py all --quick --json quick.json

Each recipe is a folder of this one: experiment.yaml, sweep.yaml (everything), quick.yaml (about a minute). A recipe that was
cut off goes on where it was. Exit: 0 done, 1 a cell failed or a recipe missed what it must reach, 64 usage, 66 data missing.
"""
import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.path.join(ROOT, "tests", "data")
FASHION = "/usr/share/datasets/fashion-mnist"
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

# Rounds to 97 % (2NN) and 99 % (CNN) on MNIST, McMahan et al. 2017: the row of C or of (E, B), then B = all and 10.
PAPER = {
    "mcmahan2017-table1": {
        ("iid", "0", "{count: 1}"): 1455, ("iid", "10", "{count: 1}"): 316,
        ("iid", "0", "{fraction: 0.1}"): 1474, ("iid", "10", "{fraction: 0.1}"): 87,
        ("iid", "0", "{fraction: 0.2}"): 1658, ("iid", "10", "{fraction: 0.2}"): 77,
        ("iid", "10", "{fraction: 0.5}"): 75, ("iid", "10", "{fraction: 1}"): 70,
        ("shards", "0", "{count: 1}"): 4278, ("shards", "10", "{count: 1}"): 3275,
        ("shards", "0", "{fraction: 0.1}"): 1796, ("shards", "10", "{fraction: 0.1}"): 664,
        ("shards", "0", "{fraction: 0.2}"): 1528, ("shards", "10", "{fraction: 0.2}"): 619,
        ("shards", "10", "{fraction: 0.5}"): 443, ("shards", "10", "{fraction: 1}"): 380,
    },
    "mcmahan2017-table2": {
        ("iid", "1", "0"): 626, ("iid", "5", "0"): 179, ("iid", "1", "50"): 65, ("iid", "20", "0"): 234,
        ("iid", "1", "10"): 34, ("iid", "5", "50"): 29, ("iid", "20", "50"): 32, ("iid", "5", "10"): 20,
        ("iid", "20", "10"): 18,
        ("shards", "1", "0"): 483, ("shards", "5", "0"): 1000, ("shards", "1", "50"): 600, ("shards", "20", "0"): 672,
        ("shards", "1", "10"): 350, ("shards", "5", "50"): 334, ("shards", "20", "50"): 426, ("shards", "5", "10"): 229,
        ("shards", "20", "10"): 173,
    },
}


class Missing(Exception):
    """Data that a recipe needs are not there."""


def flow(text):
    """{kind: iid, clients: 100} as a dictionary of texts."""
    return dict(part.split(": ", 1) for part in text.strip("{}").split(", "))


def short(text):
    """The same for a table: "iid, clients 100"."""
    return ", ".join(value if i == 0 else f"{key} {value}" for i, (key, value) in enumerate(flow(text).items())) \
        if text.startswith("{") else text


def number(value, digits=4):
    return "-" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    for row in [head] + rows:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())


# ---- what each recipe reads ----

def idx_data(options, folder):
    data = os.path.abspath(options.data or FASHION)
    for name in IDX_FILES:
        dotted = name.replace("-idx", ".idx")  # as some archives name them
        if not any(os.path.exists(os.path.join(data, stem + end)) for stem in (name, dotted) for end in ("", ".gz")):
            raise Missing(f"{data}/{name}: there is no such file, nor {dotted}, plain or with .gz behind it; "
                          "apt-get install dataset-fashion-mnist, or --data FOLDER with MNIST's four files")
    return [f"data.folder={data}"]


def task_data(source, least):
    def prepare(options, folder):
        if options.quick and source == "completejourney":
            return [f"data.files={ROOT}/deploy/demo/shops/store-*.csv"]
        shops = os.path.join(folder, "shops")
        if not os.path.exists(os.path.join(shops, "stores.csv")):
            arguments = ["1", "10"] if options.quick else [str(least)]
            subprocess.run([os.path.join(DATA, "split.sh"), os.path.join(DATA, source, "transactions.csv.gz"), shops]
                           + arguments, check=True)
        return [f"data.files={shops}/store-*.csv"]
    return prepare


def adult_data(options, folder):
    sets = []
    for part in ("train", "test"):
        path = os.path.join(folder, part + ".csv")
        with gzip.open(os.path.join(DATA, "adult", part + ".csv.gz")) as packed, open(path, "wb") as plain:
            shutil.copyfileobj(packed, plain)
        sets.append(f"data.{part}={path}")
    return sets


def retail_data(options, folder):
    shops = os.path.join(folder, "shops-made")
    if not os.path.exists(os.path.join(shops, "truth.json")):
        size = ["--stores", "6", "--customers", "900"] if options.quick else ["--stores", "40", "--customers", "12000"]
        subprocess.run([options.program, "data", "--out", shops, "--skew", "0.4", "--baskets", "0.3", "--force"] + size,
                       check=True, stdout=subprocess.DEVNULL)
    return [f"data.files={shops}/shops/store-*.csv"]


# ---- what each recipe shows ----

def show_table1(result, options):
    rows = []
    for cell in result["cells"]:
        partition, training = flow(cell["values"]["partition"]), flow(cell["values"]["training"])
        clients = cell["values"]["clients"]
        key = (partition["kind"], training["batch_size"], clients)
        reached = cell.get("rounds_to_target")
        rows.append([partition["kind"], "0" if "count" in clients else flow(clients)["fraction"],
                     "all" if training["batch_size"] == "0" else training["batch_size"],
                     f"over {training['rounds']}" if reached is None else number(reached, 1),
                     number((cell.get("metrics") or {}).get("accuracy")), PAPER["mcmahan2017-table1"].get(key, "-")])
    table(["partition", "C", "B", f"rounds to {result['target']:g}", "accuracy", "paper: rounds to 0.97"], rows)


def show_table2(result, options):
    rows = []
    for cell in result["cells"]:
        partition, training = flow(cell["values"]["partition"]), flow(cell["values"]["training"])
        key = (partition["kind"], training["local_epochs"], training["batch_size"])
        reached = cell.get("rounds_to_target")
        rows.append([partition["kind"], training["local_epochs"],
                     "all" if training["batch_size"] == "0" else training["batch_size"],
                     f"over {training['rounds']}" if reached is None else number(reached, 1),
                     number((cell.get("metrics") or {}).get("accuracy")), PAPER["mcmahan2017-table2"].get(key, "-")])
    table(["partition", "E", "B", f"rounds to {result['target']:g}", "accuracy", "paper: rounds to 0.99"], rows)


def show_groups(result, options):
    """The metric beside the baselines; means over seeds where there are any."""
    metric, rows = result["metric"], []
    keys = [key for key in result["grid"] if key != "seed"]
    for group in result["groups"]:
        cells = [cell for cell in result["cells"] if all(cell["values"][key] == group["values"][key] for key in keys)
                 and cell["state"] == "done"]
        pooled = [cell["baselines"].get("pooled", {}).get(metric) for cell in cells]
        alone = [cell["baselines"].get("local", {}).get(metric) for cell in cells]
        own = [cell["metrics"].get("personal_accuracy") for cell in cells]
        mean = lambda values: sum(values) / len(values) if values and None not in values else None
        rows.append([short(group["values"][key]) for key in keys]
                    + [number(group["mean"]), number(group["deviation"]), number(mean(pooled)), number(mean(alone)),
                       number(mean(own))])
    table(keys + [metric, "deviation", "pooled", "each alone", "own models' accuracy"], rows)


# ---- what a recipe must reach, quick or not ----

def learns(least):
    """The best cell comes to within `least` of pooled training."""
    def check(result, options):
        metric = result["metric"]
        gaps = [cell["baselines"]["pooled"][metric] - cell["metrics"][metric] for cell in result["cells"]
                if cell["state"] == "done"]
        if not gaps or min(gaps) > least:
            return f"the best {metric} is {min(gaps, default=float('nan')):.4f} below pooled training, expected {least} at most"
        return None
    return check


def local_work_helps(result, options):
    """Small batches reach the target sooner than one step on all rows, for each partition and C."""
    reached, target = {}, result["target"]
    for cell in result["cells"]:
        training = flow(cell["values"]["training"])
        place = (cell["values"]["partition"], cell["values"].get("clients"))
        if training["local_epochs"] == "1":
            reached.setdefault(place, {})[training["batch_size"]] = cell.get("rounds_to_target")
    for place, by_batch in reached.items():
        all_rows, ten = by_batch.get("0"), by_batch.get("10")
        where = ", ".join(short(text) for text in place if text)
        if "10" in by_batch and "iid" in place[0] and ten is None:
            return f"{where}: batches of 10 did not reach {target:g} within their rounds"
        if "10" in by_batch and "iid" in place[0] and all_rows is not None and all_rows <= ten:
            return f"{where}: {target:g} after {ten:.1f} rounds with batches of 10, {all_rows:.1f} with all rows, expected fewer"
    return None


RECIPES = {
    "mcmahan2017-table1": ("Table 1 of McMahan et al. 2017: the 2NN", idx_data, show_table1, local_work_helps),
    "mcmahan2017-table2": ("Table 2 of McMahan et al. 2017: the CNN", idx_data, show_table2, local_work_helps),
    "adult": ("Adult: income above 50,000", adult_data, show_groups, learns(0.02)),
    "cj_return": ("Complete Journey: does a household come back?", task_data("completejourney", 100), show_groups,
                  learns(0.01)),
    "iowa_reorder": ("Iowa liquor: is an item ordered again?", task_data("iowa-liquor", 1), show_groups, learns(0.01)),
    "retail": ("Generated shops: does a customer come back?", retail_data, show_groups, learns(0.02)),
}


STOPS = ("mcmahan2017-table1", "mcmahan2017-table2")  # their runs end at the target


def verdict(result):
    """In words: how soon the target was reached, and how near the nearest came when it was not."""
    target, cells = result["target"], [cell for cell in result["cells"] if cell["state"] == "done"]
    if target is None or not cells:
        return None
    there = [cell for cell in cells if cell.get("rounds_to_target") is not None]
    name = lambda cell: "; ".join(f"{key} {short(value)}" for key, value in cell["values"].items())
    if not there:
        best = max(cells, key=lambda cell: cell["metrics"][result["metric"]] or 0)
        return f"no cell reached {result['metric']} {target:g}; the best came to {best['metrics'][result['metric']]:.4f} ({name(best)})"
    first = min(there, key=lambda cell: cell["rounds_to_target"])
    return (f"{len(there)} of {len(cells)} cells reached {result['metric']} {target:g}; the first after "
            f"{first['rounds_to_target']:.1f} rounds ({name(first)})")


def run_recipe(name, options):
    title, prepare, show, check = RECIPES[name]
    folder = os.path.join(os.path.abspath(options.out), name + ("-quick" if options.quick else ""))
    os.makedirs(folder, exist_ok=True)
    sets = prepare(options, folder) + options.set
    command = [options.program, "sweep", os.path.join(HERE, name, "quick.yaml" if options.quick else "sweep.yaml"), "--out",
               os.path.join(folder, "sweep"), "--json"]
    for text in sets:
        command += ["--set", text]
    if options.target is not None:
        command += ["--target", str(options.target)]
        if name in STOPS:
            command += ["--set", f"stop.at={options.target}"]
    if options.jobs:
        command += ["--jobs", str(options.jobs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        raise subprocess.CalledProcessError(done.returncode, command)
    result = json.loads(done.stdout)
    print(f"\n{title}")
    show(result, options)
    words = verdict(result) if name in STOPS else None
    if words:
        print(words)
    fault = check(result, options)
    if result["failed"] + result["invalid"] > 0:
        fault = f"{result['failed'] + result['invalid']} cells did not run; see {folder}/sweep/results.csv"
    print(f"MISSED: {fault}" if fault else f"reached; every run and its report: {folder}/sweep/report.html")
    return {"recipe": name, "title": title, "quick": options.quick, "reached": fault is None, "fault": fault,
            "metric": result["metric"], "target": result["target"], "cells": result["cells"], "groups": result["groups"]}


def main():
    parser = argparse.ArgumentParser(description="Repeat published results and the retail tasks.",
                                     epilog="example: tests/recipes/reproduce.py cj_return --quick")
    parser.add_argument("recipe", nargs="+", metavar="RECIPE", help=", ".join(RECIPES) + ", or all")
    parser.add_argument("--quick", action="store_true", help="a corner of it, in about a minute")
    parser.add_argument("--data", metavar="FOLDER", help=f"IDX files of the McMahan recipes (default {FASHION})")
    parser.add_argument("--target", type=float, help="metric to reach, e.g. 0.97 on MNIST with the 2NN")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one value of every experiment")
    parser.add_argument("--out", default="recipes-out", metavar="DIR", help="folder for runs (default recipes-out)")
    parser.add_argument("--jobs", type=int, help="cells at a time")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "bin", "fedtill-simulate"))
    options = parser.parse_args()
    names = list(RECIPES) if "all" in options.recipe else options.recipe
    for name in names:
        if name not in RECIPES:
            print(f"reproduce.py: unknown recipe '{name}', expected one of {', '.join(RECIPES)}, all", file=sys.stderr)
            return 64
    if not os.access(options.program, os.X_OK):
        print(f"reproduce.py: {options.program} is not there; build it, or say --program", file=sys.stderr)
        return 66
    results = []
    for name in names:
        try:
            results.append(run_recipe(name, options))
        except Missing as missing:
            print(f"reproduce.py: {name}: {missing}", file=sys.stderr)
            return 66
        except subprocess.CalledProcessError as error:
            print(f"reproduce.py: {name}: {error.cmd[0]} {error.cmd[1]} ended with {error.returncode}", file=sys.stderr)
            return error.returncode if error.returncode in (65, 66, 70, 75, 78) else 70
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    return 0 if all(result["reached"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
