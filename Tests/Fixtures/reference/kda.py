"""Kimi Delta Attention (arXiv 2510.26692): the delta rule with a decay from data per key channel."""

import torch
import torch.nn.functional as F

from .common import delta_recurrence, heads, l2norm, linear, repeat_heads, rms
from .common import short_convolution, silu

DEFAULTS = {
    "expand_v": 1.0,
    "head_dim": 128,
    "num_heads": 16,
    "num_v_heads": None,
    "lower_bound": None,
    "use_short_conv": True,
    "conv_size": 4,
    "allow_neg_eigval": False,
}


def sizes(config):
    """Heads of q and k, heads of v, key and value size of a head."""
    count = config["num_heads"]
    key = config["head_dim"]
    return count, config["num_v_heads"] or count, key, int(key * config["expand_v"])


def parameter_shapes(config):
    d = config["hidden_size"]
    count, v_count, key, value = sizes(config)
    rows = {"q": count * key, "k": count * key, "v": v_count * value}
    shapes = {f"{letter}_proj.weight": (rows[letter], d) for letter in "qkv"}
    shapes["f_proj.0.weight"] = (value, d)
    shapes["f_proj.1.weight"] = (v_count * key, value)
    shapes["b_proj.weight"] = (v_count, d)
    shapes["A_log"] = (v_count,)
    shapes["dt_bias"] = (v_count * key,)
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    shapes["g_proj.0.weight"] = (value, d)
    shapes["g_proj.1.weight"] = (v_count * value, value)
    shapes["g_proj.1.bias"] = (v_count * value,)
    shapes["o_norm.weight"] = (value,)
    shapes["o_proj.weight"] = (d, v_count * value)
    return shapes


def forward(config, weights, prefix, x):
    count, v_count, key, _ = sizes(config)

    def project(letter, count):
        y = linear(x, weights, f"{prefix}{letter}_proj")
        if config["use_short_conv"]:
            y = short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], silu)
        else:
            y = silu(y)
        return heads(y, count)

    def stacked(name):
        return linear(linear(x, weights, f"{prefix}{name}.0"), weights, f"{prefix}{name}.1")

    q, k = l2norm(project("q", count)), l2norm(project("k", count))
    q, k = repeat_heads(q, v_count // count), repeat_heads(k, v_count // count)
    v = project("v", v_count)
    beta = torch.sigmoid(linear(x, weights, prefix + "b_proj"))
    if config["allow_neg_eigval"]:
        beta = 2 * beta
    step = heads(stacked("f_proj") + weights[prefix + "dt_bias"], v_count)
    rate = torch.exp(weights[prefix + "A_log"]).unsqueeze(-1)
    if config["lower_bound"] is None:
        log_decay = -rate * F.softplus(step)
    else:
        log_decay = config["lower_bound"] * torch.sigmoid(rate * step)
    o = delta_recurrence(q, k, v, beta, log_decay, scale=key**-0.5)
    o = rms(o, config["norm_eps"]) * weights[prefix + "o_norm.weight"]
    o = o * torch.sigmoid(heads(stacked("g_proj"), v_count))
    return linear(o.flatten(-2), weights, prefix + "o_proj")
