"""RWKV-6 (arXiv 2404.05892): a decay from data for every key channel, and a bonus for the current token."""

import torch

from . import common
from .common import heads, linear, silu
from .rwkv import layer_norm, shift

DEFAULTS = {
    "expand_k": 0.5,
    "expand_v": 1.0,
    "num_heads": 4,
    "hidden_ratio": 3.5,
    "proj_low_rank_dim": 32,
    "gate_low_rank_dim": 64,
}


def sizes(config):
    """Width of keys, of values, heads."""
    d = config["hidden_size"]
    return int(d * config["expand_k"]), int(d * config["expand_v"]), config["num_heads"]


def parameter_shapes(config):
    d, rank, gate = (
        config[key] for key in ("hidden_size", "proj_low_rank_dim", "gate_low_rank_dim")
    )
    key, value, count = sizes(config)
    return {
        "x_proj.0.mu": (d,),
        "x_proj.0.linear.weight": (5 * rank, d),
        "x_proj.2.weight": (d, 5 * rank),
        "x_bias": (5, d),
        "r_proj.linear.weight": (key, d),
        "w_proj.linear.lora.0.weight": (gate, d),
        "w_proj.linear.lora.2.weight": (key, gate),
        "w_proj.linear.lora.2.bias": (key,),
        "k_proj.linear.weight": (key, d),
        "v_proj.linear.weight": (value, d),
        "g_proj.linear.weight": (value, d),
        "bonus": (count, key // count),
        "g_norm.weight": (value,),
        "g_norm.bias": (value,),
        "o_proj.weight": (d, value),
    }


def channel_shapes(config):
    d, inner = config["hidden_size"], config["intermediate_size"]
    return {
        "key.mu": (d,),
        "key.linear.weight": (inner, d),
        "value.weight": (d, inner),
        "receptance.mu": (d,),
        "receptance.linear.weight": (d, d),
    }


def forward(config, weights, prefix, x):
    count, rank = config["num_heads"], config["proj_low_rank_dim"]
    delta = shift(x)
    y = torch.tanh(linear(x + delta * weights[prefix + "x_proj.0.mu"], weights, prefix + "x_proj.0.linear"))
    inputs = {}
    for n, letter in enumerate("rwkvg"):
        part = slice(n * rank, (n + 1) * rank)
        share = common.product(y[..., part], weights[prefix + "x_proj.2.weight"][:, part])
        inputs[letter] = x + delta * (share + weights[prefix + "x_bias"][n])
    r, k, v, g = (linear(inputs[a], weights, f"{prefix}{a}_proj.linear") for a in "rkvg")
    w = torch.tanh(linear(inputs["w"], weights, prefix + "w_proj.linear.lora.0"))
    w = torch.exp(-torch.exp(linear(w, weights, prefix + "w_proj.linear.lora.2")))
    r, k, v, w = (heads(z, count) for z in (r, k, v, w))
    bonus = weights[prefix + "bonus"].unsqueeze(-1)
    state = torch.zeros(*r.shape[:1], count, r.shape[-1], v.shape[-1], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        written = k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        outputs.append((r[:, t].unsqueeze(-1) * (state + bonus * written)).sum(-2))
        state = w[:, t].unsqueeze(-1) * state + written
    o = layer_norm(torch.stack(outputs, dim=1), config["norm_eps"]).flatten(-2)
    o = o * weights[prefix + "g_norm.weight"] + weights[prefix + "g_norm.bias"]
    return linear(o * silu(g), weights, prefix + "o_proj")


def channels(weights, prefix, x):
    delta = shift(x)
    key = linear(x + delta * weights[prefix + "key.mu"], weights, prefix + "key.linear")
    gate = linear(
        x + delta * weights[prefix + "receptance.mu"], weights, prefix + "receptance.linear"
    )
    return torch.sigmoid(gate) * linear(torch.relu(key) ** 2, weights, prefix + "value")
