"""HGRN (arXiv 2311.04823): an elementwise recurrence, forget gates with lower bounds from all layers."""

import torch

from .common import linear, rms, short_convolution, silu
from .hgrn2 import lower_bound

DEFAULTS = {
    "expand_ratio": 1,
    "use_short_conv": False,
    "conv_size": 4,
    "use_lower_bound": True,
}


def width(config):
    return int(config["hidden_size"] * config["expand_ratio"])


def model_shapes(config):
    """What stands outside the blocks."""
    if not config["use_lower_bound"]:
        return {}
    return {"model.lower_bounds": (config["num_hidden_layers"], width(config))}


def parameter_shapes(config):
    d, inner = config["hidden_size"], width(config)
    shapes = {f"{letter}_proj.weight": (inner, d) for letter in "ifg"}
    if config["use_short_conv"]:
        for letter in "if":
            shapes[f"{letter}_conv1d.weight"] = (inner, 1, config["conv_size"])
    shapes["g_norm.weight"] = (inner,)
    shapes["o_proj.weight"] = (d, inner)
    return shapes


def forward(config, weights, prefix, x):
    layer = int(prefix.split(".")[2])
    i, f, g = (linear(x, weights, f"{prefix}{letter}_proj") for letter in "ifg")
    if config["use_short_conv"]:
        i = short_convolution(i, weights[prefix + "i_conv1d.weight"], lambda y: y)
        f = short_convolution(f, weights[prefix + "f_conv1d.weight"], lambda y: y)
    bound = lower_bound(config, weights, layer)
    if bound is None:
        forget = torch.sigmoid(f)
    else:
        forget = bound + (1 - bound) * torch.sigmoid(f)
    state = torch.zeros(x.shape[0], i.shape[-1], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        state = forget[:, t] * state + (1 - forget[:, t]) * silu(i[:, t])
        outputs.append(state)
    h = torch.stack(outputs, dim=1)
    h = rms(h, config["norm_eps"]) * weights[prefix + "g_norm.weight"] * silu(g)
    return linear(h, weights, prefix + "o_proj")
