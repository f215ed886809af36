"""DeltaNet (arXiv 2406.06484): the delta rule without decay."""

import torch
import torch.nn.functional as F

from .common import delta_recurrence, heads, l2norm, linear, rms, short_convolution, silu

DEFAULTS = {
    "expand_k": 1.0,
    "expand_v": 1.0,
    "num_heads": 16,
    "use_gate": False,
    "use_beta": True,
    "use_short_conv": True,
    "conv_size": 4,
    "qk_norm": "l2",
    "qk_activation": "silu",
    "allow_neg_eigval": False,
}

ACTIVATIONS = {
    "silu": silu,
    "relu": torch.relu,
    "elu": lambda x: F.elu(x) + 1,
    "identity": lambda x: x,
}

NORMS = {"l2": l2norm, "sum": lambda x: x / x.sum(-1, keepdim=True)}


def sizes(config):
    """Key and value size, heads."""
    d = config["hidden_size"]
    return int(d * config["expand_k"]), int(d * config["expand_v"]), config["num_heads"]


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, count = sizes(config)
    rows = {"q": key, "k": key, "v": value}
    shapes = {f"{letter}_proj.weight": (rows[letter], d) for letter in "qkv"}
    if config["use_beta"]:
        shapes["b_proj.weight"] = (count, d)
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    if config["use_gate"]:
        shapes["g_proj.weight"] = (value, d)
    shapes["o_norm.weight"] = (value // count,)
    shapes["o_proj.weight"] = (d, value)
    return shapes


def forward(config, weights, prefix, x):
    key, _, count = sizes(config)
    activation, norm = ACTIVATIONS[config["qk_activation"]], NORMS[config["qk_norm"]]

    def project(letter, activation):
        y = linear(x, weights, f"{prefix}{letter}_proj")
        if config["use_short_conv"]:
            y = short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], activation)
        else:
            y = activation(y)
        return heads(y, count)

    q, k = norm(project("q", activation)), norm(project("k", activation))
    v = project("v", silu)
    if config["use_beta"]:
        beta = torch.sigmoid(linear(x, weights, prefix + "b_proj"))
    else:
        beta = torch.ones(*x.shape[:2], count, dtype=x.dtype)
    if config["allow_neg_eigval"]:
        beta = 2 * beta
    o = delta_recurrence(q, k, v, beta, None, scale=(key // count) ** -0.5)
    o = rms(o, config["norm_eps"]) * weights[prefix + "o_norm.weight"]
    if config["use_gate"]:
        o = o * silu(heads(linear(x, weights, prefix + "g_proj"), count))
    return linear(o.flatten(-2), weights, prefix + "o_proj")
