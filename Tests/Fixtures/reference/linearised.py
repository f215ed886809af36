"""Pretrained Transformers in which something else stands in for the softmax of attention: Liger, LoLCATs, Hedgehog, T2R,
SUPRA, Lizard.

`LanguageModel(method, family)` is one of them. Sums over keys are written out, query by query and key by key.
"""

import torch
import torch.nn.functional as F

from . import common, pretrained
from .common import decay_recurrence, heads, linear, repeat_heads, rms

FEATURES = {
    "feature_dim": None,
    "feature_map_bias": False,
    "feature_map_skip_connection": False,
}

METHODS = {
    "liger_gla": {"pool_size": None, "liger_window": 64},
    "liger_hgrn2": {"pool_size": None, "liger_window": 64},
    "liger_gsa": {"pool_size": None, "liger_window": 64},
    "lolcats": FEATURES
    | {
        "feature_map": "softmax_dim",
        "attention_window": 64,
        "attention_window_kind": "sliding",
        "affine_attention_factors": False,
    },
    "hedgehog": FEATURES | {"feature_map": "softmax_dim"},
    "t2r": FEATURES | {"feature_map": "relu", "feature_map_bias": True},
    "supra": {"feature_dim": None, "decay": "slopes", "qk_norm": False},
    "lizard": FEATURES | {"feature_map": "exp_dim", "attention_window": 128, "meta_tokens": 4},
}


# Families whose attention something may stand in for.
LINEARISED = ("llama", "mistral", "qwen2", "qwen3")


def model_types():
    """Every `model_type`, with its method and family."""
    types = {}
    for method in METHODS:
        for family in LINEARISED:
            name = f"{method}_{family}"
            if method.startswith("liger"):
                middle = {"llama": "", "mistral": "mistral_", "qwen2": "qwen25_", "qwen3": "qwen3_"}
                name = "liger_" + middle[family] + method.removeprefix("liger_")
            types[name] = (method, family)
    return types


def features(x, weights, name, config):
    """Positive features of every head; x [B, T, H, d]."""
    u = x
    if config["feature_map"] != "elu":
        u = torch.einsum("bthd,hdf->bthf", x, weights[name + ".layer"])
        if config["feature_map_bias"]:
            u = u + weights[name + ".bias"].reshape(-1, 1)
        if config["feature_map_skip_connection"]:
            u = u + x
    match config["feature_map"]:
        case "softmax_dim":
            y = torch.cat([torch.softmax(u, -1), torch.softmax(-u, -1)], -1)
        case "exp_dim":
            high, low = u.amax(-1, keepdim=True), u.amin(-1, keepdim=True)
            y = torch.cat([torch.exp(u - high), torch.exp(low - u)], -1)
        case "relu":
            y = torch.relu(u)
        case "elu":
            y = F.elu(u) + 1
    return common.stored(y.clamp(min=1e-12))


def softmax_attention(q, k, v, window):
    """Over the last `window` tokens; q, k, v [B, T, H, d]."""
    outputs = []
    for t in range(q.shape[1]):
        first = max(0, t + 1 - window)
        scores = (q[:, t : t + 1] * k[:, first : t + 1]).sum(-1) * q.shape[-1] ** -0.5
        shares = torch.softmax(scores, dim=1).unsqueeze(-1)
        outputs.append((shares * v[:, first : t + 1]).sum(1))
    return torch.stack(outputs, dim=1)


def slots(q, k, v, g):
    """Gated slot attention; q, k [B, T, H, K], v [B, T, H, V], g [B, T, H, M]."""
    batch, tokens, count, slot_count = g.shape
    keys = torch.zeros(batch, count, slot_count, k.shape[-1], dtype=q.dtype)
    values = torch.zeros(batch, count, slot_count, v.shape[-1], dtype=q.dtype)
    outputs = []
    for t in range(tokens):
        stays = torch.exp(g[:, t]).unsqueeze(-1)
        keys = stays * keys + (1 - stays) * k[:, t].unsqueeze(-2)
        values = stays * values + (1 - stays) * v[:, t].unsqueeze(-2)
        shares = torch.softmax((keys * q[:, t].unsqueeze(-2)).sum(-1), -1).unsqueeze(-1)
        outputs.append((shares * values).sum(-2))
    return torch.stack(outputs, dim=1)


