"""What flash-linear-attention's models share: embedding, blocks, gated MLP, norms, head, hybrids.

Mixers' names stand below `attn.`; which layer has which, `hybrid.py` says.
"""

from . import experts, hybrid
from .common import linear, rms, silu

DEFAULTS = hybrid.DEFAULTS | {
    "hidden_ratio": 4,
    "intermediate_size": None,
    "norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "fuse_norm": True,
    "norm_placement": "pre",
    "norm_share": 0.25,
}

def intermediate_size(config):
    """`256 · ceil(int(d · ratio · 2/3) / 256)` unless it is given."""
    if config["intermediate_size"] is not None:
        return config["intermediate_size"]
    size = int(config["hidden_size"] * config["hidden_ratio"] * 2 / 3)
    return 256 * ((size + 255) // 256)


def is_post(config, index):
    """Whether a block's norms come after its layers: in all, or as Mix-LN (arXiv 2412.13795) in the first share."""
    share = {"pre": 0, "post": 1, "mix": config["norm_share"]}[config["norm_placement"]]
    return index < int(share * config["num_hidden_layers"])


class LanguageModel(hybrid.Hybrid):
    """A model of the family: the skeleton around one mixer, and others by their names."""

    DEFAULTS = DEFAULTS

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, vocabulary = config["hidden_size"], config["vocab_size"]
        inner = intermediate_size(config)
        shapes = {"model.embeddings.weight": (vocabulary, d)}
        shapes |= getattr(self.mixer, "model_shapes", lambda _: {})(config)
        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            shapes[prefix + "attn_norm.weight"] = (d,)
            mixer, options = self.layer(config, i)
            for name, shape in mixer.parameter_shapes(options).items():
                shapes[prefix + "attn." + name] = shape
            shapes[prefix + "mlp_norm.weight"] = (d,)
            if mixture := experts.layout(config):
                for name, shape in experts.shapes(mixture, d).items():
                    shapes[prefix + "mlp." + name] = shape
                continue
            shapes[prefix + "mlp.gate_proj.weight"] = (inner, d)
            shapes[prefix + "mlp.up_proj.weight"] = (inner, d)
            shapes[prefix + "mlp.down_proj.weight"] = (d, inner)
        shapes["model.norm.weight"] = (d,)
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (vocabulary, d)
        return shapes

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            return rms(x, config["norm_eps"]) * weights[name + ".weight"]

        x = weights["model.embeddings.weight"][tokens]
        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            mixer, options = self.layer(config, i)
            post = is_post(config, i)
            y = x if post else norm(x, prefix + "attn_norm")
            x = x + mixer.forward(options, weights, prefix + "attn.", y)
            x = norm(x, prefix + "attn_norm") if post else x
            y = x if post else norm(x, prefix + "mlp_norm")
            if mixture := experts.layout(config):
                x = x + experts.mixture(mixture, weights, prefix + "mlp.", y)
            else:
                gate = linear(y, weights, prefix + "mlp.gate_proj")
                up = linear(y, weights, prefix + "mlp.up_proj")
                x = x + linear(silu(gate) * up, weights, prefix + "mlp.down_proj")
            x = norm(x, prefix + "mlp_norm") if post else x
        head = "model.embeddings" if config["tie_word_embeddings"] else "lm_head"
        return linear(norm(x, "model.norm"), weights, head)
