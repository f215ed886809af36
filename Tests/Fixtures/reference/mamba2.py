"""Mamba-2 (arXiv 2405.21060): a scalar decay from data."""

import torch
import torch.nn.functional as F

from .common import heads, linear, repeat_heads, rms, silu

DEFAULTS = {
    "norm_eps": 1e-5,
    "head_dim": 64,
    "state_size": 128,
    "expand": 2,
    "n_groups": 1,
    "conv_kernel": 4,
    "use_conv_bias": True,
    "use_bias": False,
    "rmsnorm": True,
    "norm_before_gate": False,
    "D_has_hdim": False,
    "dt_limit": [0.0, float("inf")],
}


def sizes(config):
    """Inner width, heads, width of all keys."""
    inner = int(config["hidden_size"] * config["expand"])
    return inner, inner // config["head_dim"], config["n_groups"] * config["state_size"]


def parameter_shapes(config):
    inner, count, keys = sizes(config)
    d, projected, mixed = config["hidden_size"], 2 * inner + 2 * keys + count, inner + 2 * keys
    shapes = {"in_proj.weight": (projected, d), "conv1d.weight": (mixed, 1, config["conv_kernel"])}
    for name in ("A_log", "dt_bias"):
        shapes[name] = (count,)
    shapes["D"] = (inner if config["D_has_hdim"] else count,)
    if config["rmsnorm"]:
        shapes["norm.weight"] = (inner,)
    shapes["out_proj.weight"] = (d, inner)
    if config["use_conv_bias"]:
        shapes["conv1d.bias"] = (mixed,)
    if config["use_bias"]:
        shapes["in_proj.bias"] = (projected,)
        shapes["out_proj.bias"] = (d,)
    return shapes


def convolution(config, weights, mixer, x):
    """Causal, of each channel, with a bias where there is one; then silu."""
    weight, width = weights[mixer + "conv1d.weight"], config["conv_kernel"]
    padded = F.pad(x, (0, 0, width - 1, 0))
    y = sum(padded[:, j : j + x.shape[1]] * weight[:, 0, j] for j in range(width))
    return silu(y + weights.get(mixer + "conv1d.bias", 0))


def grouped_norm(config, weights, mixer, y):
    """Root-mean-square norm of each group's channels; y [B, T, I]."""
    if not config["rmsnorm"]:
        return y
    y = rms(heads(y, config["n_groups"]), config["norm_eps"]).flatten(-2)
    return y * weights[mixer + "norm.weight"]


def forward(config, weights, mixer, u):
    inner, count, keys = sizes(config)
    z, x, dt = linear(u, weights, mixer + "in_proj").split(
        [inner, inner + 2 * keys, count], dim=-1
    )
    x, k, q = convolution(config, weights, mixer, x).split([inner, keys, keys], dim=-1)
    least, most = config["dt_limit"]
    dt = torch.clamp(F.softplus(dt + weights[mixer + "dt_bias"]), least, most)
    decay = torch.exp(-torch.exp(weights[mixer + "A_log"]) * dt)
    groups = config["n_groups"]
    x = heads(x, count)
    k, q = (repeat_heads(heads(y, groups), count // groups) for y in (k, q))
    state = torch.zeros(*x.shape[:1], count, k.shape[-1], x.shape[-1], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        written = dt[:, t, :, None] * k[:, t]
        state = decay[:, t, :, None, None] * state
        state = state + written.unsqueeze(-1) * x[:, t].unsqueeze(-2)
        outputs.append((q[:, t].unsqueeze(-1) * state).sum(-2))
    y = torch.stack(outputs, dim=1).flatten(-2)
    skip = weights[mixer + "D"]
    skip = skip if config["D_has_hdim"] else skip.repeat_interleave(config["head_dim"])
    y = y + skip * x.flatten(-2)
    if config["norm_before_gate"]:
        y = grouped_norm(config, weights, mixer, y) * silu(z)
    else:
        y = grouped_norm(config, weights, mixer, y * silu(z))
    return linear(y, weights, mixer + "out_proj")
