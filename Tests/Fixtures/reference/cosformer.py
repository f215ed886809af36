"""cosFormer (arXiv 2202.08791): weights that fall as a cosine of the distance, normalised by their sum."""

import math

import torch

from .common import heads, linear, repeat_heads

DEFAULTS = {
    "expand_k": 1.0,
    "expand_v": 1.0,
    "num_heads": 16,
    "num_kv_heads": None,
    "max_seq_len": 2048,
}

EPS = 1e-6


def sizes(config):
    """Key and value size, heads, groups."""
    d, count = config["hidden_size"], config["num_heads"]
    groups = count // (config["num_kv_heads"] or count)
    return int(d * config["expand_k"]), int(d * config["expand_v"]), count, groups


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, _, groups = sizes(config)
    return {
        "q_proj.weight": (key, d),
        "k_proj.weight": (key // groups, d),
        "v_proj.weight": (value // groups, d),
        "o_proj.weight": (d, value),
    }


def forward(config, weights, prefix, x):
    _, _, count, groups = sizes(config)
    q = torch.relu(heads(linear(x, weights, prefix + "q_proj"), count))
    k = torch.relu(heads(linear(x, weights, prefix + "k_proj"), count // groups))
    v = heads(linear(x, weights, prefix + "v_proj"), count // groups)
    k, v = repeat_heads(k, groups), repeat_heads(v, groups)
    outputs = []
    for t in range(x.shape[1]):
        distance = torch.arange(t, -1, -1, dtype=torch.float64)
        fall = torch.cos(math.pi * distance / (2 * config["max_seq_len"]))
        shares = (q[:, t : t + 1] * k[:, : t + 1]).sum(-1) * fall[None, :, None]
        sums = (shares.unsqueeze(-1) * v[:, : t + 1]).sum(1)
        outputs.append(sums / (shares.sum(1).unsqueeze(-1) + EPS))
    return linear(torch.stack(outputs, dim=1).flatten(-2), weights, prefix + "o_proj")
