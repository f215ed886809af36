"""xLSTM with mLSTM blocks (arXiv 2405.04517, 2503.13427), in the layout of transformers."""

import torch
import torch.nn.functional as F

from .common import heads, linear, rms, silu

DEFAULTS = {
    "qk_dim_factor": 0.5,
    "v_dim_factor": 1.0,
    "use_bias": False,
    "norm_eps": 1e-6,
    "eps": 1e-6,
    "gate_soft_cap": 15.0,
    "output_logit_soft_cap": 30.0,
    "ffn_proj_factor": 2.667,
    "ffn_round_up_to_multiple_of": 64,
    "weight_mode": "single",
}


def sizes(config):
    """Widths of all keys, of all values and of the channel mixer; heads."""
    d, multiple = config["hidden_size"], config["ffn_round_up_to_multiple_of"]
    inner = int((config["ffn_proj_factor"] * d + multiple - 1) / multiple) * multiple
    key, value = int(d * config["qk_dim_factor"]), int(d * config["v_dim_factor"])
    return key, value, inner, config["num_heads"]


def parameter_shapes(config):
    config = DEFAULTS | config
    d, vocabulary = config["hidden_size"], config["vocab_size"]
    key, value, inner, count = sizes(config)
    shapes = {"backbone.embeddings.weight": (vocabulary, d)}

    def add(name, *shape, bias=config["use_bias"]):
        shapes[name + ".weight"] = shape
        if bias:
            shapes[name + ".bias"] = shape[:1]

    for i in range(config["num_hidden_layers"]):
        block = f"backbone.blocks.{i}."
        layer = block + "mlstm_layer."
        add(block + "norm_mlstm", d)
        if config["weight_mode"] == "single":
            for name, width in [("q", key), ("k", key), ("v", value), ("ogate_preact", value)]:
                add(layer + name, width, d)
            add(layer + "igate_preact", count, d, bias=True)
            add(layer + "fgate_preact", count, d, bias=True)
            add(block + "ffn.proj_up_gate", inner, d)
            add(block + "ffn.proj_up", inner, d)
        else:
            add(layer + "qkv_opreact", 2 * key + 2 * value, d)
            add(layer + "ifgate_preact", 2 * count, d, bias=True)
            add(block + "ffn.proj_up_gate_z", 2 * inner, d)
        add(layer + "multihead_norm", value)
        add(layer + "out_proj", d, value)
        add(block + "norm_ffn", d)
        add(block + "ffn.proj_down", d, inner)
    add("backbone.out_norm", d, bias=False)
    add("lm_head", vocabulary, d, bias=False)
    return shapes


def norm(x, weights, name, eps):
    return rms(x, eps) * weights[name + ".weight"] + weights.get(name + ".bias", 0)


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


def mix(config, weights, layer, x):
    key, value, _, count = sizes(config)
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


def forward(config, weights, tokens):
    """Logits [B, T, vocabulary]."""
    config = DEFAULTS | config
    eps = config["norm_eps"]
    x = weights["backbone.embeddings.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        block = f"backbone.blocks.{i}."
        y = norm(x, weights, block + "norm_mlstm", eps)
        x = x + mix(config, weights, block + "mlstm_layer.", y)
        y = norm(x, weights, block + "norm_ffn", eps)
        if config["weight_mode"] == "single":
            gate = linear(y, weights, block + "ffn.proj_up_gate")
            up = linear(y, weights, block + "ffn.proj_up")
        else:
            gate, up = linear(y, weights, block + "ffn.proj_up_gate_z").chunk(2, dim=-1)
        x = x + linear(silu(gate) * up, weights, block + "ffn.proj_down")
    x = norm(x, weights, "backbone.out_norm", eps)
    return cap(linear(x, weights, "lm_head"), config["output_logit_soft_cap"])
