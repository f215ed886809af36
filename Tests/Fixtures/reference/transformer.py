"""Causal softmax attention with rotary positions, optionally in a sliding window."""

import torch

from .common import heads, linear, repeat_heads, rms, rotary

DEFAULTS = {
    "num_kv_heads": None,
    "qkv_bias": False,
    "qk_norm": False,
    "window_size": None,
    "rope_theta": 10000.0,
}

QK_NORM_EPS = 1e-5


def sizes(config):
    count = config["num_heads"]
    kv_count = config["num_kv_heads"] or count
    return count, kv_count, config["hidden_size"] // count


def parameter_shapes(config):
    d = config["hidden_size"]
    count, kv_count, head = sizes(config)
    shapes = {}
    for name, rows in [("q_proj", d), ("k_proj", kv_count * head), ("v_proj", kv_count * head)]:
        shapes[name + ".weight"] = (rows, d)
        if config["qkv_bias"]:
            shapes[name + ".bias"] = (rows,)
    shapes["o_proj.weight"] = (d, d)
    if config["qk_norm"]:
        shapes["q_norm.weight"] = (head,)
        shapes["k_norm.weight"] = (head,)
    return shapes


def forward(config, weights, prefix, x):
    count, kv_count, head = sizes(config)
    q = heads(linear(x, weights, prefix + "q_proj"), count)
    k = heads(linear(x, weights, prefix + "k_proj"), kv_count)
    v = heads(linear(x, weights, prefix + "v_proj"), kv_count)
    if config["qk_norm"]:
        q = rms(q, QK_NORM_EPS) * weights[prefix + "q_norm.weight"]
        k = rms(k, QK_NORM_EPS) * weights[prefix + "k_norm.weight"]
    q, k = rotary(q, config["rope_theta"]), rotary(k, config["rope_theta"])
    k, v = repeat_heads(k, count // kv_count), repeat_heads(v, count // kv_count)
    outputs = []
    for t in range(x.shape[1]):
        window = config["window_size"]
        first = 0 if window is None else max(0, t + 1 - window)
        keys, values = k[:, first : t + 1], v[:, first : t + 1]
        scores = (q[:, t : t + 1] * keys).sum(-1) * head**-0.5
        shares = torch.softmax(scores, dim=1)
        outputs.append((shares.unsqueeze(-1) * values).sum(1))
    o = torch.stack(outputs, dim=1)
    return linear(o.flatten(-2), weights, prefix + "o_proj")