class LanguageModel(pretrained.LanguageModel):
    """A method, and the family of the Transformer that it was applied to."""

    def __init__(self, method, family):
        super().__init__(family)
        self.method = method

    def complete(self, config):
        config = super().complete(METHODS[self.method] | {"attn": None} | config)
        head = config["head_dim"]
        for key in ("feature_dim", "pool_size"):
            config[key] = config.get(key) or head
        if config.get("feature_map") == "elu":
            config["feature_dim"] = head
        return config

    def is_attention(self, config, layer):
        return config["attn"] is not None and layer in config["attn"]["layers"]

    def parameter_shapes(self, config):
        shapes = super().parameter_shapes(config)
        config = self.complete(config)
        count, kv_count, d = (
            config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim")
        )
        f = config["feature_dim"]
        for i in range(config["num_hidden_layers"]):
            if self.is_attention(config, i):
                continue
            prefix = f"model.layers.{i}.self_attn."
            if "feature_map" in config and config["feature_map"] != "elu":
                for letter in "qk":
                    name = f"{prefix}feature_map_{letter}.mlp"
                    shapes[name + ".layer"] = (count, d, f)
                    if config["feature_map_bias"]:
                        shapes[name + ".bias"] = (1, count, 1, 1)
            if self.method == "lolcats":
                shapes[prefix + "window_factors"] = (1, count, 1, 1)
            if self.method == "supra":
                shapes[prefix + "_totrain_embed.weight"] = (count * f, count * d)
                shapes[prefix + "_totrain_embed.bias"] = (count * f,)
                if kv_count != count:
                    shapes[prefix + "_totrain_embed_kv.weight"] = (kv_count * f, kv_count * d)
                    shapes[prefix + "_totrain_embed_kv.bias"] = (kv_count * f,)
                if config["qk_norm"]:
                    shapes[prefix + "_totrain_q_norm.weight"] = (count * f,)
                    shapes[prefix + "_totrain_k_norm.weight"] = (count * f,)
            if self.method == "lizard":
                shapes[prefix + "gate_proj.weight"] = (count, config["hidden_size"])
                if config["meta_tokens"]:
                    shapes[prefix + "meta_keys"] = (config["meta_tokens"], count, d)
                    shapes[prefix + "meta_values"] = (config["meta_tokens"], count, d)
                shapes[prefix + "mixing_weight"] = (1,)
        return shapes

    def attention(self, config, weights, prefix, x, window):
        if self.is_attention(config, int(prefix.split(".")[2])):
            return super().attention(config, weights, prefix, x, window)
        count, kv_count, d = (
            config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim")
        )
        q = heads(linear(x, weights, prefix + "q_proj"), count)
        k = heads(linear(x, weights, prefix + "k_proj"), kv_count)
        v = heads(linear(x, weights, prefix + "v_proj"), kv_count)
        if self.family == "qwen3":
            q = rms(q, config["rms_norm_eps"]) * weights[prefix + "q_norm.weight"]
            k = rms(k, config["rms_norm_eps"]) * weights[prefix + "k_norm.weight"]
        group = count // kv_count
        form = getattr(self, self.method.split("_")[0])
        o = form(config, weights, prefix, x, q, k, repeat_heads(v, group), group)
        return linear(o.flatten(-2), weights, prefix + "o_proj")

    def rotated(self, config, x):
        return pretrained.rotary(x, *pretrained.frequencies(config, x.shape[-1]))

    def liger(self, config, weights, prefix, x, q, k, v, group):
        kv_count, size = config["num_key_value_heads"], config["pool_size"]
        pooled = F.adaptive_avg_pool1d(k.flatten(-2), kv_count * size)
        pooled = repeat_heads(heads(pooled, kv_count), group)
        rotated_k = repeat_heads(self.rotated(config, k), group)
        k = repeat_heads(k, group)
        g = F.logsigmoid(pooled)
        soft_q = common.stored(torch.softmax(q, -1))
        match self.method:
            case "liger_gla":
                soft_k = common.stored(torch.softmax(k, -1))
                first = decay_recurrence(soft_q, soft_k, v, g / 16, 1)
            case "liger_hgrn2":
                kept = common.stored(1 - torch.sigmoid(pooled))
                first = decay_recurrence(soft_q, kept, v, g, 1)
            case "liger_gsa":
                first = slots(q, k, v, g / 16)
        second = softmax_attention(self.rotated(config, q), rotated_k, v, config["liger_window"])
        return 0.5 * first + 0.5 * second

    def mixed(self, config, weights, prefix, q, k, v, group, near):
        """Softmax over the keys that `near(i, j)` names, φ over the others before, one denominator."""
        q, k = self.rotated(config, q), repeat_heads(self.rotated(config, k), group)
        phi_q = features(q, weights, prefix + "feature_map_q.mlp", config)
        phi_k = features(k, weights, prefix + "feature_map_k.mlp", config)
        outputs = []
        for i in range(q.shape[1]):
            keys = range(i + 1)
            is_near = torch.tensor([near(i, j) for j in keys])
            scores = (q[:, i : i + 1] * k[:, : i + 1]).sum(-1) * q.shape[-1] ** -0.5
            products = (phi_q[:, i : i + 1] * phi_k[:, : i + 1]).sum(-1)
            share, rest = 0, 1
            e = torch.zeros_like(scores)
            if is_near.any():
                share = torch.sigmoid(weights[prefix + "window_factors"]).reshape(-1)
                rest = 1 - share if config["affine_attention_factors"] else 1
                m = scores[:, is_near].amax(1, keepdim=True)
                e[:, is_near] = share * torch.exp(scores[:, is_near] - m)
            far = (~is_near)[None, :, None] * rest * products
            total = e + far
            epsilon = 0 if is_near.any() else 1e-12
            o = (total.unsqueeze(-1) * v[:, : i + 1]).sum(1)
            outputs.append(o / (total.sum(1).unsqueeze(-1) + epsilon))
        return torch.stack(outputs, dim=1)

    def lolcats(self, config, weights, prefix, x, q, k, v, group):
        w = config["attention_window"]
        if config["attention_window_kind"] == "sliding":
            near = lambda i, j: i - j < w
        else:
            near = lambda i, j: i // w - j // w <= 1
        return self.mixed(config, weights, prefix, q, k, v, group, near)

    def hedgehog(self, config, weights, prefix, x, q, k, v, group):
        return self.mixed(config, weights, prefix, q, k, v, group, lambda i, j: False)

    t2r = hedgehog

    def supra(self, config, weights, prefix, x, q, k, v, group):
        count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
        grouped = "_kv" if group > 1 else ""
        q = torch.relu(linear(q.flatten(-2), weights, prefix + "_totrain_embed"))
        k = torch.relu(linear(k.flatten(-2), weights, prefix + "_totrain_embed" + grouped))
        k = repeat_heads(heads(k, kv_count), group).flatten(-2)
        if config["qk_norm"]:
            # All heads together, keys after they were repeated; open_lm's epsilon.
            q = rms(q, 1e-5) * weights[prefix + "_totrain_q_norm.weight"]
            k = rms(k, 1e-5) * weights[prefix + "_totrain_k_norm.weight"]
        q, k = self.rotated(config, heads(q, count)), self.rotated(config, heads(k, count))
        head = torch.arange(count, dtype=torch.float64)
        match config["decay"]:
            case "slopes":
                g = -(2.0 ** (-8 * (head + 1) / count))
            case "retnet":
                g = torch.log1p(-(2.0 ** (-5 - head)))
            case "none":
                g = torch.zeros(count, dtype=torch.float64)
        scale = config["feature_dim"] ** -0.5
        o = decay_recurrence(q, k, v, g[None, None, :, None], scale)
        mean = o.mean(-1, keepdim=True)
        return (o - mean) * torch.rsqrt(o.var(-1, keepdim=True, correction=0) + 1e-5)

    def lizard(self, config, weights, prefix, x, q, k, v, group):
        phi_q = features(q, weights, prefix + "feature_map_q.mlp", config)
        phi_k = features(repeat_heads(k, group), weights, prefix + "feature_map_k.mlp", config)
        g = F.logsigmoid(linear(x, weights, prefix + "gate_proj")).unsqueeze(-1)
        ones = torch.cat([v, torch.ones_like(v[..., :1])], -1)
        sums = decay_recurrence(phi_q, phi_k, ones, g, 1)
        first = sums[..., :-1] / (sums[..., -1:] + 1e-12)
        q, k = self.rotated(config, q), repeat_heads(self.rotated(config, k), group)
        outputs = []
        for i in range(q.shape[1]):
            start = max(0, i + 1 - config["attention_window"])
            keys, values = k[:, start : i + 1], v[:, start : i + 1]
            if config["meta_tokens"]:
                batch = (q.shape[0], -1, -1, -1)
                keys = torch.cat([weights[prefix + "meta_keys"].expand(batch), keys], 1)
                values = torch.cat([weights[prefix + "meta_values"].expand(batch), values], 1)
            scores = (q[:, i : i + 1] * keys).sum(-1) * q.shape[-1] ** -0.5
            outputs.append((torch.softmax(scores, 1).unsqueeze(-1) * values).sum(1))
        return first + weights[prefix + "mixing_weight"] * torch.stack(outputs, dim=1)
