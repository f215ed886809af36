#!/usr/bin/env python3
"""Writes the model fixtures beside this file. See README.md.

    python3 Tests/Fixtures/make_fixtures.py             # every case
    python3 Tests/Fixtures/make_fixtures.py tnl_plain   # some
"""

import json
import math
import pathlib
import sys
import zlib

import torch
from safetensors.torch import save_file

from cases import CASES
from reference import MODELS
from reference.common import next_token_loss

HERE = pathlib.Path(__file__).resolve().parent
METADATA = {"format": "pt"}


def initial_value(name, shape, generator):
    """A random float32 tensor, large enough that every parameter shows in the logits."""
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    if name.endswith("lrpe.theta"):
        heads, _, key = shape
        exponent = -2.0 * torch.arange(heads * key, dtype=torch.float64) / (heads * key)
        value = (10000.0**exponent).reshape(shape) * (1 + 0.2 * normal)
    elif name.endswith("A_log"):
        value = torch.log(0.05 + 2.0 * uniform)
    elif name.endswith("gk_proj.1.bias"):
        value = -25.0 + 30.0 * uniform
    elif name.endswith(("embed_tokens.weight", "embeddings.weight")):
        value = normal
    elif name.endswith(("bias", "conv1d.weight")):
        value = 0.5 * normal
    elif len(shape) == 1:
        value = 1 + 0.3 * normal
    else:
        value = normal / math.sqrt(shape[-1])
    return value.float().contiguous()


def write(name, case):
    model, config = MODELS[case["config"]["model_type"]], case["config"]
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    weights = {
        key: initial_value(key, shape, generator)
        for key, shape in model.parameter_shapes(config).items()
    }
    tokens = torch.randint(
        config["vocab_size"], (case["batch"], case["tokens"]), generator=generator
    )

    exact = {key: value.double().requires_grad_() for key, value in weights.items()}
    logits = model.forward(config, exact, tokens)
    loss = next_token_loss(logits, tokens)
    loss.backward()
    expected = {"logits": logits.detach(), "loss": loss.detach()}
    expected |= {"grad." + key: value.grad for key, value in exact.items()}
    for key, value in expected.items():
        if not torch.isfinite(value).all() or value.abs().max() == 0:
            raise SystemExit(f"{name}: {key} is zero or not finite; this case tests nothing there")

    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(weights, folder / "model.safetensors", METADATA)
    save_file({"input_ids": tokens}, folder / "tokens.safetensors", METADATA)
    expected = {key: value.float().contiguous() for key, value in expected.items()}
    save_file(expected, folder / "expected.safetensors", METADATA)
    size = sum(file.stat().st_size for file in folder.iterdir())
    count = sum(value.numel() for value in weights.values())
    print(f"{name:28} {count:6} parameters  loss {loss.item():.4f}  {size / 1024:6.1f} KiB")


def main():
    names = sys.argv[1:] or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise SystemExit(f"no such case: {', '.join(unknown)}; there are: {', '.join(CASES)}")
    for name in names:
        write(name, CASES[name])


if __name__ == "__main__":
    main()
