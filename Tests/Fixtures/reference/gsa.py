"""Gated Slot Attention (arXiv 2409.07146): softmax attention over slots that gates write and forget."""

import torch
import torch.nn.functional as F

from .common import FEATURE_MAPS, heads, linear, repeat_heads, rms, short_convolution, silu

DEFAULTS = {
    "expand_k": 1.0,
    "num_heads": 4,
    "num_kv_heads": None,
    "num_slots": 64,
    "gate_logit_normalizer": 8,
    "feature_map": "swish",
    "use_short_conv": False,
    "conv_size": 4,
}

NORM_EPS = 1e-5


def sizes(config):
    """Key width, heads, heads a group."""
    count = config["num_heads"]
    groups = count // (config["num_kv_heads"] or count)
    return int(config["hidden_size"] * config["expand_k"]), count, groups


def parameter_shapes(config):
    d = config["hidden_size"]
    key, count, groups = sizes(config)
    rows = {"q": key, "k": key // groups, "v": d // groups}
    shapes = {f"{letter}_proj.weight": (rows[letter], d) for letter in "qkv"}
    shapes["f_proj.weight"] = (count // groups * config["num_slots"], d)
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    shapes["g_norm.weight"] = (d,)
    shapes["o_proj.weight"] = (d, d)
    return shapes


def forward(config, weights, prefix, x):
    _, count, groups = sizes(config)
    q, k, v = (linear(x, weights, f"{prefix}{letter}_proj") for letter in "qkv")
    if config["use_short_conv"]:
        q = short_convolution(q, weights[prefix + "q_conv1d.weight"], silu)
        k = short_convolution(k, weights[prefix + "k_conv1d.weight"], silu)
        v = short_convolution(v, weights[prefix + "v_conv1d.weight"], silu)
    feature_map = FEATURE_MAPS[config["feature_map"]]
    gate = F.logsigmoid(linear(x, weights, prefix + "f_proj")) / config["gate_logit_normalizer"]
    q = heads(feature_map(q), count)
    k, v, gate = (
        repeat_heads(heads(y, count // groups), groups) for y in (feature_map(k), silu(v), gate)
    )
    # States [B, H, M, K] and [B, H, M, V].
    keys = torch.zeros(*gate.shape[:1], *gate.shape[2:], k.shape[-1], dtype=x.dtype)
    values = torch.zeros(*gate.shape[:1], *gate.shape[2:], v.shape[-1], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        stays = torch.exp(gate[:, t]).unsqueeze(-1)
        keys = stays * keys + (1 - stays) * k[:, t].unsqueeze(-2)
        values = stays * values + (1 - stays) * v[:, t].unsqueeze(-2)
        p = (keys * q[:, t].unsqueeze(-2)).sum(-1).softmax(-1)
        outputs.append((p.unsqueeze(-1) * values).sum(-2))
    o = torch.stack(outputs, dim=1).flatten(-2)
    o = rms(silu(o), NORM_EPS) * weights[prefix + "g_norm.weight"]
    return linear(o, weights, prefix + "o_proj")
