"""RetNet (arXiv 2307.08621): a fixed decay per head, rotary positions, gated norm."""

import torch

from .common import FEATURE_MAPS, decay_recurrence, gated_norm, gated_norm_name
from .common import heads, linear, repeat_heads, rotary

DEFAULTS = {
    "expand_k": 1.0,
    "expand_v": 2.0,
    "hidden_ratio": 2,
    "num_heads": 8,
    "num_kv_heads": None,
    "feature_map": None,
    "use_output_gate": True,
}


def sizes(config):
    """Key and value size, heads, groups."""
    d, count = config["hidden_size"], config["num_heads"]
    groups = count // (config["num_kv_heads"] or count)
    return int(d * config["expand_k"]), int(d * config["expand_v"]), count, groups


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, count, groups = sizes(config)
    shapes = {
        "q_proj.weight": (key, d),
        "k_proj.weight": (key // groups, d),
        "v_proj.weight": (value // groups, d),
    }
    if config["use_output_gate"]:
        shapes["g_proj.weight"] = (value, d)
    shapes[gated_norm_name(config) + ".weight"] = (value // count,)
    shapes["o_proj.weight"] = (d, value)
    return shapes


def forward(config, weights, prefix, x):
    key, _, count, groups = sizes(config)
    feature_map = FEATURE_MAPS[config["feature_map"]]
    q = heads(linear(x, weights, prefix + "q_proj"), count)
    k = heads(linear(x, weights, prefix + "k_proj"), count // groups)
    v = heads(linear(x, weights, prefix + "v_proj"), count // groups)
    q, k = rotary(feature_map(q), 10000.0), rotary(feature_map(k), 10000.0)
    k, v = repeat_heads(k, groups), repeat_heads(v, groups)
    decay = torch.log(1 - 2.0 ** (-5.0 - torch.arange(count, dtype=torch.float64)))
    o = decay_recurrence(q, k, v, decay[:, None], scale=(key // count) ** -0.5)
    o = gated_norm(config, weights, prefix, o, x)
    return linear(o, weights, prefix + "o_proj")
