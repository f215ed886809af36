"""Pretrained Transformers in transformers' layout: llama, mistral, qwen2, qwen3, and with experts mixtral,
qwen2_moe, qwen3_moe.

`LanguageModel(family)` is one of them; attention goes query by query, over the keys that it sees.
"""

import math

import torch

from . import common, experts
from .common import heads, linear, repeat_heads, rms, silu

DEFAULTS = {
    "num_key_value_heads": None,
    "head_dim": None,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "rope_parameters": None,
    "layer_types": None,
}

FAMILIES = {
    "llama": {"max_position_embeddings": 2048},
    "mistral": {"max_position_embeddings": 131072, "sliding_window": 4096},
    "qwen2": {
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
    },
    "qwen3": {
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
    },
    "mixtral": {
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "max_position_embeddings": 131072,
        "sliding_window": None,
    },
    "qwen2_moe": {
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
        "qkv_bias": True,
    },
    "qwen3_moe": {
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
    },
}


def frequencies(config, d):
    """The angles of a token, [⌈d/2⌉], and what cosines and sines are multiplied by."""
    scaling = config["rope_parameters"] or config["rope_scaling"] or {}
    theta = (config["rope_parameters"] or {}).get("rope_theta", config["rope_theta"])
    # Of an odd d transformers makes (d + 1)/2 frequencies, and turns d + 1 numbers.
    j = torch.arange((d + 1) // 2, dtype=torch.float64)
    plain = theta ** (-2 * j / d)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return plain, 1.0
    s = scaling["factor"]
    if kind == "linear":
        return plain / s, 1.0
    n = scaling.get("original_max_position_embeddings") or config["max_position_embeddings"]
    if kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        results = []
        for w in plain.tolist():
            wavelength = 2 * math.pi / w
            if wavelength < n / high:
                results.append(w)
            elif wavelength > n / low:
                results.append(w / s)
            else:
                y = (n / wavelength - low) / (high - low)
                results.append((1 - y) * w / s + y * w)
        return torch.tensor(results, dtype=torch.float64), 1.0
    assert kind == "yarn", kind

    def pair(turns):
        return d * math.log(n / (turns * 2 * math.pi)) / (2 * math.log(theta))

    def magnitude(m):
        return 1.0 if s <= 1 else 0.1 * m * math.log(s) + 1

    low, high = pair(scaling.get("beta_fast", 32)), pair(scaling.get("beta_slow", 1))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, d - 1)
    high += 0.001 if high == low else 0
    y = ((j - low) / (high - low)).clamp(0, 1)
    factor = scaling.get("attention_factor")
    if factor is None:
        m, m_all = scaling.get("mscale"), scaling.get("mscale_all_dim")
        factor = magnitude(m) / magnitude(m_all) if m and m_all else magnitude(1)
    return plain / s * y + plain * (1 - y), factor


def rotary(x, omega, factor):
    """`[a, b] → [a cos − b sin, b cos + a sin]`, times the factor; x [B, T, H, d]."""
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None, None] * omega
    cosine, sine = factor * torch.cos(angle), factor * torch.sin(angle)
    a, b = x.chunk(2, dim=-1)
    return common.stored(torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1))


def softmax_attention(q, k, v, scale, window=None):
    """Causal attention, query by query: q [B, T, H, d], k and v with as many heads or a divisor; [B, T, H, v's width]."""
    times = q.shape[2] // k.shape[2]
    k, v = repeat_heads(k, times), repeat_heads(v, times)
    outputs = []
    for t in range(q.shape[1]):
        first = 0 if window is None else max(0, t + 1 - window)
        scores = (q[:, t : t + 1] * k[:, first : t + 1]).sum(-1) * scale
        shares = torch.softmax(scores, dim=1).unsqueeze(-1)
        outputs.append((shares * v[:, first : t + 1]).sum(1))
    return torch.stack(outputs, dim=1)


