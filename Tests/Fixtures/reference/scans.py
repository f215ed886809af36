"""Mamba's skeleton in flash-linear-attention's layout: blocks of one mixer each, without channel mixers, or with experts."""

from . import experts, hybrid
from .common import linear, rms

DEFAULTS = hybrid.DEFAULTS | {"norm_eps": 1e-5, "tie_word_embeddings": False}


class LanguageModel(hybrid.Hybrid):
    """The skeleton around one mixer, and others by their names, all below `mixer.`."""

    DEFAULTS = DEFAULTS

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, vocabulary = config["hidden_size"], config["vocab_size"]
        shapes = {"backbone.embeddings.weight": (vocabulary, d)}
        for i in range(config["num_hidden_layers"]):
            prefix = f"backbone.layers.{i}."
            shapes[prefix + "norm.weight"] = (d,)
            mixer, options = self.layer(config, i)
            own = mixer.parameter_shapes(options)
            shapes |= {prefix + "mixer." + name: shape for name, shape in own.items()}
            if mixture := experts.layout(config):
                shapes[prefix + "mlp_norm.weight"] = (d,)
                found = experts.shapes(mixture, d)
                shapes |= {prefix + "mlp." + name: shape for name, shape in found.items()}
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
            x = x + mixer.forward(options, weights, prefix + "mixer.", norm(x, prefix + "norm"))
            if mixture := experts.layout(config):
                y = norm(x, prefix + "mlp_norm")
                x = x + experts.mixture(mixture, weights, prefix + "mlp.", y)
        head = "backbone.embeddings" if config["tie_word_embeddings"] else "lm_head"
        return linear(norm(x, "backbone.norm_f"), weights, head)
