"""Rounds of federated averaging in PyTorch, the yardsticks of bench_simulate.

Usage: torch_rounds.py MODE FOLDER SHAPE ROWS,EPOCHS,BATCH,RATE

MODE idiomatic: nn.Module, autograd, torch.optim.SGD, one client after the other, all threads to PyTorch.
MODE flat: parameters are views of one flat tensor, gradients by hand straight into the weights, two processes of
one thread with half of the clients each. With convolutions: the idiomatic loop in two such processes.

SHAPE is widths, "784,200,200,10"; convolutions of square grey images go before them as channels x kernel x pool,
"32x5x2/64x5x2:784,512,10".

Reads lines "round CLIENT ..." and "accuracy" from standard input, answers each: seconds and processor seconds,
or the share of test rows that are right.
"""
import sys
import time

try:
    import numpy as np
    import torch
    import torch.multiprocessing as mp
except ImportError as missing:
    sys.exit(f"bench_simulate: no PyTorch here ({missing}); on Debian: apt-get install python3-torch")

mode, folder, shape, settings = sys.argv[1:5]
convolutions, widths = [], shape
if ":" in shape:
    convolutions, widths = shape.split(":")
    convolutions = [[int(n) for n in c.split("x")] for c in convolutions.split("/")]
widths = [int(w) for w in widths.split(",")]
rows, epochs, batch, rate = settings.split(",")
rows, epochs, batch, rate = int(rows), int(epochs), int(batch), float(rate)
binary = widths[-1] == 1


def read(name):
    return torch.from_numpy(np.fromfile(f"{folder}/{name}", dtype=np.float32))


x = read("x").view(-1, rows, widths[0])
y = read("y").view(-1, rows)
labels = y if binary else y.long()
test_x, test_y = read("test_x").view(-1, widths[0]), read("test_y")
flat = read("start").share_memory_()


def views(vector):
    """Weights (in, out) and biases of every layer, as views."""
    at, layers = 0, []
    for i, o in zip(widths, widths[1:]):
        layers.append((vector[at:at + i * o].view(i, o), vector[at + i * o:at + i * o + o]))
        at += i * o + o
    return layers


def scores(layers, inputs):
    for l, (w, b) in enumerate(layers):
        inputs = torch.addmm(b, inputs, w)
        if l + 1 < len(layers):
            inputs = inputs.clamp_(min=0)
    return inputs


def correct(z):
    right = (z[:, 0] > 0) == (test_y > 0.5) if binary else z.argmax(1) == test_y.long()
    return right.float().mean().item()


