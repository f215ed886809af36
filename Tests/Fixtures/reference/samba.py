"""Samba (arXiv 2406.07522): selective scans and softmax attention in a window, each with a channel mixer.

Mixers' names stand below `mixer.`; which layer has which, `hybrid.py` says.
"""

from . import hybrid
from .common import linear, rms, silu

DEFAULTS = hybrid.DEFAULTS | {
    "norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "hidden_ratio": 4,
    "attn": {
        "layers": list(range(1, 18, 2)),
        "num_heads": 18,
        "num_kv_heads": 18,
        "window_size": 2048,
    },
}


class LanguageModel(hybrid.Hybrid):
    DEFAULTS = DEFAULTS

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, vocabulary = config["hidden_size"], config["vocab_size"]
        inner = 256 * ((int(d * config["hidden_ratio"] * 2 / 3) + 255) // 256)
        shapes = {"backbone.embeddings.weight": (vocabulary, d)}
        for i in range(config["num_hidden_layers"]):
            prefix = f"backbone.layers.{i}."
            for norm in ("mixer_norm", "mlp_norm"):
                shapes[f"{prefix}{norm}.weight"] = (d,)
            mixer, options = self.layer(config, i)
            own = mixer.parameter_shapes(options)
            shapes |= {prefix + "mixer." + name: shape for name, shape in own.items()}
            for name in ("gate_proj", "up_proj"):
                shapes[f"{prefix}mlp.{name}.weight"] = (inner, d)
            shapes[prefix + "mlp.down_proj.weight"] = (d, inner)
        shapes["backbone.norm_f.weight"] = (d,)
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (vocabulary, d)
        return shapes

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            return rms(x, config["norm_eps"]) * weights[name + ".weight"]

        x = weights["backbone.embeddings.weight"][tokens]
        for i in range(config["num_hidden_layers"]):
            prefix = f"backbone.layers.{i}."
            mixer, options = self.layer(config, i)
            y = norm(x, prefix + "mixer_norm")
            x = x + mixer.forward(options, weights, prefix + "mixer.", y)
            y = norm(x, prefix + "mlp_norm")
            gate = linear(y, weights, prefix + "mlp.gate_proj")
            up = linear(y, weights, prefix + "mlp.up_proj")
            x = x + linear(silu(gate) * up, weights, prefix + "mlp.down_proj")
        head = "backbone.embeddings" if config["tie_word_embeddings"] else "lm_head"
        return linear(norm(x, "backbone.norm_f"), weights, head)
