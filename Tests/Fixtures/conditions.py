#!/usr/bin/env python3
"""Writes conditions.json: what no implementation in mixed precision can compute to the usual tolerance.

    python3 Tests/Fixtures/conditions.py               # every case
    python3 Tests/Fixtures/conditions.py mamba_plain   # some; what is listed of the others stays

A tensor's condition is how far it moves, in float64, when the numbers that mixed precision holds in bf16 move by as much
as bf16 rounds them, 2⁻⁹ of themselves: activations, weights and gradients where projections multiply them, results of
projections and convolutions, normalised and rotated queries and keys; tokens keep their experts. They are rounded to the nearest once, operands alone and results too, and moved at random
DRAWS times; the largest of all counts. Distances are relative L2: a gradient's over its norm or over 1e-2 of all
gradients' norm, whichever is larger.

Listed are the tensors whose error may be above the tolerance at twice their condition.
"""

import json
import math
import pathlib
import sys

import torch
from safetensors.torch import load_file

from make_fixtures import HERE, evaluate
from reference import MODELS, common, experts

DRAWS = 30
TOLERANCE = {"logits": 1e-2, "grad": 2e-2}
PRODUCT, STORED = common.product, common.stored


def nearest(x):
    return x.float().to(torch.bfloat16).double()


class Moved(torch.autograd.Function):
    """`x Wᵀ` of moved operands, there and back, and where `results` is true a moved result."""

    @staticmethod
    def forward(ctx, x, weight, move, results):
        x, weight, ctx.move = move(x), move(weight), move
        ctx.save_for_backward(x, weight)
        y = x @ weight.T
        return move(y) if results else y

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dy = ctx.move(dy)
        rows = dy.reshape(-1, dy.shape[-1])
        return dy @ weight, rows.T @ x.reshape(-1, x.shape[-1]), None, None


def choices(config, weights, tokens):
    """The experts that tokens choose, layer by layer."""
    exact = {key: value.double() for key, value in weights.items()}
    product, stored = common.product, common.stored
    common.product, common.stored = PRODUCT, STORED
    MODELS[config["model_type"]].forward(config, exact, tokens)
    common.product, common.stored = product, stored
    found = [layer[1] for layer in experts.seen]
    experts.seen.clear()
    return found


def moved(config, weights, tokens, move, results=True):
    """Logits, loss and gradients where `move` changes what is held in bf16."""
    common.product = lambda x, weight: Moved.apply(x, weight, move, results)
    # The gradient passes as it came.
    common.stored = lambda x: x + (move(x) - x).detach() if results else x
    experts.given = choices(config, weights, tokens)
    try:
        return evaluate(config, weights, tokens)
    finally:
        common.product, common.stored, experts.given = PRODUCT, STORED, None


def random_move(seed):
    generator = torch.Generator().manual_seed(seed)

    def move(x):
        unit = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1
        return x * (1 + 2.0**-9 * unit)

    return move


def distances(results, expected):
    """Of each tensor but the loss."""
    gradients = [value for name, value in expected.items() if name.startswith("grad.")]
    least = 1e-2 * math.sqrt(sum(value.square().sum().item() for value in gradients))
    return {
        name: (results[name] - value).norm().item()
        / max(value.norm().item(), least if name.startswith("grad.") else 0)
        for name, value in expected.items()
        if name != "loss"
    }


def conditions(folder):
    """The largest distance of each tensor of a case."""
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    tokens = load_file(folder / "tokens.safetensors")["input_ids"]
    exact = evaluate(config, weights, tokens)
    runs = [moved(config, weights, tokens, nearest, results) for results in (False, True)]
    runs += [moved(config, weights, tokens, random_move(seed)) for seed in range(DRAWS)]
    runs = [distances(run, exact) for run in runs]
    return {name: max(run[name] for run in runs) for name in runs[0]}


def main():
    torch.set_num_threads(1)
    names, path = sys.argv[1:], HERE / "conditions.json"
    listed = json.loads(path.read_text()) if names else {}
    for folder in sorted(file.parent for file in HERE.glob("*/config.json")):
        if names and folder.name not in names:
            continue
        rounded = {name: float(f"{value:.3g}") for name, value in conditions(folder).items()}
        case = {
            name: value
            for name, value in sorted(rounded.items())
            if 2 * value > TOLERANCE[name.split(".")[0]]
        }
        listed[folder.name] = case
    listed = {name: case for name, case in sorted(listed.items()) if case}
    path.write_text(json.dumps(listed, indent=1) + "\n")
    count = sum(len(case) for case in listed.values())
    print(f"{count} tensors of {len(listed)} cases")


if __name__ == "__main__":
    main()
