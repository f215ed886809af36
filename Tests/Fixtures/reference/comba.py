"""Comba (arXiv 2506.02475): the delta rule against the undecayed state, with a scalar decay from data per head."""

import torch
import torch.nn.functional as F

from .common import heads, l2norm, linear, repeat_heads, rms, short_convolution, silu

DEFAULTS = {
    "expand_v": 2.0,
    "head_dim": 256,
    "num_heads": 6,
    "num_v_heads": None,
    "use_output_gate": True,
    "use_short_conv": True,
    "conv_size": 4,
}


def sizes(config):
    """Heads of q and k, heads of v, key and value size of a head."""
    count = config["num_heads"]
    key = config["head_dim"]
    return count, config["num_v_heads"] or count, key, int(key * config["expand_v"])


def parameter_shapes(config):
    d = config["hidden_size"]
    count, v_count, key, value = sizes(config)
    rows = {"q": count * key, "k": count * key, "v": v_count * value}
    shapes = {f"{letter}_proj.weight": (rows[letter], d) for letter in "qkv"}
    shapes["a_proj.weight"] = (v_count, d)
    shapes["b_proj.weight"] = (v_count, d)
    shapes["A_log"] = (v_count,)
    shapes["dt_bias"] = (v_count,)
    shapes["decay"] = (count,)
    shapes["D"] = (count,)
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    if config["use_output_gate"]:
        shapes["g_proj.weight"] = (v_count * value, d)
    shapes["o_norm.weight"] = (value,)
    shapes["o_proj.weight"] = (d, v_count * value)
    return shapes


def recurrence(q, k, p, v, beta, log_decay, scale):
    """`e_t = β_t (v_t − p_t S_{t−1})`, `S_t = e^{g_t} S_{t−1} + k_tᵀ e_t`, `o_t = scale · q_t S_t`."""
    batch, tokens, count, key = q.shape
    state = torch.zeros(batch, count, key, v.shape[-1], dtype=q.dtype)
    outputs = []
    for t in range(tokens):
        seen = (p[:, t].unsqueeze(-1) * state).sum(-2)
        error = beta[:, t].unsqueeze(-1) * (v[:, t] - seen)
        state = torch.exp(log_decay[:, t])[..., None, None] * state
        state = state + k[:, t].unsqueeze(-1) * error.unsqueeze(-2)
        outputs.append(scale * (q[:, t].unsqueeze(-1) * state).sum(-2))
    return torch.stack(outputs, dim=1)


def forward(config, weights, prefix, x):
    count, v_count, key, _ = sizes(config)

    def project(letter, count):
        y = linear(x, weights, f"{prefix}{letter}_proj")
        if config["use_short_conv"]:
            y = short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], silu)
        else:
            y = silu(y)
        return heads(y, count)

    q, k, v = project("q", count), project("k", count), project("v", v_count)
    p = k * torch.sigmoid(weights[prefix + "decay"]).unsqueeze(-1)
    q = q - weights[prefix + "D"].unsqueeze(-1) * p
    q, k, p = (repeat_heads(l2norm(y), v_count // count) for y in (q, k, p))
    beta = torch.sigmoid(linear(x, weights, prefix + "b_proj"))
    step = F.softplus(linear(x, weights, prefix + "a_proj") + weights[prefix + "dt_bias"])
    log_decay = -torch.exp(weights[prefix + "A_log"]) * step
    o = recurrence(q, k, p, v, beta, log_decay, scale=key**-0.5)
    o = rms(o, config["norm_eps"]) * weights[prefix + "o_norm.weight"]
    if config["use_output_gate"]:
        o = o * torch.sigmoid(heads(linear(x, weights, prefix + "g_proj"), v_count))
    return linear(o.flatten(-2), weights, prefix + "o_proj")
