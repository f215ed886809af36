"""Samba (arXiv 2406.07522): selective scans and softmax attention in a window, each with a channel mixer."""

from . import mamba, transformer
from .common import linear, rms, silu

DEFAULTS = mamba.DEFAULTS | {
    "tie_word_embeddings": False,
    "hidden_ratio": 4,
    "attn": {
        "layers": list(range(1, 18, 2)),
        "num_heads": 18,
        "num_kv_heads": 18,
        "window_size": 2048,
    },
}


def attention(config, index):
    """What a layer's attention reads, or None for a scan."""
    if config["attn"] is None or index not in config["attn"]["layers"]:
        return None
    return transformer.DEFAULTS | {"hidden_size": config["hidden_size"]} | config["attn"]


def parameter_shapes(config):
    config = DEFAULTS | config
    d, vocabulary = config["hidden_size"], config["vocab_size"]
    inner = 256 * ((int(d * config["hidden_ratio"] * 2 / 3) + 255) // 256)
    shapes = {"backbone.embeddings.weight": (vocabulary, d)}
    for i in range(config["num_hidden_layers"]):
        prefix = f"backbone.layers.{i}."
        for norm in ("mixer_norm", "mlp_norm"):
            shapes[f"{prefix}{norm}.weight"] = (d,)
        options = attention(config, i)
        if options is None:
            own = mamba.parameter_shapes(config)
        else:
            own = transformer.parameter_shapes(options)
        shapes |= {prefix + "mixer." + name: shape for name, shape in own.items()}
        for name in ("gate_proj", "up_proj"):
            shapes[f"{prefix}mlp.{name}.weight"] = (inner, d)
        shapes[prefix + "mlp.down_proj.weight"] = (d, inner)
    shapes["backbone.norm_f.weight"] = (d,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocabulary, d)
    return shapes


def forward(config, weights, tokens):
    """Logits [B, T, vocabulary]."""
    config = DEFAULTS | config

    def norm(x, name):
        return rms(x, config["norm_eps"]) * weights[name + ".weight"]

    x = weights["backbone.embeddings.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        prefix = f"backbone.layers.{i}."
        y, options = norm(x, prefix + "mixer_norm"), attention(config, i)
        if options is None:
            x = x + mamba.forward(config, weights, prefix + "mixer.", y)
        else:
            x = x + transformer.forward(options, weights, prefix + "mixer.", y)
        y = norm(x, prefix + "mlp_norm")
        gate = linear(y, weights, prefix + "mlp.gate_proj")
        up = linear(y, weights, prefix + "mlp.up_proj")
        x = x + linear(silu(gate) * up, weights, prefix + "mlp.down_proj")
    head = "backbone.embeddings" if config["tie_word_embeddings"] else "lm_head"
    return linear(norm(x, "backbone.norm_f"), weights, head)
