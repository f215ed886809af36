"""Gated linear attention (arXiv 2312.06635): a decay from data for every key channel."""

import torch
import torch.nn.functional as F

from .common import FEATURE_MAPS, decay_recurrence, gated_norm, gated_norm_name
from .common import heads, linear, repeat_heads, short_convolution, silu

DEFAULTS = {
    "expand_k": 0.5,
    "expand_v": 1.0,
    "num_heads": 4,
    "num_kv_heads": None,
    "feature_map": None,
    "use_short_conv": False,
    "conv_size": 4,
    "use_output_gate": True,
    "clamp_min": None,
}

GATE_RANK = 16
GATE_NORMALIZER = 16


def sizes(config):
    """Key and value size, heads, groups."""
    d, count = config["hidden_size"], config["num_heads"]
    groups = count // (config["num_kv_heads"] or count)
    return int(d * config["expand_k"]), int(d * config["expand_v"]), count, groups


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, count, groups = sizes(config)
    rows = {"q": key, "k": key // groups, "v": value // groups}
    shapes = {f"{letter}_proj.weight": (rows[letter], d) for letter in "qkv"}
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    shapes["gk_proj.0.weight"] = (GATE_RANK, d)
    shapes["gk_proj.1.weight"] = (key // groups, GATE_RANK)
    shapes["gk_proj.1.bias"] = (key // groups,)
    if config["use_output_gate"]:
        shapes["g_proj.weight"] = (value, d)
    shapes[gated_norm_name(config) + ".weight"] = (value // count,)
    shapes["o_proj.weight"] = (d, value)
    return shapes


def forward(config, weights, prefix, x):
    key, _, count, groups = sizes(config)
    q, k, v = (linear(x, weights, f"{prefix}{letter}_proj") for letter in "qkv")
    if config["use_short_conv"]:
        q = short_convolution(q, weights[prefix + "q_conv1d.weight"], silu)
        k = short_convolution(k, weights[prefix + "k_conv1d.weight"], silu)
        v = short_convolution(v, weights[prefix + "v_conv1d.weight"], silu)
    gate = linear(linear(x, weights, prefix + "gk_proj.0"), weights, prefix + "gk_proj.1")
    log_decay = F.logsigmoid(gate) / GATE_NORMALIZER
    if config["clamp_min"] is not None:
        log_decay = torch.clamp(log_decay, min=config["clamp_min"])
    feature_map = FEATURE_MAPS[config["feature_map"]]
    q = feature_map(heads(q, count))
    k = repeat_heads(feature_map(heads(k, count // groups)), groups)
    v = repeat_heads(heads(v, count // groups), groups)
    log_decay = repeat_heads(heads(log_decay, count // groups), groups)
    o = decay_recurrence(q, k, v, log_decay, scale=(key // count) ** -0.5)
    o = gated_norm(config, weights, prefix, o, x)
    return linear(o, weights, prefix + "o_proj")
