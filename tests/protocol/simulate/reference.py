#!/usr/bin/env python3
"""The baselines of cj_return, computed by plain loops and SQLite alone: the oracle of test_simulate_baseline.

Usage: reference.py SQL_FILE SHOP.csv...   prints: train rows, test rows, pooled objective, AUC and test loss,
then shops that can be scored alone, their mean AUC and mean test loss, and the pooled model's mean AUC on them.
"""
import csv
import math
import sqlite3
import sys

WEIGHT_DECAY = 1e-4
REAL = {"quantity", "amount", "discount", "coupon", "coupon_match"}


def rows_of(path, sql):
    lines = csv.reader(open(path))
    header = next(lines)
    kinds = ["REAL" if c in REAL else "INTEGER" if c == "week" else "TEXT" for c in header]
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE transactions(%s)" % ", ".join(map(" ".join, zip(header, kinds))))
    db.executemany("INSERT INTO transactions VALUES (%s)" % ", ".join("?" * len(header)), lines)
    rows = {"train": [], "test": []}
    for row in db.execute(sql):
        rows[row[1]].append((row[4:], row[2]))
    return rows


def solve(a, b):
    """Gauss elimination with pivoting."""
    n = len(b)
    m = [list(row) + [v] for row, v in zip(a, b)]
    for i in range(n):
        best = max(range(i, n), key=lambda r: abs(m[r][i]))
        m[i], m[best] = m[best], m[i]
        for r in range(i + 1, n):
            f = m[r][i] / m[i][i]
            m[r] = [u - f * v for u, v in zip(m[r], m[i])]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][j] * x[j] for j in range(i + 1, n))) / m[i][i]
    return x


def loss(z, y):
    return max(z, 0) + math.log1p(math.exp(-abs(z))) - y * z


def dot(a, b):
    return sum(u * v for u, v in zip(a, b))


def fit(rows):
    n, d = len(rows), len(rows[0][0])
    mean = [sum(x[j] for x, _ in rows) / n for j in range(d)]
    std = [math.sqrt(sum((x[j] - mean[j]) ** 2 for x, _ in rows) / n) for j in range(d)]
    std = [s if s > 1e-9 else 1.0 for s in std]
    xs = [[(x[j] - mean[j]) / std[j] for j in range(d)] + [1.0] for x, _ in rows]
    ys = [y for _, y in rows]

    def objective(w):
        return sum(loss(dot(x, w), y) for x, y in zip(xs, ys)) / n + WEIGHT_DECAY / 2 * dot(w[:d], w[:d])

    w = [0.0] * (d + 1)
    for _ in range(200):
        grad = [WEIGHT_DECAY * v for v in w[:d]] + [0.0]
        hess = [[WEIGHT_DECAY * (i == j and i < d) for j in range(d + 1)] for i in range(d + 1)]
        for x, y in zip(xs, ys):
            p = 1 / (1 + math.exp(-dot(x, w)))
            for i in range(d + 1):
                grad[i] += (p - y) * x[i] / n
                for j in range(d + 1):
                    hess[i][j] += p * (1 - p) * x[i] * x[j] / n
        step = solve(hess, grad)
        gain, reach, now = dot(step, grad), 1.0, objective(w)
        if gain < 1e-14:
            break
        while reach > 1e-9 and objective([u - reach * v for u, v in zip(w, step)]) > now - 1e-4 * reach * gain:
            reach /= 2
        w = [u - reach * v for u, v in zip(w, step)]
    return mean, std, w, objective(w)


def scores(model, rows):
    mean, std, w, _ = model
    return [sum((v - m) / s * c for v, m, s, c in zip(x, mean, std, w)) + w[-1] for x, _ in rows]


def auc(model, rows):
    scored = list(zip(scores(model, rows), (y for _, y in rows)))
    positive, negative = [z for z, y in scored if y], [z for z, y in scored if not y]
    return sum((p > q) + (p == q) / 2 for p in positive for q in negative) / len(positive) / len(negative)


def mean_loss(model, rows):
    return sum(loss(z, y) for z, (_, y) in zip(scores(model, rows), rows)) / len(rows)


query = open(sys.argv[1]).read()
shops = [rows_of(path, query) for path in sys.argv[2:]]
train = [row for shop in shops for row in shop["train"]]
test = [row for shop in shops for row in shop["test"]]
pooled = fit(train)
print(len(train), len(test), "%.12f %.12f %.12f" % (pooled[3], auc(pooled, test), mean_loss(pooled, test)))
own = [s for s in shops if all(len({y for _, y in s[split]}) == 2 for split in ("train", "test"))]
alone = [(fit(s["train"]), s["test"]) for s in own]
print(len(own), "%.12f" % (sum(auc(m, t) for m, t in alone) / len(own)), end=" ")
print("%.12f" % (sum(mean_loss(m, t) for m, t in alone) / len(own)), end=" ")
print("%.12f" % (sum(auc(pooled, s["test"]) for s in own) / len(own)))
