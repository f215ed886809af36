"""Kimi Linear in transformers' layout: Kimi Delta Attention, and latent attention without positions in some layers."""

import torch
import torch.nn.functional as F

from . import experts, pretrained
from .common import delta_recurrence, heads, l2norm, linear, rms
from .common import short_convolution, silu

DEFAULTS = {
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "q_lora_rank": None,
    "layer_types": None,
    "mlp_layer_types": None,
    "first_k_dense_replace": 1,
}
# Of the norms of latents.
LATENT_EPS = 1e-6


class LanguageModel:
    def complete(self, config):
        """One spelling of everything."""
        config = DEFAULTS | config
        depth, own = config["num_hidden_layers"], config.get("linear_attn_config", {})
        kinds = config["layer_types"]
        if not kinds and "full_attn_layers" in own:
            full = own["full_attn_layers"]
            kinds = ["full_attention" if i + 1 in full else "linear_attention" for i in range(depth)]
        return config | {
            "layer_types": kinds or [
                "full_attention" if i and i % 4 == 0 else "linear_attention" for i in range(depth)
            ],
            "mlp_layer_types": config["mlp_layer_types"] or [
                "dense" if i < config["first_k_dense_replace"] else "sparse" for i in range(depth)
            ],
            "linear_num_heads": own.get("num_heads", config.get("linear_num_heads", 32)),
            "linear_head_dim": own.get("head_dim", config.get("linear_head_dim", 128)),
            "linear_conv_kernel_dim": own.get(
                "short_conv_kernel_size", config.get("linear_conv_kernel_dim", 4)
            ),
        }

    def parameter_shapes(self, config):
        config = self.complete(config)
        d = config["hidden_size"]
        shapes = {"model.embed_tokens.weight": (config["vocab_size"], d)}

        def projection(name, rows, columns, has_bias=False):
            shapes[name + ".weight"] = (rows, columns)
            if has_bias:
                shapes[name + ".bias"] = (rows,)

        for i, kind in enumerate(config["layer_types"]):
            prefix = f"model.layers.{i}."
            own = prefix + "self_attn."
            shapes[prefix + "input_layernorm.weight"] = (d,)
            if kind == "full_attention":
                count, r, s = (
                    config[key] for key in ("num_attention_heads", "kv_lora_rank", "qk_rope_head_dim")
                )
                key, value = config["qk_nope_head_dim"], config["v_head_dim"]
                bias, ql = config["attention_bias"], config["q_lora_rank"]
                if ql:
                    projection(own + "q_a_proj", ql, d, bias)
                    shapes[own + "q_a_layernorm.weight"] = (ql,)
                    projection(own + "q_b_proj", count * (key + s), ql)
                else:
                    projection(own + "q_proj", count * (key + s), d)
                projection(own + "kv_a_proj_with_mqa", r + s, d, bias)
                shapes[own + "kv_a_layernorm.weight"] = (r,)
                projection(own + "kv_b_proj", count * (key + value), r)
                projection(own + "o_proj", d, count * value, bias)
            else:
                count, key = config["linear_num_heads"], config["linear_head_dim"]
                for letter in "qkv":
                    projection(f"{own}{letter}_proj", count * key, d)
                    shapes[f"{own}{letter}_conv1d.weight"] = (
                        count * key, 1, config["linear_conv_kernel_dim"]
                    )
                projection(own + "f_a_proj", key, d)
                projection(own + "f_b_proj", count * key, key)
                shapes[own + "dt_bias"] = (count * key,)
                shapes[own + "A_log"] = (1, 1, count, 1)
                projection(own + "b_proj", count, d)
                projection(own + "g_a_proj", key, d)
                projection(own + "g_b_proj", count * key, key)
                shapes[own + "o_norm.weight"] = (key,)
                projection(own + "o_proj", d, count * key)
            shapes[prefix + "post_attention_layernorm.weight"] = (d,)
            if config["mlp_layer_types"][i] == "sparse":
                mixture = experts.layout(config)
                for name, shape in experts.shapes(mixture, d).items():
                    shapes[prefix + mixture["prefix"] + name] = shape
                continue
            inner = config["intermediate_size"]
            projection(prefix + "mlp.gate_proj", inner, d)
            projection(prefix + "mlp.up_proj", inner, d)
            projection(prefix + "mlp.down_proj", d, inner)
        shapes["model.norm.weight"] = (d,)
        shapes["lm_head.weight"] = (config["vocab_size"], d)
        return shapes

    def recurrence(self, config, weights, prefix, x):
        count, key = config["linear_num_heads"], config["linear_head_dim"]

        def project(letter):
            y = linear(x, weights, f"{prefix}{letter}_proj")
            y = short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], silu)
            return heads(y, count)

        def stacked(letter):
            y = linear(x, weights, f"{prefix}{letter}_a_proj")
            return linear(y, weights, f"{prefix}{letter}_b_proj")

        step = F.softplus(heads(stacked("f") + weights[prefix + "dt_bias"], count))
        log_decay = -torch.exp(weights[prefix + "A_log"].reshape(count, 1)) * step
        beta = torch.sigmoid(linear(x, weights, prefix + "b_proj"))
        o = delta_recurrence(
            l2norm(project("q")), l2norm(project("k")), project("v"), beta, log_decay,
            scale=key**-0.5,
        )
        o = rms(o, config["rms_norm_eps"]) * weights[prefix + "o_norm.weight"]
        o = o * torch.sigmoid(heads(stacked("g"), count))
        return linear(o.flatten(-2), weights, prefix + "o_proj")

    def attention(self, config, weights, prefix, x):
        """Keys and values of all heads from a latent, and a key that all share."""
        count, r, key = (
            config[name] for name in ("num_attention_heads", "kv_lora_rank", "qk_nope_head_dim")
        )
        s = config["qk_rope_head_dim"]
        if config["q_lora_rank"]:
            y = rms(linear(x, weights, prefix + "q_a_proj"), LATENT_EPS)
            q = linear(y * weights[prefix + "q_a_layernorm.weight"], weights, prefix + "q_b_proj")
        else:
            q = linear(x, weights, prefix + "q_proj")
        latent, shared = linear(x, weights, prefix + "kv_a_proj_with_mqa").split([r, s], dim=-1)
        latent = rms(latent, LATENT_EPS) * weights[prefix + "kv_a_layernorm.weight"]
        k, v = heads(linear(latent, weights, prefix + "kv_b_proj"), count).split(
            [key, config["v_head_dim"]], dim=-1
        )
        k = torch.cat([k, shared.unsqueeze(2).expand(*k.shape[:3], s)], dim=-1)
        o = pretrained.softmax_attention(heads(q, count), k, v, (key + s) ** -0.5)
        return linear(o.flatten(-2), weights, prefix + "o_proj")

    def forward(self, config, weights, tokens):
        """Logits [B, T, vocabulary]."""
        config = self.complete(config)

        def norm(x, name):
            return rms(x, config["rms_norm_eps"]) * weights[name + ".weight"]

        x = weights["model.embed_tokens.weight"][tokens]
        mixture = experts.layout(config)
        for i, kind in enumerate(config["layer_types"]):
            prefix = f"model.layers.{i}."
            y = norm(x, prefix + "input_layernorm")
            mix = self.attention if kind == "full_attention" else self.recurrence
            x = x + mix(config, weights, prefix + "self_attn.", y)
            y = norm(x, prefix + "post_attention_layernorm")
            if config["mlp_layer_types"][i] == "sparse":
                x = x + experts.mixture(mixture, weights, prefix + mixture["prefix"], y)
            else:
                x = x + experts.gated(y, weights, prefix + "mlp.", ("gate_proj", "up_proj", "down_proj"))
        return linear(norm(x, "model.norm"), weights, "lm_head")
