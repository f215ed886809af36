"""ReGLA (arXiv 2502.01578): a normalised exponential feature map and a refined forget gate."""

import torch

from .common import decay_recurrence, heads, linear, repeat_heads, rms

DEFAULTS = {"expand_k": 0.5, "expand_v": 1.0, "num_heads": 4, "num_kv_heads": None}


def sizes(config):
    """Key and value size, heads, groups."""
    d, count = config["hidden_size"], config["num_heads"]
    groups = count // (config["num_kv_heads"] or count)
    return int(d * config["expand_k"]), int(d * config["expand_v"]), count, groups


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, count, groups = sizes(config)
    return {
        "q_proj.weight": (key, d),
        "k_proj.weight": (key // groups, d),
        "v_proj.weight": (value // groups, d),
        "f_proj.weight": (key // groups, d),
        "f_proj.bias": (key // groups,),
        "r_proj.weight": (key // groups, d),
        "r_proj.bias": (key // groups,),
        "g_norm.weight": (value // count,),
        "o_proj.weight": (d, value),
    }


def feature_map(x):
    """`e^(x − m) / sqrt(mean(e^(2 (x − m))))` over a head's channels, m their largest."""
    e = torch.exp(x - x.max(-1, keepdim=True).values)
    return e / (e * e).mean(-1, keepdim=True).sqrt()


def forward(config, weights, prefix, x):
    key, _, count, groups = sizes(config)
    own = count // groups
    q = feature_map(heads(linear(x, weights, prefix + "q_proj"), count))
    k = feature_map(heads(linear(x, weights, prefix + "k_proj"), own))
    v = heads(linear(x, weights, prefix + "v_proj"), own)
    g = torch.sigmoid(linear(x, weights, prefix + "f_proj"))
    r = torch.sigmoid(linear(x, weights, prefix + "r_proj"))
    f = heads((1 - r) * g**2 + r * (1 - (1 - g) ** 2), own)
    k, v, log_decay = (repeat_heads(y, groups) for y in ((1 - f) * k, v, torch.log(f)))
    o = decay_recurrence(q, k, v, log_decay, scale=(key // count) ** -0.5)
    o = rms(o, config["norm_eps"]) * weights[prefix + "g_norm.weight"]
    return linear(o.flatten(-2), weights, prefix + "o_proj")
