"""Hybrids of other makers in transformers' layout: softmax attention in some layers, a recurrence in the others.

`MODELS` has them by `model_type`. Each says what stands around its mixers; attention goes query by query.
"""

import torch

from . import experts, mamba2, pretrained
from .common import decay_recurrence, heads, linear, repeat_heads, rms, silu

COMMON = {
    "head_dim": None,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "rope_parameters": None,
    "layer_types": None,
}


def rotated(x, config, count):
    """Heads x [B, T, H, d], whose first `count` channels turn with their positions."""
    if count == 0:
        return x
    omega, factor = pretrained.frequencies(config, count)
    count = 2 * len(omega)
    return torch.cat([pretrained.rotary(x[..., :count], omega, factor), x[..., count:]], dim=-1)


def attention_shapes(config):
    d, width = config["hidden_size"], config["head_dim"]
    wide, narrow = (config[key] * width for key in ("num_attention_heads", "num_key_value_heads"))
    shapes = {}
    for name, rows, columns in (
        ("q_proj", wide, d), ("k_proj", narrow, d), ("v_proj", narrow, d), ("o_proj", d, wide)
    ):
        shapes[name + ".weight"] = (rows, columns)
        if config["attention_bias"]:
            shapes[name + ".bias"] = (rows,)
    return shapes


def attention(config, weights, prefix, x, turning, window=None, scale=None):
    """Causal softmax attention of one layer; `turning` channels of a head are rotated."""
    count, kv_count, d = (
        config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim")
    )
    q = rotated(heads(linear(x, weights, prefix + "q_proj"), count), config, turning)
    k = rotated(heads(linear(x, weights, prefix + "k_proj"), kv_count), config, turning)
    v = heads(linear(x, weights, prefix + "v_proj"), kv_count)
    k, v = repeat_heads(k, count // kv_count), repeat_heads(v, count // kv_count)
    outputs = []
    for t in range(x.shape[1]):
        first = 0 if window is None else max(0, t + 1 - window)
        scores = (q[:, t : t + 1] * k[:, first : t + 1]).sum(-1) * (scale or d**-0.5)
        shares = torch.softmax(scores, dim=1).unsqueeze(-1)
        outputs.append((shares * v[:, first : t + 1]).sum(1))
    return linear(torch.stack(outputs, dim=1).flatten(-2), weights, prefix + "o_proj")


class Hybrid:
    """What the hybrids have in common; `defaults` are a family's own."""

    names = ("input_layernorm", "post_attention_layernorm", "model.norm")
    defaults = {}

    def complete(self, config):
        config = COMMON | self.defaults | config
        count = config["num_attention_heads"]
        return config | {
            "num_key_value_heads": config["num_key_value_heads"] or count,
            "head_dim": config["head_dim"] or config["hidden_size"] // count,
        }

    def is_attention(self, config, layer):
        types = config["layer_types"]
        if types:
            return types[layer] in ("full_attention", "attention")
        return self.is_usual(config, layer)

    def parameter_shapes(self, config):
        config = self.complete(config)
        d = config["hidden_size"]
        shapes = {"model.embed_tokens.weight": (config["vocab_size"], d)}
        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            shapes[f"{prefix}{self.names[0]}.weight"] = (d,)
            shapes[f"{prefix}{self.names[1]}.weight"] = (d,)
            for name, shape in (self.mixer_shapes(config, i) | self.channel_shapes(config)).items():
                shapes[prefix + name] = shape
        shapes[self.names[2] + ".weight"] = (d,)
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (config["vocab_size"], d)
        return shapes

    def norm(self, config, weights, name, x):
        return rms(x, config["rms_norm_eps"]) * weights[name + ".weight"]

    def layer(self, config, weights, i, x):
        """`x += mixer(norm x)`, `x += channels(norm x)`."""
        prefix = f"model.layers.{i}."
        y = self.norm(config, weights, prefix + self.names[0], x)
        x = x + self.mixer(config, weights, prefix, i, y)
        y = self.norm(config, weights, prefix + self.names[1], x)
        return x + self.channels(config, weights, prefix, y)

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)
        x = weights["model.embed_tokens.weight"][tokens] * config.get("embedding_multiplier", 1)
        for i in range(config["num_hidden_layers"]):
            x = self.layer(config, weights, i, x)
        head = "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head"
        logits = linear(self.norm(config, weights, self.names[2], x), weights, head)
        return logits / config.get("logits_scaling", 1)


