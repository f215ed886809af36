"""TransNormerLLM (arXiv 2307.14995), with the decays of Lightning Attention-2 (2401.04658)."""

import math

import torch

from .common import decay_recurrence, heads, linear, rms, silu

EPS = 1e-6


def slopes(count):
    """ALiBi slopes: `2^(−8h/H)`, h = 1 … H, for a power of two.

    Otherwise those of the power of two below, then every other slope of twice that power.
    """
    if count & (count - 1) == 0:
        return [2.0 ** (-8.0 * h / count) for h in range(1, count + 1)]
    lower = 1 << (count.bit_length() - 1)
    return slopes(lower) + slopes(2 * lower)[0::2][: count - lower]


def log_decays(layer, config):
    """`−s_h (1 − l/(L−1) + 1e-5)`; a model of one layer has the factor 1."""
    layers = config["decoder_layers"]
    factor = 1.0 if layers == 1 else 1.0 - layer / (layers - 1) + 1e-5
    slope = torch.tensor(slopes(config["decoder_attention_heads"]), dtype=torch.float64)
    return -slope * factor


def uses_lrpe(layer, config):
    listed = config["linear_use_lrpe_list"]
    return bool(listed) and bool(listed[layer])


def glu_dimension(config):
    return config["decoder_embed_dim"] if config["glu_dim"] == -1 else config["glu_dim"]


def parameter_shapes(config):
    d, hidden = config["decoder_embed_dim"], config["hidden_dim"]
    count, glu = config["decoder_attention_heads"], glu_dimension(config)
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], d)}

    def add(name, rows, columns):
        shapes[name + ".weight"] = (rows, columns)
        if config["bias"]:
            shapes[name + ".bias"] = (rows,)

    for i in range(config["decoder_layers"]):
        mixer, channel = f"model.layers.{i}.token_mixer.", f"model.layers.{i}.channel_mixer."
        add(mixer + "qkvu_proj", 4 * hidden, d)
        add(mixer + "out_proj", d, hidden)
        if uses_lrpe(i, config):
            shapes[mixer + "lrpe.theta"] = (count, 1, hidden // count)
        add(channel + "l1", glu, d)
        add(channel + "l2", glu, d)
        add(channel + "l3", d, glu)
    shapes["lm_head.weight"] = (config["vocab_size"], d)
    return shapes


def lrpe(x, theta):
    """`x_t → [x_t cos(tθ), x_t sin(tθ)]`; x [B, T, H, K], theta [H, 1, K]."""
    outputs = []
    for t in range(x.shape[1]):
        angle = t * theta[:, 0, :]
        outputs.append(torch.cat([x[:, t] * torch.cos(angle), x[:, t] * torch.sin(angle)], dim=-1))
    return torch.stack(outputs, dim=1)


def token_mixer(x, weights, prefix, layer, config):
    count, hidden = config["decoder_attention_heads"], config["hidden_dim"]
    qkvu = linear(x, weights, prefix + "qkvu_proj")
    q, k, v, u = qkvu.split(hidden, dim=-1)
    q, k, v = heads(silu(q), count), heads(silu(k), count), heads(v, count)
    if uses_lrpe(layer, config):
        theta = weights[prefix + "lrpe.theta"]
        q, k = lrpe(q, theta), lrpe(k, theta)
    decay = log_decays(layer, config)[:, None]
    o = decay_recurrence(q, k, v, decay, scale=1.0)
    o = rms(o.flatten(-2), EPS)
    return linear(u * o, weights, prefix + "out_proj")


def forward(config, weights, tokens):
    """Logits [B, T, vocabulary]."""
    x = weights["model.embed_tokens.weight"][tokens]
    if not config["no_scale_embedding"]:
        x = x * math.sqrt(config["decoder_embed_dim"])
    for i in range(config["decoder_layers"]):
        mixer, channel = f"model.layers.{i}.token_mixer.", f"model.layers.{i}.channel_mixer."
        x = x + token_mixer(rms(x, EPS), weights, mixer, i, config)
        y = rms(x, EPS)
        product = linear(y, weights, channel + "l1") * linear(y, weights, channel + "l2")
        x = x + linear(product, weights, channel + "l3")
    return linear(rms(x, EPS), weights, "lm_head")
