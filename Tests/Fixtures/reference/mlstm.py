"""The mLSTM (arXiv 2405.04517, 2503.13427): exponential input gates and a normaliser, below a running maximum."""

import torch
import torch.nn.functional as F

from .common import heads, linear, rms

DEFAULTS = {
    "qk_dim_factor": 0.5,
    "v_dim_factor": 1.0,
    "use_bias": False,
    "norm_eps": 1e-6,
    "eps": 1e-6,
    "gate_soft_cap": 15.0,
    "weight_mode": "single",
}


def sizes(config):
    """Widths of all keys and of all values; heads."""
    d = config["hidden_size"]
    return int(d * config["qk_dim_factor"]), int(d * config["v_dim_factor"]), config["num_heads"]


def parameter_shapes(config):
    key, value, count = sizes(config)
    d = config["hidden_size"]
    shapes = {}

    def add(name, *shape, bias=config["use_bias"]):
        shapes[name + ".weight"] = shape
        if bias:
            shapes[name + ".bias"] = shape[:1]

    if config["weight_mode"] == "single":
        for name, width in [("q", key), ("k", key), ("v", value), ("ogate_preact", value)]:
            add(name, width, d)
        add("igate_preact", count, d, bias=True)
        add("fgate_preact", count, d, bias=True)
    else:
        add("qkv_opreact", 2 * key + 2 * value, d)
        add("ifgate_preact", 2 * count, d, bias=True)
    add("multihead_norm", value)
    add("out_proj", d, value)
    return shapes


def cap(x, limit):
    return limit * torch.tanh(x / limit)


def mlstm(q, k, v, i, f, scale, eps):
    """q, k [B, T, H, K]; v [B, T, H, V]; log gates i, f [B, T, H] → [B, T, H, V]."""
    batch, tokens, count, key = q.shape
    state = torch.zeros(batch, count, key, v.shape[-1], dtype=q.dtype)
    normaliser = torch.zeros(batch, count, key, dtype=q.dtype)
    m = torch.zeros(batch, count, dtype=q.dtype)
    outputs = []
    for t in range(tokens):
        previous, m = m, torch.maximum(f[:, t] + m, i[:, t])
        kept, written = torch.exp(f[:, t] + previous - m), torch.exp(i[:, t] - m)
        add = k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        state = kept[..., None, None] * state + written[..., None, None] * add
        normaliser = kept[..., None] * normaliser + written[..., None] * k[:, t]
        numerator = scale * (q[:, t].unsqueeze(-1) * state).sum(-2)
        d = scale * (q[:, t] * normaliser).sum(-1)
        outputs.append(numerator / (torch.maximum(d.abs(), torch.exp(-m)) + eps).unsqueeze(-1))
    return torch.stack(outputs, dim=1)


def forward(config, weights, layer, x):
    key, value, count = sizes(config)
    if config["weight_mode"] == "single":
        q, k, v, o, i, f = (
            linear(x, weights, layer + name)
            for name in ("q", "k", "v", "ogate_preact", "igate_preact", "fgate_preact")
        )
    else:
        q, k, v, o = linear(x, weights, layer + "qkv_opreact").split(
            [key, key, value, value], dim=-1
        )
        i, f = linear(x, weights, layer + "ifgate_preact").split(count, dim=-1)
    i, f = cap(i, config["gate_soft_cap"]), F.logsigmoid(cap(f, config["gate_soft_cap"]))
    q, k, v = heads(q, count), heads(k, count), heads(v, count)
    h = mlstm(q, k, v, i, f, q.shape[-1] ** -0.5, config["eps"])
    h = h - h.mean(-1, keepdim=True)
    h = rms(h, config["norm_eps"]).flatten(-2)
    name = layer + "multihead_norm"
    h = h * weights[name + ".weight"] + weights.get(name + ".bias", 0)
    return linear(torch.sigmoid(o) * h, weights, layer + "out_proj")
