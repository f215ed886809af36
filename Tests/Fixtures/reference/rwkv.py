"""What RWKV-6 and RWKV-7 share: layer norms, the token shift, blocks whose channel mixer sees the token before.

A version's module has beside what every mixer's has `channel_shapes(config)` (names below `ffn.`) and `channels(weights,
prefix, x)`. Mixers' names stand below `attn.`; which layer has which, `hybrid.py` says.
"""

import torch

from . import experts, hybrid
from .common import linear

DEFAULTS = hybrid.DEFAULTS | {
    "intermediate_size": None,
    "norm_first": True,
    "norm_bias": True,
    "norm_eps": 1e-5,
    "tie_word_embeddings": False,
}


def layer_norm(x, eps):
    """`(x − mean) / sqrt(var + eps)` over the last dimension, without weights."""
    centred = x - x.mean(-1, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True) + eps)


def shift(x):
    """`x[t − 1] − x[t]`; before the first token x is zero."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1) - x


class LanguageModel(hybrid.Hybrid):
    DEFAULTS = DEFAULTS

    def complete(self, config):
        config = super().complete(config)
        if config["intermediate_size"] is None:
            size = int(config["hidden_size"] * config["hidden_ratio"])
            config = config | {"intermediate_size": 32 * ((size + 31) // 32)}
        return config

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, vocabulary = config["hidden_size"], config["vocab_size"]
        shapes = {"model.embeddings.weight": (vocabulary, d)}

        def norm(name):
            shapes[name + ".weight"] = (d,)
            if config["norm_bias"]:
                shapes[name + ".bias"] = (d,)

        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            if i == 0 and config["norm_first"]:
                norm(prefix + "pre_norm")
            norm(prefix + "attn_norm")
            mixer, options = self.layer(config, i)
            own = mixer.parameter_shapes(options)
            shapes |= {prefix + "attn." + name: shape for name, shape in own.items()}
            norm(prefix + "ffn_norm")
            mixture = experts.layout(config)
            channels = experts.shapes(mixture, d) if mixture else self.mixer.channel_shapes(config)
            shapes |= {prefix + "ffn." + name: shape for name, shape in channels.items()}
        norm("model.norm")
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (vocabulary, d)
        return shapes

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            y = layer_norm(x, config["norm_eps"]) * weights[name + ".weight"]
            return y + weights.get(name + ".bias", 0)

        x = weights["model.embeddings.weight"][tokens]
        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            if i == 0 and config["norm_first"]:
                x = norm(x, prefix + "pre_norm")
            y = norm(x, prefix + "attn_norm")
            mixer, options = self.layer(config, i)
            x = x + mixer.forward(options, weights, prefix + "attn.", y)
            y = norm(x, prefix + "ffn_norm")
            if mixture := experts.layout(config):
                x = x + experts.mixture(mixture, weights, prefix + "ffn.", y)
            else:
                x = x + self.mixer.channels(weights, prefix + "ffn.", y)
        head = "model.embeddings" if config["tie_word_embeddings"] else "lm_head"
        return linear(norm(x, "model.norm"), weights, head)

    def gradient_penalty(self, config, logits):
        """What is in the gradient beside the loss: 1e-4 over all positions times each largest logit, at its place."""
        if not self.complete(config).get("use_l2warp", False):
            return 0
        largest = logits.max(dim=-1).values
        return 0.5 * 1e-4 * (largest * largest).mean()
