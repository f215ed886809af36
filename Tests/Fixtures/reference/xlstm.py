"""xLSTM's skeleton in the layout of transformers (arXiv 2503.13427): a channel mixer after each mixer, capped logits.

Mixers' names stand below `mlstm_layer.`, whatever family they are of; which layer has which, `hybrid.py` says.
"""

from . import experts, hybrid
from .common import linear, rms, silu
from .mlstm import cap

DEFAULTS = hybrid.DEFAULTS | {
    "norm_eps": 1e-6,
    "output_logit_soft_cap": 30.0,
    "ffn_proj_factor": 2.667,
    "ffn_round_up_to_multiple_of": 64,
}


def channel_width(config):
    d, multiple = config["hidden_size"], config["ffn_round_up_to_multiple_of"]
    return int((config["ffn_proj_factor"] * d + multiple - 1) / multiple) * multiple


class LanguageModel(hybrid.Hybrid):
    DEFAULTS = DEFAULTS

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, vocabulary, inner = config["hidden_size"], config["vocab_size"], channel_width(config)
        shapes = {"backbone.embeddings.weight": (vocabulary, d)}

        def add(name, *shape, bias=config["use_bias"]):
            shapes[name + ".weight"] = shape
            if bias:
                shapes[name + ".bias"] = shape[:1]

        for i in range(config["num_hidden_layers"]):
            block = f"backbone.blocks.{i}."
            add(block + "norm_mlstm", d)
            mixer, options = self.layer(config, i)
            for name, shape in mixer.parameter_shapes(options).items():
                shapes[block + "mlstm_layer." + name] = shape
            if mixture := experts.layout(config):
                add(block + "norm_ffn", d)
                found = experts.shapes(mixture, d)
                shapes |= {block + "ffn." + name: shape for name, shape in found.items()}
                continue
            if config["weight_mode"] == "single":
                add(block + "ffn.proj_up_gate", inner, d)
                add(block + "ffn.proj_up", inner, d)
            else:
                add(block + "ffn.proj_up_gate_z", 2 * inner, d)
            add(block + "norm_ffn", d)
            add(block + "ffn.proj_down", d, inner)
        add("backbone.out_norm", d, bias=False)
        add("lm_head", vocabulary, d, bias=False)
        return shapes

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            y = rms(x, config["norm_eps"]) * weights[name + ".weight"]
            return y + weights.get(name + ".bias", 0)

        x = weights["backbone.embeddings.weight"][tokens]
        for i in range(config["num_hidden_layers"]):
            block = f"backbone.blocks.{i}."
            mixer, options = self.layer(config, i)
            y = norm(x, block + "norm_mlstm")
            x = x + mixer.forward(options, weights, block + "mlstm_layer.", y)
            y = norm(x, block + "norm_ffn")
            if mixture := experts.layout(config):
                x = x + experts.mixture(mixture, weights, block + "ffn.", y)
                continue
            if config["weight_mode"] == "single":
                gate = linear(y, weights, block + "ffn.proj_up_gate")
                up = linear(y, weights, block + "ffn.proj_up")
            else:
                gate, up = linear(y, weights, block + "ffn.proj_up_gate_z").chunk(2, dim=-1)
            x = x + linear(silu(gate) * up, weights, block + "ffn.proj_down")
        x = norm(x, "backbone.out_norm")
        return cap(linear(x, weights, "lm_head"), config["output_logit_soft_cap"])
