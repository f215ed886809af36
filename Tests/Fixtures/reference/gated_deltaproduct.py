"""Gated DeltaProduct (arXiv 2502.10297): several steps of the delta rule a token, after one decay."""

import torch
import torch.nn.functional as F

from . import common
from .common import heads, l2norm, linear, rms, short_convolution, silu

DEFAULTS = {
    "expand_v": 2.0,
    "head_dim": 256,
    "num_heads": 6,
    "num_householder": 1,
    "use_forget_gate": False,
    "allow_neg_eigval": False,
    "use_output_gate": True,
    "use_short_conv": True,
    "conv_size": 4,
}


def parameter_shapes(config):
    d, count, steps = config["hidden_size"], config["num_heads"], config["num_householder"]
    key, value = config["head_dim"], int(config["head_dim"] * config["expand_v"])
    rows = {"q": count * key, "k": steps * count * key, "v": steps * count * value}
    shapes = {f"{letter}_proj.weight": (rows[letter], d) for letter in "qkv"}
    shapes["b_proj.weight"] = (steps * count, d)
    if config["use_forget_gate"]:
        shapes["a_proj.weight"] = (count, d)
        shapes["A_log"] = (count,)
        shapes["dt_bias"] = (count,)
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    if config["use_output_gate"]:
        shapes["g_proj.weight"] = (count * value, d)
    shapes["o_norm.weight"] = (value,)
    shapes["o_proj.weight"] = (d, count * value)
    return shapes


def forward(config, weights, prefix, x):
    count, steps, key = config["num_heads"], config["num_householder"], config["head_dim"]
    batch, tokens, _ = x.shape

    def project(letter):
        y = linear(x, weights, f"{prefix}{letter}_proj")
        if config["use_short_conv"]:
            return short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], silu)
        return silu(y)

    def by_step(y):
        """[B, T, n·H·d] → [B, T, n, H, d]."""
        return y.reshape(batch, tokens, steps, count, -1)

    q = l2norm(heads(project("q"), count))
    k, v = l2norm(by_step(project("k"))), by_step(project("v"))
    beta = by_step(torch.sigmoid(linear(x, weights, prefix + "b_proj")))
    if config["allow_neg_eigval"]:
        beta = 2 * beta
    state = torch.zeros(batch, count, key, v.shape[-1], dtype=x.dtype)
    outputs = []
    for t in range(tokens):
        if config["use_forget_gate"]:
            a = common.product(x[:, t], weights[prefix + "a_proj.weight"])
            a = a + weights[prefix + "dt_bias"]
            log_decay = -torch.exp(weights[prefix + "A_log"]) * F.softplus(a)
            state = torch.exp(log_decay)[..., None, None] * state
        for j in range(steps):
            kt = k[:, t, j].unsqueeze(-1)
            seen = (kt * state).sum(-2)
            error = beta[:, t, j] * (v[:, t, j] - seen)
            state = state + kt * error.unsqueeze(-2)
        outputs.append(key**-0.5 * (q[:, t].unsqueeze(-1) * state).sum(-2))
    o = rms(torch.stack(outputs, dim=1), config["norm_eps"]) * weights[prefix + "o_norm.weight"]
    if config["use_output_gate"]:
        o = o * silu(heads(linear(x, weights, prefix + "g_proj"), count))
    return linear(o.flatten(-2), weights, prefix + "o_proj")
