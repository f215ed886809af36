"""RWKV-7 (arXiv 2503.14456): a transition that is a diagonal plus a product of two vectors, all from data."""

import torch

from .common import heads, l2norm, linear
from .rwkv import layer_norm, shift

DEFAULTS = {
    "head_dim": 64,
    "decay_low_rank_dim": 64,
    "a_low_rank_dim": 64,
    "gate_low_rank_dim": 128,
    "v_low_rank_dim": 16,
    "hidden_ratio": 4,
    "fuse_norm": True,
    "use_l2warp": True,
}

RANKS = {"w": "decay", "v": "v", "a": "a", "g": "gate"}


def parameter_shapes(config):
    d, width = config["hidden_size"], config["head_dim"]
    shapes = {f"x_{letter}": (1, 1, d) for letter in "rwkvag"}
    shapes |= {"k_k": (d,), "k_a": (d,), "r_k": (d // width, width)}
    shapes |= {f"{letter}_proj.weight": (d, d) for letter in "rkvo"}
    for letter, name in RANKS.items():
        if letter == "v" and config["layer"] == 0:
            continue
        rank = config[name + "_low_rank_dim"]
        shapes[f"{letter}_lora.lora.0.weight"] = (rank, d)
        shapes[f"{letter}_lora.lora.2.weight"] = (d, rank)
        if letter != "g":
            shapes[f"{letter}_lora.lora.2.bias"] = (d,)
    shapes |= {"g_norm.weight": (d,), "g_norm.bias": (d,)}
    return shapes


def channel_shapes(config):
    d, inner = config["hidden_size"], config["intermediate_size"]
    return {"x_k": (d,), "key.weight": (inner, d), "value.weight": (d, inner)}


def low_rank(weights, prefix, letter, x, middle=lambda y: y):
    y = middle(linear(x, weights, f"{prefix}{letter}_lora.lora.0"))
    return linear(y, weights, f"{prefix}{letter}_lora.lora.2")


def forward(config, weights, prefix, x):
    width = config["head_dim"]
    count = config["hidden_size"] // width
    delta = shift(x)
    inputs = {a: x + delta * weights[f"{prefix}x_{a}"] for a in "rwkvag"}
    r, k, v = (linear(inputs[a], weights, f"{prefix}{a}_proj") for a in "rkv")
    w = low_rank(weights, prefix, "w", inputs["w"], torch.tanh)
    w = torch.exp(-0.6065306597126334 * torch.sigmoid(w))
    shared = config["shared"]
    if config["layer"] == 0:
        shared["v"] = v
    else:
        share = torch.sigmoid(low_rank(weights, prefix, "v", inputs["v"]))
        v = v + (shared.get("v", 0) - v) * share
    a = torch.sigmoid(low_rank(weights, prefix, "a", inputs["a"]))
    g = low_rank(weights, prefix, "g", inputs["g"], torch.sigmoid)
    removed = heads(k * weights[prefix + "k_k"], count)
    if config["fuse_norm"]:
        removed = l2norm(removed)
    else:
        removed = removed / removed.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    k = k * (1 + (a - 1) * weights[prefix + "k_a"])
    r, w, k, v, a = (heads(z, count) for z in (r, w, k, v, a))
    state = torch.zeros(*r.shape[:1], count, width, width, dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        seen = (removed[:, t].unsqueeze(-1) * state).sum(-2, keepdim=True)
        state = w[:, t].unsqueeze(-1) * state - (removed * a)[:, t].unsqueeze(-1) * seen
        state = state + k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        outputs.append((r[:, t].unsqueeze(-1) * state).sum(-2))
    o = layer_norm(torch.stack(outputs, dim=1), width * config["norm_eps"]).flatten(-2)
    o = o * weights[prefix + "g_norm.weight"] + weights[prefix + "g_norm.bias"]
    bonus = (r * k * weights[prefix + "r_k"]).sum(-1, keepdim=True) * v
    return linear((o + bonus.flatten(-2)) * g, weights, prefix + "o_proj")


def channels(weights, prefix, x):
    key = linear(x + shift(x) * weights[prefix + "x_k"], weights, prefix + "key")
    return linear(torch.relu(key) ** 2, weights, prefix + "value")
