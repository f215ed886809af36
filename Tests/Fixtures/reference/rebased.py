"""ReBased (arXiv 2402.10644): squared dot products of normalised queries and keys, normalised by their sum."""

import torch

from .common import heads, linear

DEFAULTS = {
    "feature_dim": 16,
    "num_heads": 16,
    "num_key_value_heads": 16,
    "use_gamma": True,
    "use_beta": True,
    "normalize": True,
    "eps": 1e-5,
}


def parameter_shapes(config):
    d, width = config["hidden_size"], config["feature_dim"]
    shapes = {
        "q_proj.weight": (config["num_heads"] * width, d),
        "k_proj.weight": (config["num_heads"] * width, d),
        "v_proj.weight": (d, d),
    }
    if config["use_gamma"]:
        shapes["feature_map.gamma"] = (width,)
    if config["use_beta"]:
        shapes["feature_map.beta"] = (width,)
    shapes["o_proj.weight"] = (d, d)
    return shapes


def kernel_input(config, weights, prefix, x):
    """The polynomial's argument of each head, x [B, T, H, F]."""
    if config["normalize"]:
        x = x - x.mean(-1, keepdim=True)
        x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5)
    if config["use_gamma"]:
        x = x * weights[prefix + "feature_map.gamma"]
    if config["use_beta"]:
        x = x + weights[prefix + "feature_map.beta"]
    return x


def forward(config, weights, prefix, x):
    count, width = config["num_heads"], config["feature_dim"]
    q = kernel_input(config, weights, prefix, heads(linear(x, weights, prefix + "q_proj"), count))
    k = kernel_input(config, weights, prefix, heads(linear(x, weights, prefix + "k_proj"), count))
    v = heads(linear(x, weights, prefix + "v_proj"), count)
    outputs = []
    for t in range(x.shape[1]):
        weight = (q[:, t].unsqueeze(1) * k[:, : t + 1]).sum(-1) ** 2 / width
        o = (weight.unsqueeze(-1) * v[:, : t + 1]).sum(1)
        outputs.append(o / (weight.sum(1).unsqueeze(-1) + config["eps"]))
    return linear(torch.stack(outputs, dim=1).flatten(-2), weights, prefix + "o_proj")