class MiniMax(Hybrid):
    """MiniMax-01 (arXiv 2501.08313): Lightning attention; the normed input is what is added to."""

    defaults = {
        "rms_norm_eps": 1e-5, "num_key_value_heads": 8, "sliding_window": None,
        "rope_theta": 1e6, "max_position_embeddings": 131072, "rotary_dim": None,
    }

    def is_usual(self, config, layer):
        return layer % 2 == 0

    def mixer_shapes(self, config, layer):
        d, wide = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
        shapes = attention_shapes(config) if self.is_attention(config, layer) else {
            "qkv_proj.weight": (3 * wide, d),
            "output_gate.weight": (wide, d),
            "norm.weight": (wide,),
            "out_proj.weight": (d, wide),
        }
        return {"self_attn." + name: shape for name, shape in shapes.items()}

    def channel_shapes(self, config):
        options = experts.layout(config)
        found = experts.shapes(options, config["hidden_size"])
        return {options["prefix"] + name: shape for name, shape in found.items()}

    def lightning(self, config, weights, prefix, layer, x):
        count, layers = config["num_attention_heads"], config["num_hidden_layers"]
        q, k, v = heads(silu(linear(x, weights, prefix + "qkv_proj")), count).chunk(3, dim=-1)
        h = torch.arange(1, count + 1, dtype=torch.float64)
        slope = 2.0 ** (-8 * h / count) * (1 - layer / (layers - 1 + 1e-5) + 1e-5)
        o = decay_recurrence(q, k, v, -slope[:, None], scale=1.0).flatten(-2)
        o = rms(o, 1e-6) * weights[prefix + "norm.weight"]
        o = o * torch.sigmoid(linear(x, weights, prefix + "output_gate"))
        return linear(o, weights, prefix + "out_proj")

    def layer(self, config, weights, i, x):
        prefix = f"model.layers.{i}."

        def factors(kind):
            return (config.get(f"{kind}_{name}_factor", 1) for name in ("alpha", "beta"))

        y = self.norm(config, weights, prefix + self.names[0], x)
        if self.is_attention(config, i):
            alpha, beta = factors("full_attn")
            turning = config["rotary_dim"] or config["head_dim"]
            window = config["sliding_window"]
            mixed = attention(config, weights, prefix + "self_attn.", y, turning, window)
        else:
            alpha, beta = factors("linear_attn")
            mixed = self.lightning(config, weights, prefix + "self_attn.", i, y)
        z = self.norm(config, weights, prefix + self.names[1], alpha * y + beta * mixed)
        alpha, beta = factors("mlp")
        options = experts.layout(config)
        return alpha * z + beta * experts.mixture(options, weights, prefix + options["prefix"], z)


class Mamba2Hybrid(Hybrid):
    """Attention and Mamba-2."""

    mamba_defaults = {
        "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_expand": 2,
        "mamba_conv_bias": True, "mamba_proj_bias": False, "time_step_limit": [0.0, float("inf")],
    }

    def mamba(self, config):
        """The keys of Mamba-2's own layout."""
        inner = int(config["mamba_expand"] * config["hidden_size"])
        limit = [
            float(end["__float__"]) if isinstance(end, dict) else end
            for end in config["time_step_limit"] or [0.0, float("inf")]
        ]
        return mamba2.DEFAULTS | {
            "hidden_size": config["hidden_size"], "norm_eps": config["rms_norm_eps"],
            "head_dim": inner // config["mamba_n_heads"], "expand": config["mamba_expand"],
            "state_size": config["mamba_d_state"], "n_groups": config["mamba_n_groups"],
            "conv_kernel": config["mamba_d_conv"], "use_conv_bias": config["mamba_conv_bias"],
            "use_bias": config["mamba_proj_bias"], "dt_limit": limit,
        }

    def mixer_shapes(self, config, layer):
        if self.is_attention(config, layer):
            return {"self_attn." + name: shape for name, shape in attention_shapes(config).items()}
        shapes = mamba2.parameter_shapes(self.mamba(config))
        return {"mamba." + name: shape for name, shape in shapes.items()}

    def mixer(self, config, weights, prefix, layer, x):
        if not self.is_attention(config, layer):
            return mamba2.forward(self.mamba(config), weights, prefix + "mamba.", x)
        return attention(
            config, weights, prefix + "self_attn.", x, self.turning(config),
            scale=config.get("attention_multiplier"),
        )


