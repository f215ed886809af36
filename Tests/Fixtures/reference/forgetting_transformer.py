"""The Forgetting Transformer (arXiv 2503.02130): softmax attention with a bias of summed log gates."""

import torch
import torch.nn.functional as F

from .common import heads, linear, repeat_heads, rms

DEFAULTS = {
    "num_heads": 32,
    "num_kv_heads": None,
    "qkv_bias": False,
    "qk_norm": False,
    "use_output_gate": False,
    "window_size": None,
}

QK_NORM_EPS = 1e-5


def sizes(config):
    count = config["num_heads"]
    return count, config["num_kv_heads"] or count, config["hidden_size"] // count


def parameter_shapes(config):
    d = config["hidden_size"]
    count, kv_count, head = sizes(config)
    shapes = {}
    for name, rows in [("q_proj", d), ("k_proj", kv_count * head), ("v_proj", kv_count * head)]:
        shapes[name + ".weight"] = (rows, d)
        if config["qkv_bias"]:
            shapes[name + ".bias"] = (rows,)
    shapes["f_proj.weight"] = (count, d)
    shapes["f_proj.bias"] = (count,)
    if config["use_output_gate"]:
        shapes["g_proj.weight"] = (d, d)
    shapes["o_proj.weight"] = (d, d)
    if config["qk_norm"]:
        shapes["q_norm.weight"] = (d,)
        shapes["k_norm.weight"] = (kv_count * head,)
    return shapes


def forward(config, weights, prefix, x):
    """The window is ignored, as in the other project's forward pass."""
    count, kv_count, head = sizes(config)
    q = heads(linear(x, weights, prefix + "q_proj"), count)
    k = heads(linear(x, weights, prefix + "k_proj"), kv_count)
    v = heads(linear(x, weights, prefix + "v_proj"), kv_count)
    if config["qk_norm"]:
        q = rms(q, QK_NORM_EPS) * weights[prefix + "q_norm.weight"].reshape(count, head)
        k = rms(k, QK_NORM_EPS) * weights[prefix + "k_norm.weight"].reshape(kv_count, head)
    gates = F.logsigmoid(linear(x, weights, prefix + "f_proj"))
    k, v = repeat_heads(k, count // kv_count), repeat_heads(v, count // kv_count)
    outputs = []
    for t in range(x.shape[1]):
        forgotten = []
        bias = torch.zeros_like(gates[:, 0])
        for j in range(t, -1, -1):
            forgotten.insert(0, bias)
            bias = bias + gates[:, j]
        scores = (q[:, t : t + 1] * k[:, : t + 1]).sum(-1) * head**-0.5
        shares = torch.softmax(scores + torch.stack(forgotten, dim=1), dim=1)
        outputs.append((shares.unsqueeze(-1) * v[:, : t + 1]).sum(1))
    o = torch.stack(outputs, dim=1).flatten(-2)
    if config["use_output_gate"]:
        o = o * torch.sigmoid(linear(x, weights, prefix + "g_proj"))
    return linear(o, weights, prefix + "o_proj")
