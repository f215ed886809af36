"""LightNet (arXiv 2405.21022): keys are a softmax over all tokens so far."""

import torch

from .common import heads, linear, rms, short_convolution, silu

DEFAULTS = {
    "num_heads": None,
    "expand_ratio": 128,
    "use_short_conv": False,
    "conv_size": 4,
    "gate_low_rank_dim": 128,
}

NORM_EPS = 1e-6


def parameter_shapes(config):
    d, rank = config["hidden_size"], config["gate_low_rank_dim"]
    shapes = {f"{letter}_proj.weight": (d, d) for letter in "qkv"}
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (d, 1, config["conv_size"])
    shapes["g_proj.0.weight"] = (rank, d)
    shapes["g_proj.1.weight"] = (d, rank)
    shapes["g_norm.weight"] = (d,)
    shapes["o_proj.weight"] = (d, d)
    return shapes


def forward(config, weights, prefix, x):
    count = config["num_heads"] or config["hidden_size"] // config["expand_ratio"]
    q, k, v = (linear(x, weights, f"{prefix}{letter}_proj") for letter in "qkv")
    if config["use_short_conv"]:
        q = short_convolution(q, weights[prefix + "q_conv1d.weight"], lambda y: y)
        k = short_convolution(k, weights[prefix + "k_conv1d.weight"], lambda y: y)
        v = short_convolution(v, weights[prefix + "v_conv1d.weight"], lambda y: y)
    q, k, v = (heads(y, count) for y in (silu(q), k, v))
    # Of every token, the softmax of each key channel over the tokens so far, by itself.
    outputs = []
    for t in range(k.shape[1]):
        share = k[:, : t + 1].softmax(1)
        state = torch.einsum("bjhk,bjhv->bhkv", share, v[:, : t + 1])
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], state))
    o = torch.stack(outputs, 1).flatten(-2) * q.shape[-1] ** -0.5
    gate = linear(linear(x, weights, prefix + "g_proj.0"), weights, prefix + "g_proj.1")
    o = rms(o, NORM_EPS) * weights[prefix + "g_norm.weight"] * silu(gate)
    return linear(o, weights, prefix + "o_proj")