class Bamba(Mamba2Hybrid):
    """Bamba: half of a head's channels turn; the head's z-loss over all positions."""

    names = ("input_layernorm", "pre_ff_layernorm", "model.final_layernorm")
    defaults = Mamba2Hybrid.mamba_defaults | {
        "rms_norm_eps": 1e-5, "num_key_value_heads": 8, "mamba_n_heads": 128,
        "max_position_embeddings": 262144, "attn_layer_indices": None,
    }

    def is_usual(self, config, layer):
        return layer in (config["attn_layer_indices"] or [])

    def turning(self, config):
        share = (config["rope_parameters"] or {}).get("partial_rotary_factor", 0.5)
        return int(config["head_dim"] * share)

    def channel_shapes(self, config):
        d, inner = config["hidden_size"], config["intermediate_size"]
        shapes = {}
        for name, rows, columns in (("gate", inner, d), ("up", inner, d), ("down", d, inner)):
            shapes[f"feed_forward.{name}_proj.weight"] = (rows, columns)
            if config["mlp_bias"]:
                shapes[f"feed_forward.{name}_proj.bias"] = (rows,)
        return shapes

    def channels(self, config, weights, prefix, x):
        name = prefix + "feed_forward."
        gate = silu(linear(x, weights, name + "gate_proj"))
        return linear(gate * linear(x, weights, name + "up_proj"), weights, name + "down_proj")

    def loss(self, config, logits):
        """The z-loss, whose mean is over all positions, each row's last included."""
        return config.get("z_loss_coefficient", 0) * logits.logsumexp(-1).square().mean()


class GraniteMoeHybrid(Mamba2Hybrid):
    """Granite 4: multipliers everywhere, experts beside what all tokens take."""

    defaults = Mamba2Hybrid.mamba_defaults | {
        "rms_norm_eps": 1e-6, "num_key_value_heads": None, "mamba_n_heads": 128,
        "max_position_embeddings": 2048, "position_embedding_type": None,
        "attention_multiplier": 1.0, "residual_multiplier": 1.0, "embedding_multiplier": 1.0,
        "logits_scaling": 1.0, "shared_intermediate_size": 1024,
    }

    def is_usual(self, config, layer):
        return False

    def turning(self, config):
        return config["head_dim"] if config["position_embedding_type"] == "rope" else 0

    def channel_shapes(self, config):
        d, shared = config["hidden_size"], config["shared_intermediate_size"]
        shapes = {
            "shared_mlp.input_linear.weight": (2 * shared, d),
            "shared_mlp.output_linear.weight": (d, shared),
        }
        options = experts.layout(config)
        if options:
            shapes |= {options["prefix"] + n: s for n, s in experts.shapes(options, d).items()}
        return shapes

    def channels(self, config, weights, prefix, x):
        gate, up = linear(x, weights, prefix + "shared_mlp.input_linear").chunk(2, dim=-1)
        y = linear(silu(gate) * up, weights, prefix + "shared_mlp.output_linear")
        options = experts.layout(config)
        if options:
            y = y + experts.mixture(options, weights, prefix + options["prefix"], x)
        return y

    def layer(self, config, weights, i, x):
        prefix, factor = f"model.layers.{i}.", config["residual_multiplier"]
        y = self.norm(config, weights, prefix + self.names[0], x)
        x = x + factor * self.mixer(config, weights, prefix, i, y)
        y = self.norm(config, weights, prefix + self.names[1], x)
        return x + factor * self.channels(config, weights, prefix, y)


MODELS = {"minimax": MiniMax(), "bamba": Bamba(), "granitemoehybrid": GraniteMoeHybrid()}
