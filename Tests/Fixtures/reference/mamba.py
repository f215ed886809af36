"""Mamba (arXiv 2312.00752): a selective scan, N states a channel."""

import torch
import torch.nn.functional as F

from .common import linear, silu
from .mamba2 import convolution

DEFAULTS = {
    "norm_eps": 1e-5,
    "state_size": 16,
    "expand": 2,
    "conv_kernel": 4,
    "use_conv_bias": True,
    "use_bias": False,
    "time_step_rank": "auto",
}


def sizes(config):
    """Channels of the scan, width that steps come from, states of a channel."""
    rank = config["time_step_rank"]
    rank = (config["hidden_size"] + 15) // 16 if rank == "auto" else rank
    return int(config["hidden_size"] * config["expand"]), rank, config["state_size"]


def parameter_shapes(config):
    d = config["hidden_size"]
    inner, rank, states = sizes(config)
    shapes = {
        "in_proj.weight": (2 * inner, d),
        "conv1d.weight": (inner, 1, config["conv_kernel"]),
        "x_proj.weight": (rank + 2 * states, inner),
        "dt_proj.weight": (inner, rank),
        "dt_proj.bias": (inner,),
        "A_log": (inner, states),
        "D": (inner,),
        "out_proj.weight": (d, inner),
    }
    if config["use_conv_bias"]:
        shapes["conv1d.bias"] = (inner,)
    if config["use_bias"]:
        shapes["in_proj.bias"] = (2 * inner,)
        shapes["out_proj.bias"] = (d,)
    return shapes


def forward(config, weights, mixer, x):
    inner, rank, states = sizes(config)
    u, z = linear(x, weights, mixer + "in_proj").split([inner, inner], dim=-1)
    u = convolution(config, weights, mixer, u)
    step, b, c = linear(u, weights, mixer + "x_proj").split([rank, states, states], dim=-1)
    dt = F.softplus(linear(step, weights, mixer + "dt_proj"))
    rates = -torch.exp(weights[mixer + "A_log"])
    state = torch.zeros(x.shape[0], inner, states, dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(rates * dt[:, t, :, None])
        state = decay * state + (dt[:, t] * u[:, t]).unsqueeze(-1) * b[:, t].unsqueeze(-2)
        outputs.append((state * c[:, t].unsqueeze(-2)).sum(-1))
    y = torch.stack(outputs, dim=1) + weights[mixer + "D"] * u
    return linear(y * silu(z), weights, mixer + "out_proj")
