"""Qwen3-Next in transformers' layout: gated delta rules, and softmax attention with gates in every fourth layer.

Norms are zero-centred, `rms(x) (1 + w)`, but for that of the recurrence's heads.
"""

import torch
import torch.nn.functional as F

from . import experts, pretrained
from .common import delta_recurrence, heads, l2norm, linear, repeat_heads, rms
from .common import short_convolution, silu

DEFAULTS = {
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "rope_parameters": None,
    "max_position_embeddings": 32768,
    "partial_rotary_factor": 0.25,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "layer_types": None,
}


class LanguageModel:
    def complete(self, config):
        config = DEFAULTS | config
        inner = config["rope_parameters"] or {}
        share = inner.get("partial_rotary_factor", config["partial_rotary_factor"])
        interval = config["full_attention_interval"]
        return config | {
            "rotated": int(config["head_dim"] * share),
            "layer_types": config["layer_types"] or [
                "linear_attention" if (i + 1) % interval else "full_attention"
                for i in range(config["num_hidden_layers"])
            ],
        }

    def is_zero_centred(self, name):
        return name.endswith(("layernorm.weight", "q_norm.weight", "k_norm.weight", "model.norm.weight"))

    def sizes(self, config):
        """Heads of keys and of values of the recurrence, numbers of a key and of a value."""
        return (
            config["linear_num_key_heads"], config["linear_num_value_heads"],
            config["linear_key_head_dim"], config["linear_value_head_dim"],
        )

    def parameter_shapes(self, config):
        config = self.complete(config)
        d, head = config["hidden_size"], config["head_dim"]
        shapes = {"model.embed_tokens.weight": (config["vocab_size"], d)}

        def projection(name, rows, columns, has_bias=False):
            shapes[name + ".weight"] = (rows, columns)
            if has_bias:
                shapes[name + ".bias"] = (rows,)

        for i, kind in enumerate(config["layer_types"]):
            prefix = f"model.layers.{i}."
            shapes[prefix + "input_layernorm.weight"] = (d,)
            if kind == "full_attention":
                own, bias = prefix + "self_attn.", config["attention_bias"]
                count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
                projection(own + "q_proj", 2 * count * head, d, bias)
                projection(own + "k_proj", kv_count * head, d, bias)
                projection(own + "v_proj", kv_count * head, d, bias)
                projection(own + "o_proj", d, count * head, bias)
                shapes[own + "q_norm.weight"] = (head,)
                shapes[own + "k_norm.weight"] = (head,)
            else:
                own = prefix + "linear_attn."
                count, v_count, key, value = self.sizes(config)
                mixed = 2 * count * key + v_count * value
                projection(own + "in_proj_qkvz", mixed + v_count * value, d)
                projection(own + "in_proj_ba", 2 * v_count, d)
                shapes[own + "conv1d.weight"] = (mixed, 1, config["linear_conv_kernel_dim"])
                shapes[own + "A_log"] = (v_count,)
                shapes[own + "dt_bias"] = (v_count,)
                shapes[own + "norm.weight"] = (value,)
                projection(own + "out_proj", d, v_count * value)
            shapes[prefix + "post_attention_layernorm.weight"] = (d,)
            mixture = experts.layout(config)
            if experts.is_sparse(config, i):
                for name, shape in experts.shapes(mixture, d).items():
                    shapes[prefix + mixture["prefix"] + name] = shape
                continue
            inner = config["intermediate_size"]
            projection(prefix + "mlp.gate_proj", inner, d)
            projection(prefix + "mlp.up_proj", inner, d)
            projection(prefix + "mlp.down_proj", d, inner)
        shapes["model.norm.weight"] = (d,)
        if not config["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (config["vocab_size"], d)
        return shapes

    def recurrence(self, config, weights, prefix, x):
        count, v_count, key, value = self.sizes(config)
        shared = v_count // count
        # For each head of keys: q, k, and v and z of the heads that it serves.
        rows = heads(linear(x, weights, prefix + "in_proj_qkvz"), count)
        q, k, v, z = rows.split([key, key, shared * value, shared * value], dim=-1)
        b, a = heads(linear(x, weights, prefix + "in_proj_ba"), count).split(shared, dim=-1)
        # The convolution's channels: all q, all k, all v.
        mixed = torch.cat([part.flatten(-2) for part in (q, k, v)], dim=-1)
        mixed = short_convolution(mixed, weights[prefix + "conv1d.weight"], silu)
        q, k, v = mixed.split([count * key, count * key, v_count * value], dim=-1)
        q, k = (repeat_heads(l2norm(heads(part, count)), shared) for part in (q, k))
        step = F.softplus(a.flatten(-2) + weights[prefix + "dt_bias"])
        log_decay = -torch.exp(weights[prefix + "A_log"]) * step
        o = delta_recurrence(
            q, k, heads(v, v_count), torch.sigmoid(b.flatten(-2)), log_decay, scale=key**-0.5
        )
        o = rms(o, config["rms_norm_eps"]) * weights[prefix + "norm.weight"]
        o = o * silu(heads(z.flatten(-2), v_count))
        return linear(o.flatten(-2), weights, prefix + "out_proj")

    def attention(self, config, weights, prefix, x):
        count, kv_count, d, rotated = (
            config[key]
            for key in ("num_attention_heads", "num_key_value_heads", "head_dim", "rotated")
        )
        # For each head its query, then its gate.
        q, gate = heads(linear(x, weights, prefix + "q_proj"), count).split(d, dim=-1)
        k = heads(linear(x, weights, prefix + "k_proj"), kv_count)
        v = heads(linear(x, weights, prefix + "v_proj"), kv_count)
        q = rms(q, config["rms_norm_eps"]) * (1 + weights[prefix + "q_norm.weight"])
        k = rms(k, config["rms_norm_eps"]) * (1 + weights[prefix + "k_norm.weight"])
        omega, factor = pretrained.frequencies(config, rotated)
        turning = 2 * len(omega)
        q, k = (
            torch.cat([pretrained.rotary(part[..., :turning], omega, factor), part[..., turning:]], -1)
            for part in (q, k)
        )
        o = pretrained.softmax_attention(q, k, v, d**-0.5)
        return linear((o * torch.sigmoid(gate)).flatten(-2), weights, prefix + "o_proj")

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            return rms(x, config["rms_norm_eps"]) * (1 + weights[name + ".weight"])

        x = weights["model.embed_tokens.weight"][tokens]
        mixture = experts.layout(config)
        for i, kind in enumerate(config["layer_types"]):
            prefix = f"model.layers.{i}."
            y = norm(x, prefix + "input_layernorm")
            if kind == "full_attention":
                x = x + self.attention(config, weights, prefix + "self_attn.", y)
            else:
                x = x + self.recurrence(config, weights, prefix + "linear_attn.", y)
            y = norm(x, prefix + "post_attention_layernorm")
            if experts.is_sparse(config, i):
                x = x + experts.mixture(mixture, weights, prefix + mixture["prefix"], y)
            else:
                x = x + experts.gated(y, weights, prefix + "mlp.", ("gate_proj", "up_proj", "down_proj"))
        head = "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head"
        return linear(norm(x, "model.norm"), weights, head)