class Idiomatic:
    """The model as a PyTorch user writes it; load and store go through the flat vector, inputs before outputs."""

    processor = 0.0  # of other processes

    def __init__(self):
        layers, last = [], widths[0]
        side, channels = round(last ** 0.5), 1
        for c, kernel, pool in convolutions:
            layers += [torch.nn.Conv2d(channels, c, kernel, padding=kernel // 2), torch.nn.ReLU(), torch.nn.MaxPool2d(pool)]
            side, channels = side // pool, c
        if convolutions:
            layers = [torch.nn.Unflatten(1, (1, round(last ** 0.5), round(last ** 0.5)))] + layers + [torch.nn.Flatten()]
            last = side * side * channels
        self.image = (side, side, channels)
        for l, o in enumerate(widths[1:]):
            layers += [torch.nn.Linear(last, o)] + ([torch.nn.ReLU()] if l + 2 < len(widths) else [])
            last = o
        self.model = torch.nn.Sequential(*layers)
        self.loss = torch.nn.BCEWithLogitsLoss() if binary else torch.nn.CrossEntropyLoss()

    def places(self, vector):
        """Every parameter, beside the vector's part for it in the parameter's own order of dimensions."""
        at, first = 0, bool(convolutions)
        for m in self.model:
            if isinstance(m, torch.nn.Conv2d):
                o, i, k, _ = m.weight.shape
                yield m.weight, vector[at:at + m.weight.numel()].view(k, k, i, o).permute(3, 2, 0, 1)
            elif isinstance(m, torch.nn.Linear):
                part = vector[at:at + m.weight.numel()].view(-1, m.weight.shape[0])
                if first:
                    h, w, c = self.image
                    yield m.weight.view(-1, c, h, w), part.view(h, w, c, -1).permute(3, 2, 0, 1)
                    first = False
                else:
                    yield m.weight, part.t()
            else:
                continue
            at += m.weight.numel()
            yield m.bias, vector[at:at + m.bias.numel()]
            at += m.bias.numel()

    @torch.no_grad()
    def load(self, vector):
        for p, part in self.places(vector):
            p.copy_(part)

    @torch.no_grad()
    def store(self, vector):
        for p, part in self.places(vector):
            part.copy_(p)

    def train(self, clients, total):
        """Sum of the parameters that the clients reach."""
        total.zero_()
        mine = torch.empty_like(flat)
        for c in clients:
            self.load(flat)
            optimizer = torch.optim.SGD(self.model.parameters(), lr=rate)
            for _ in range(epochs):
                for order in torch.randperm(rows).split(batch):
                    optimizer.zero_grad()
                    z = self.model(x[c][order])
                    self.loss(z[:, 0] if binary else z, labels[c][order]).backward()
                    optimizer.step()
            self.store(mine)
            total += mine

    def round(self, clients):
        total = torch.zeros_like(flat)
        self.train(clients, total)
        flat.copy_(total / len(clients))


def accuracy():
    with torch.no_grad():
        if not convolutions:
            return correct(scores(views(flat), test_x))
        model = Idiomatic()
        model.load(flat)
        return correct(torch.cat([model.model(part) for part in test_x.split(500)]))


def train_flat(clients, total):
    """Sum of the parameters that the clients reach, by hand-written gradients."""
    mine = torch.empty_like(flat)
    layers = views(mine)
    rows_of_batch = torch.arange(batch)
    total.zero_()
    for c in clients:
        mine.copy_(flat)
        xc, yc = x[c], labels[c]
        for _ in range(epochs):
            order = torch.randperm(rows)
            xs, ys = xc[order], yc[order]
            for at in range(0, rows, batch):
                xb, yb = xs[at:at + batch], ys[at:at + batch]
                n = len(xb)
                if binary and len(layers) == 1:
                    w, b = layers[0][0][:, 0], layers[0][1]
                    d = torch.mv(xb, w).add_(b).sigmoid_().sub_(yb)
                    w.addmv_(xb.t(), d, alpha=-rate / n)
                    b.sub_(d.sum(), alpha=rate / n)
                    continue
                acts = [xb]
                for l, (w, b) in enumerate(layers):
                    z = torch.addmm(b, acts[-1], w)
                    acts.append(z.clamp_(min=0) if l + 1 < len(layers) else z)
                d = acts.pop().softmax(1)
                d[rows_of_batch[:n], yb] -= 1
                for l in range(len(layers) - 1, -1, -1):
                    w, b = layers[l]
                    below = torch.mm(d, w.t()).mul_(acts[l] > 0) if l > 0 else None
                    w.addmm_(acts[l].t(), d, alpha=-rate / n)
                    b.sub_(d.sum(0), alpha=rate / n)
                    d = below
        total += mine


def flat_worker(pipe, total):
    torch.set_num_threads(1)
    model = Idiomatic() if convolutions else None
    while True:
        clients = pipe.recv()
        began = time.process_time()
        if model is not None:
            model.train(clients, total)
        else:
            with torch.no_grad():
                train_flat(clients, total)
        pipe.send(time.process_time() - began)


class Flat:
    processor = 0.0

    def __init__(self):
        self.totals = [torch.zeros_like(flat).share_memory_() for _ in range(2)]
        self.pipes, context = [], mp.get_context("fork")
        for total in self.totals:
            here, there = context.Pipe()
            context.Process(target=flat_worker, args=(there, total), daemon=True).start()
            self.pipes.append(here)

    def round(self, clients):
        half = (len(clients) + 1) // 2
        for pipe, share in zip(self.pipes, (clients[:half], clients[half:])):
            pipe.send(share)
        self.processor = sum(pipe.recv() for pipe in self.pipes)
        torch.add(self.totals[0], self.totals[1], out=flat)
        flat.div_(len(clients))


torch.manual_seed(1)
if mode == "idiomatic":
    torch.set_num_threads(2)
    runner = Idiomatic()
else:
    runner = Flat()
print(1, flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "accuracy":
        print(accuracy(), flush=True)
        continue
    chosen = [int(w) for w in words[1:]]
    began, processor = time.perf_counter(), time.process_time()
    runner.round(chosen)
    print(time.perf_counter() - began, time.process_time() - processor + runner.processor, flush=True)