class LanguageModel:
    """A family: its defaults, and where it has biases, norms and windows."""

    def __init__(self, family):
        self.family = family

    def complete(self, config):
        config = DEFAULTS | FAMILIES[self.family] | config
        count = config["num_attention_heads"]
        return config | {
            "num_key_value_heads": config["num_key_value_heads"] or count,
            "head_dim": config["head_dim"] or config["hidden_size"] // count,
        }

    def biases(self, config):
        """Whether q, k and v have biases, and whether o has."""
        if self.family == "qwen2":
            return True, False
        if self.family == "qwen2_moe":
            return config["qkv_bias"], False
        asked = self.family not in ("mistral", "mixtral") and config["attention_bias"]
        return asked, asked

    def window(self, config, layer):
        """The most keys that a query of a layer sees, itself included; None for all."""
        if self.family in ("mistral", "mixtral"):
            return config["sliding_window"]
        if self.family == "llama" or not config["use_sliding_window"]:
            return None
        if self.family == "qwen3_moe":
            return config["sliding_window"]
        if config["layer_types"]:
            sliding = config["layer_types"][layer] == "sliding_attention"
        else:
            first = config["max_window_layers"]
            sliding = layer % 2 == 0 and layer < first if self.family == "qwen2_moe" else layer >= first
        return config["sliding_window"] if sliding else None

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
        wide, narrow = (config[key] * head for key in ("num_attention_heads", "num_key_value_heads"))
        inputs, output = self.biases(config)
        in_mlp = self.family == "llama" and config["mlp_bias"]
        shapes = {"model.embed_tokens.weight": (config["vocab_size"], d)}

        def projection(name, rows, columns, has_bias):
            shapes[name + ".weight"] = (rows, columns)
            if has_bias:
                shapes[name + ".bias"] = (rows,)

        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            shapes[prefix + "input_layernorm.weight"] = (d,)
            projection(prefix + "self_attn.q_proj", wide, d, inputs)
            projection(prefix + "self_attn.k_proj", narrow, d, inputs)
            projection(prefix + "self_attn.v_proj", narrow, d, inputs)
            projection(prefix + "self_attn.o_proj", d, wide, output)
            if self.family in ("qwen3", "qwen3_moe"):
                shapes[prefix + "self_attn.q_norm.weight"] = (head,)
                shapes[prefix + "self_attn.k_norm.weight"] = (head,)
            shapes[prefix + "post_attention_layernorm.weight"] = (d,)
            mixture = experts.layout(config)
            if mixture and experts.is_sparse(config, i):
                for name, shape in experts.shapes(mixture, d).items():
                    shapes[prefix + mixture["prefix"] + name] = shape
                continue
            projection(prefix + "mlp.gate_proj", inner, d, in_mlp)
            projection(prefix + "mlp.up_proj", inner, d, in_mlp)
            projection(prefix + "mlp.down_proj", d, inner, in_mlp)
        shapes["model.norm.weight"] = (d,)
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (config["vocab_size"], d)
        return shapes

    def attention(self, config, weights, prefix, x, window):
        """Softmax attention of one layer, before its window's first key nothing."""
        count, kv_count, d = (
            config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim")
        )
        q = heads(linear(x, weights, prefix + "q_proj"), count)
        k = heads(linear(x, weights, prefix + "k_proj"), kv_count)
        v = heads(linear(x, weights, prefix + "v_proj"), kv_count)
        if self.family in ("qwen3", "qwen3_moe"):
            q = rms(q, config["rms_norm_eps"]) * weights[prefix + "q_norm.weight"]
            k = rms(k, config["rms_norm_eps"]) * weights[prefix + "k_norm.weight"]
        omega, factor = frequencies(config, d)
        q, k = rotary(q, omega, factor), rotary(k, omega, factor)
        o = softmax_attention(q, k, v, d**-0.5, window)
        return linear(o.flatten(-2), weights, prefix + "o_proj")

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            return rms(x, config["rms_norm_eps"]) * weights[name + ".weight"]

        x = weights["model.embed_tokens.weight"][tokens]
        for i in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{i}."
            y = norm(x, prefix + "input_layernorm")
            window = self.window(config, i)
            x = x + self.attention(config, weights, prefix + "self_attn.", y, window)
            y = norm(x, prefix + "post_attention_layernorm")
            mixture = experts.layout(config)
            if mixture and experts.is_sparse(config, i):
                x = x + experts.mixture(mixture, weights, prefix + mixture["prefix"], y)
                continue
            gate = silu(linear(y, weights, prefix + "mlp.gate_proj"))
            y = gate * linear(y, weights, prefix + "mlp.up_proj")
            x = x + linear(y, weights, prefix + "mlp.down_proj")
        head = "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head"
        return linear(norm(x, "model.norm"), weights, head)
