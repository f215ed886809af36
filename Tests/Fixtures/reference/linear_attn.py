"""Linear attention (arXiv 2006.16236): features of queries and keys, no decay."""

import torch
import torch.nn.functional as F

from .common import heads, linear, repeat_heads, rms

DEFAULTS = {
    "expand_k": 1.0,
    "expand_v": 1.0,
    "num_heads": 4,
    "num_kv_heads": None,
    "feature_map": "elementwise_product",
    "tie_feature_map_qk": False,
    "norm_q": False,
    "norm_k": False,
    "norm_feature_map": False,
}

# The projections of each feature map that has some, and whether they have biases.
LAYERS = {
    "elementwise_product": (["layer1", "layer2"], True),
    "hedgehog": (["layer"], True),
    "t2r": (["layer"], False),
}


def sizes(config):
    """Key and value size, heads, groups."""
    d, count = config["hidden_size"], config["num_heads"]
    groups = count // (config["num_kv_heads"] or count)
    return int(d * config["expand_k"]), int(d * config["expand_v"]), count, groups


def parameter_shapes(config):
    d = config["hidden_size"]
    key, value, count, groups = sizes(config)
    shapes = {
        "q_proj.weight": (key, d),
        "k_proj.weight": (key // groups, d),
        "v_proj.weight": (value // groups, d),
    }
    names, has_bias = LAYERS.get(config["feature_map"], ([], False))
    width = key // count
    for side in "q" if config["tie_feature_map_qk"] else "qk":
        for name in names:
            shapes[f"feature_map_{side}.{name}.weight"] = (width, width)
            if has_bias:
                shapes[f"feature_map_{side}.{name}.bias"] = (width,)
    shapes["norm.weight"] = (value // count,)
    shapes["o_proj.weight"] = (d, value)
    return shapes


def features(config, weights, name, x):
    """The feature map of each head, x [B, T, H, dk]."""
    kind = config["feature_map"]
    if kind == "identity":
        return x
    if kind == "relu":
        return torch.relu(x)
    if kind == "elu":
        return F.elu(x) + 1
    if kind == "t2r":
        return torch.relu(linear(x, weights, name + ".layer"))
    if kind == "hedgehog":
        y = 2 * linear(x, weights, name + ".layer")
        return torch.softmax(torch.cat([y, -y], dim=-1), dim=-1)
    if kind == "dpfp":
        y = torch.cat([torch.relu(x), torch.relu(-x)], dim=-1)
        return torch.cat([y * torch.roll(y, j, dims=-1) for j in range(1, 5)], dim=-1)
    return linear(x, weights, name + ".layer1") * linear(x, weights, name + ".layer2")


def forward(config, weights, prefix, x):
    _, _, count, groups = sizes(config)
    key_map = "feature_map_q" if config["tie_feature_map_qk"] else "feature_map_k"
    q = heads(linear(x, weights, prefix + "q_proj"), count)
    k = repeat_heads(heads(linear(x, weights, prefix + "k_proj"), count // groups), groups)
    v = repeat_heads(heads(linear(x, weights, prefix + "v_proj"), count // groups), groups)
    q = features(config, weights, prefix + "feature_map_q", q)
    k = features(config, weights, prefix + key_map, k)
    if config["norm_q"]:
        q = q / (q.sum(-1, keepdim=True) + 1e-4)
    if config["norm_k"]:
        k = k / (k.sum(-1, keepdim=True) + 1e-4)
    scale = q.shape[-1] ** -0.5
    state = torch.zeros(*q.shape[:1], *q.shape[2:], v.shape[-1], dtype=q.dtype)
    keys = torch.zeros_like(q[:, 0])
    outputs = []
    for t in range(q.shape[1]):
        state = state + k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        keys = keys + k[:, t]
        o = scale * (q[:, t].unsqueeze(-1) * state).sum(-2)
        if config["norm_feature_map"]:
            o = o / (scale * (q[:, t] * keys).sum(-1, keepdim=True) + 1e-10)
        outputs.append(o)
    o = torch.stack(outputs, dim=1)
    o = (rms(o, config["norm_eps"]) * weights[prefix + "norm.weight"]).flatten(-2)
    return linear(o, weights, prefix + "o_proj")
