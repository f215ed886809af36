"""HGRN2 (arXiv 2404.07904): forget gates with lower bounds from all layers, which also write."""

import torch
import torch.nn.functional as F

from .common import decay_recurrence, heads, linear, rms, short_convolution, silu

DEFAULTS = {
    "num_heads": None,
    "expand_ratio": 128,
    "use_short_conv": False,
    "conv_size": 4,
    "use_lower_bound": True,
}

NORM_EPS = 1e-5


def model_shapes(config):
    """What stands outside the blocks."""
    if not config["use_lower_bound"]:
        return {}
    return {"model.lower_bounds": (config["num_hidden_layers"], config["hidden_size"])}


def parameter_shapes(config):
    d = config["hidden_size"]
    shapes = {f"{letter}_proj.weight": (d, d) for letter in "qfi"}
    if config["use_short_conv"]:
        for letter in "qfi":
            shapes[f"{letter}_conv1d.weight"] = (d, 1, config["conv_size"])
    shapes["g_norm.weight"] = (d,)
    shapes["o_proj.weight"] = (d, d)
    return shapes


def lower_bound(config, weights, layer):
    """[d], or None for the layers that have none."""
    if not config["use_lower_bound"] or layer == 0:
        return None
    shares = weights["model.lower_bounds"].softmax(0)
    return shares.cumsum(0)[layer] - shares[0]


def forward(config, weights, prefix, x):
    layer = int(prefix.split(".")[2])
    count = config["num_heads"] or config["hidden_size"] // config["expand_ratio"]
    q, f, i = (linear(x, weights, f"{prefix}{letter}_proj") for letter in "qfi")
    if config["use_short_conv"]:
        q = short_convolution(q, weights[prefix + "q_conv1d.weight"], lambda y: y)
        f = short_convolution(f, weights[prefix + "f_conv1d.weight"], lambda y: y)
        i = short_convolution(i, weights[prefix + "i_conv1d.weight"], lambda y: y)
    bound = lower_bound(config, weights, layer)
    if bound is None:
        log_decay = F.logsigmoid(f)
    else:
        log_decay = torch.log(bound + (1 - bound) * torch.sigmoid(f))
    k = 1 - torch.exp(log_decay)
    q, k, i, log_decay = (heads(y, count) for y in (silu(q), k, i, log_decay))
    o = decay_recurrence(q, k, i, log_decay, scale=q.shape[-1] ** -0.5).flatten(-2)
    o = rms(o, NORM_EPS) * weights[prefix + "g_norm.weight"]
    return linear(o, weights, prefix + "o_proj")
