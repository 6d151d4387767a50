#!/usr/bin/env python3
"""Read an exported model with nothing but the standard library and print its predictions.

Usage: read_model.py FILE... -- RAW_FEATURE...    (FILE ends in .safetensors or .json)
Written from the description in aggregator/export/export.h; checks everything the safetensors format asks for.
"""
import json
import math
import struct
import sys


def read_safetensors(path):
    data = open(path, "rb").read()
    (size,) = struct.unpack_from("<Q", data)
    assert size % 8 == 0 and data[8:9] == b"{"
    header = json.loads(data[8 : 8 + size])
    meta = header.pop("__metadata__")
    assert all(isinstance(v, str) for v in meta.values())
    body, end, tensors = data[8 + size :], 0, {}
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = t["data_offsets"]
        width, code = {"F32": (4, "f"), "F64": (8, "d")}[t["dtype"]]
        assert begin == end and begin % width == 0 and stop - begin == width * math.prod(t["shape"])
        tensors[name] = (t["shape"], struct.unpack_from("<%d%s" % ((stop - begin) // width, code), body, begin))
        end = stop
    assert end == len(body)
    layers = []
    while "layers.%d.weight" % len(layers) in tensors:
        (inputs, outputs), flat = tensors["layers.%d.weight" % len(layers)]
        rows = [flat[i * outputs : (i + 1) * outputs] for i in range(inputs)]
        layers.append((rows, tensors["layers.%d.bias" % len(layers)][1]))
    if meta["kind"] == "kmeans":
        (clusters, count), flat = tensors["centroids"]
        layers = [flat[k * count : (k + 1) * count] for k in range(clusters)]
    columns = [tensors["features." + k][1] for k in ("min", "max", "mean", "std")]
    assert len(json.loads(meta["features"])) == len(columns[0])
    return meta["kind"], meta.get("activation"), list(zip(*columns)), layers, meta["task_hash"], meta["privacy"]


def read_json(path):
    m = json.load(open(path))
    features = [(f["min"], f["max"], f["mean"], f["std"]) for f in m["features"]]
    layers = [(layer["weights"], layer["biases"]) for layer in m["layers"]]
    if m["model"]["kind"] == "kmeans":
        layers = m["centroids"]
        own = [[mean + std * v for v, (_, _, mean, std) in zip(c, features)] for c in layers]
        assert all(abs(a - b) < 1e-9 for c, d in zip(own, m["centroids_in_units"]) for a, b in zip(c, d))
    return m["model"]["kind"], m["model"].get("activation"), features, layers, m["task"]["hash"], m["privacy"]


def predict(kind, activation, features, layers, raw):
    x = [(min(max(v, low), high) - mean) / std for v, (low, high, mean, std) in zip(raw, features)]
    if kind == "kmeans":
        squares = [sum((v - c) ** 2 for v, c in zip(x, centroid)) for centroid in layers]
        return [1 if k == squares.index(min(squares)) else 0 for k in range(len(squares))]
    for n, (rows, biases) in enumerate(layers):
        x = [b + sum(v * row[k] for v, row in zip(x, rows)) for k, b in enumerate(biases)]
        if n + 1 < len(layers):
            x = [max(v, 0) if activation == "relu" else math.tanh(v) for v in x]
    if kind == "linear":
        return x
    if kind == "poisson":
        return [math.exp(v) for v in x]
    if len(x) == 1:
        return [1 / (1 + math.exp(-x[0]))]
    total = sum(math.exp(v) for v in x)
    return [math.exp(v) / total for v in x]


split = sys.argv.index("--")
for path in sys.argv[1:split]:
    reader = read_safetensors if path.endswith(".safetensors") else read_json
    *model, task_hash, privacy = reader(path)
    print(task_hash)
    print(privacy)
    for value in predict(*model, [float(v) for v in sys.argv[split + 1 :]]):
        print("%.9f" % value)
