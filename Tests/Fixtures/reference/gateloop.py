"""GateLoop (arXiv 2311.01927): a linear recurrence whose decays are complex numbers from data."""

import torch

from .common import heads, linear, rms, silu

DEFAULTS = {"expand_k": 0.5, "expand_v": 1.0, "num_heads": 4}


def sizes(config):
    """Key and value size, heads."""
    d = config["hidden_size"]
    return int(d * config["expand_k"]), int(d * config["expand_v"]), config["num_heads"]


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, count = sizes(config)
    return {
        "q_proj.weight": (key, d),
        "k_proj.weight": (key, d),
        "v_proj.weight": (value, d),
        "a_proj.weight": (key, d),
        "a_proj.bias": (key,),
        "b_proj.weight": (key, d),
        "b_proj.bias": (key,),
        "g_proj.weight": (value, d),
        "g_norm.weight": (value // count,),
        "o_proj.weight": (d, value),
    }


def forward(config, weights, prefix, x):
    key, value, count = sizes(config)
    q, k, v, alpha, beta = (
        heads(linear(x, weights, f"{prefix}{letter}_proj"), count) for letter in "qkvab"
    )
    state = torch.zeros(x.shape[0], count, key // count, value // count, dtype=torch.complex128)
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.polar(torch.sigmoid(alpha[:, t]), beta[:, t])
        state = decay.unsqueeze(-1) * state + k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        outputs.append((q[:, t].unsqueeze(-1) * state).sum(-2).real)
    o = torch.stack(outputs, dim=1)
    o = rms(o, config["norm_eps"]) * weights[prefix + "g_norm.weight"]
    o = o.flatten(-2) * silu(linear(x, weights, prefix + "g_proj"))
    return linear(o, weights, prefix + "o_proj")
