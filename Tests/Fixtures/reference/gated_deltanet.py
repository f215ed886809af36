"""Gated DeltaNet (arXiv 2412.06464): the delta rule with a scalar decay from data per head."""

import torch
import torch.nn.functional as F

from .common import delta_recurrence, heads, l2norm, linear, repeat_heads, rms
from .common import short_convolution, silu

DEFAULTS = {
    "expand_v": 2.0,
    "head_dim": 256,
    "num_heads": 6,
    "num_v_heads": None,
    "use_gate": True,
    "use_short_conv": True,
    "conv_size": 4,
    "allow_neg_eigval": False,
    "output_gate_activation": "swish",
}

GATE_ACTIVATIONS = {"swish": silu, "silu": silu, "sigmoid": torch.sigmoid}


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
    if config["use_short_conv"]:
        for letter in "qkv":
            shapes[f"{letter}_conv1d.weight"] = (rows[letter], 1, config["conv_size"])
    if config["use_gate"]:
        shapes["g_proj.weight"] = (v_count * value, d)
    shapes["o_norm.weight"] = (value,)
    shapes["o_proj.weight"] = (d, v_count * value)
    return shapes


def forward(config, weights, prefix, x):
    count, v_count, key, _ = sizes(config)

    def project(letter, count):
        y = linear(x, weights, f"{prefix}{letter}_proj")
        if config["use_short_conv"]:
            y = short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], silu)
        else:
            y = silu(y)
        return heads(y, count)

    q, k = l2norm(project("q", count)), l2norm(project("k", count))
    q, k = repeat_heads(q, v_count // count), repeat_heads(k, v_count // count)
    v = project("v", v_count)
    beta = torch.sigmoid(linear(x, weights, prefix + "b_proj"))
    if config["allow_neg_eigval"]:
        beta = 2 * beta
    step = F.softplus(linear(x, weights, prefix + "a_proj") + weights[prefix + "dt_bias"])
    log_decay = -torch.exp(weights[prefix + "A_log"]) * step
    o = delta_recurrence(q, k, v, beta, log_decay, scale=key**-0.5)
    o = rms(o, config["norm_eps"]) * weights[prefix + "o_norm.weight"]
    if config["use_gate"]:
        activation = GATE_ACTIVATIONS[config["output_gate_activation"]]
        o = o * activation(heads(linear(x, weights, prefix + "g_proj"), v_count))
    return linear(o.flatten(-2), weights, prefix + "o_proj")
