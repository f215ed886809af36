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
from reference import MODELS, experts
from reference.common import next_token_loss

HERE = pathlib.Path(__file__).resolve().parent
METADATA = {"format": "pt"}
MAXIMUM_CHANGE = 4e-6
MINIMUM_MARGIN = 1e-4


def initial_value(name, shape, generator, tied):
    """A random float32 tensor, large enough that every parameter shows in the logits."""
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    if name.endswith("lrpe.theta"):
        heads, _, key = shape
        exponent = -2.0 * torch.arange(heads * key, dtype=torch.float64) / (heads * key)
        value = (10000.0**exponent).reshape(shape) * (1 + 0.2 * normal)
    elif name.endswith("A_log"):
        value = torch.log(0.02 + uniform)
    elif name.endswith("gk_proj.1.bias"):
        value = -15.0 + 20.0 * uniform
    elif name.endswith(("f_proj.bias", "a_proj.bias")):
        value = 2 + 2 * normal
    elif name.endswith(("embed_tokens.weight", "embeddings.weight")):
        value = normal * (0.4 if tied else 1.0)
    elif name.endswith("e_score_correction_bias"):
        value = 0.1 * normal
    elif name.endswith(("bias", "feature_map.beta", "conv1d.weight")):
        value = 0.5 * normal
    elif len(shape) == 1:
        value = 1 + 0.3 * normal
    else:
        value = normal / math.sqrt(shape[-1])
    return value.float().contiguous()


def draw(name, case):
    """The weights (float32) and tokens of a case, from its name and seed."""
    config, model = case["config"], MODELS[case["config"]["model_type"]]
    generator = torch.Generator().manual_seed(zlib.crc32(f"{name} {case['seed']}".encode()))
    tied = config.get("tie_word_embeddings", False)
    # Some models store weights as what they differ from 1 by.
    is_centred = getattr(model, "is_zero_centred", lambda name: False)
    weights = {
        key: initial_value(key, shape, generator, tied) - (1 if is_centred(key) else 0)
        for key, shape in model.parameter_shapes(config).items()
    }
    shape = (case["batch"], case["tokens"])
    return weights, torch.randint(config["vocab_size"], shape, generator=generator)


def evaluate(config, weights, tokens):
    """Logits, loss and gradients, in float64."""
    model = MODELS[config["model_type"]]
    exact = {key: value.double().requires_grad_() for key, value in weights.items()}
    logits = model.forward(config, exact, tokens)
    margin = experts.margin(config)
    if experts.given is None and margin < MINIMUM_MARGIN:
        raise SystemExit(f"a choice of experts is {margin:.1e} from another; change the seed")
    loss = next_token_loss(logits, tokens) + experts.loss(config)
    # Some models have a term of their own in it.
    loss = loss + getattr(model, "loss", lambda config, logits: 0)(config, logits)
    # Some models have more in their gradients than in their loss.
    penalty = getattr(model, "gradient_penalty", lambda config, logits: 0)
    (loss + penalty(config, logits)).backward()
    results = {"logits": logits.detach(), "loss": loss.detach()}
    for key, value in exact.items():
        # What corrects a choice has none.
        if key.endswith("e_score_correction_bias"):
            continue
        if value.grad is None:
            raise SystemExit(f"nothing comes of {key}, which tests nothing; change the seed")
        results["grad." + key] = value.grad
    return results


def condition(config, weights, tokens, expected):
    """How far rounding can move a result: its largest relative change when weights move by 2⁻²⁴.

    A head whose output happens to be almost zero is blown up by its norm, gradients and all.
    """
    generator = torch.Generator().manual_seed(0)
    moved = {}
    for key, value in weights.items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        moved[key] = value.double() * (1 + 2.0**-24 * noise)
    results = evaluate(config, moved, tokens)
    return max(
        ((results[key] - value).norm() / value.norm()).item() for key, value in expected.items()
    )


def write(name, case):
    config = case["config"]
    weights, tokens = draw(name, case)
    expected = evaluate(config, weights, tokens)
    for key, value in expected.items():
        if not torch.isfinite(value).all() or value.abs().max() == 0:
            raise SystemExit(f"{name}: {key} is zero or not finite, which tests nothing")
    change = condition(config, weights, tokens, expected)
    if change > MAXIMUM_CHANGE:
        raise SystemExit(f"{name}: rounding can move a result by {change:.1e}; change its seed")

    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(weights, folder / "model.safetensors", METADATA)
    save_file({"input_ids": tokens}, folder / "tokens.safetensors", METADATA)
    rounded = {key: value.float().contiguous() for key, value in expected.items()}
    save_file(rounded, folder / "expected.safetensors", METADATA)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1024
    count = sum(value.numel() for value in weights.values())
    print(
        f"{name:28} {count:6} parameters  loss {expected['loss'].item():.4f}"
        f"  condition {change:.0e}  {size:6.1f} KiB"
    )


def main():
    names = sys.argv[1:] or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise SystemExit(f"no such case: {', '.join(unknown)}; there are: {', '.join(CASES)}")
    for name in names:
        write(name, CASES[name])


if __name__ == "__main__":
    main()
