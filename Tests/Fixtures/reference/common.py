"""Pieces that several reference models share. Every tensor is float64.

Letters: B batch, T tokens, H heads, K key dimension, V value dimension.
"""

import torch
import torch.nn.functional as F


def product(x, weight):
    """`x Wᵀ`; `conditions.py` puts another in its place."""
    return x @ weight.T


def stored(x):
    """A result that may be kept in few bits; `conditions.py` puts another in its place."""
    return x


def linear(x, weights, name):
    """`x Wᵀ + b`; the bias is used when the model has one."""
    y = product(x, weights[name + ".weight"])
    bias = weights.get(name + ".bias")
    return y if bias is None else y + bias


def silu(x):
    return x * torch.sigmoid(x)


def rms(x, eps):
    """`x / sqrt(mean(x²) + eps)` over the last dimension, without a weight."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)


def l2norm(x):
    """`x / sqrt(Σ x² + 1e-6)` over the last dimension."""
    return stored(x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6))


def heads(x, count):
    """[B, T, H·d] → [B, T, H, d]."""
    return x.reshape(*x.shape[:-1], count, -1)


def repeat_heads(x, times):
    """Head j becomes heads j·times … j·times + times − 1."""
    return x if times == 1 else x.repeat_interleave(times, dim=2)


def short_convolution(x, weight, activation):
    """Causal convolution of each channel: `y[t] = act(Σ_j w[c, 0, j] · x[t − W + 1 + j])`.

    x [B, T, C], weight [C, 1, W]; before the first token x is zero.
    """
    batch, tokens, channels = x.shape
    width = weight.shape[-1]
    outputs = []
    for t in range(tokens):
        y = torch.zeros(batch, channels, dtype=x.dtype)
        for j in range(width):
            source = t - width + 1 + j
            if source >= 0:
                y = y + weight[:, 0, j] * x[:, source]
        outputs.append(activation(y))
    return stored(torch.stack(outputs, dim=1))


def rotary(x, base):
    """Rotary embedding of the two halves of each head, x [B, T, H, d], positions from 0.

    `[a, b] → [a cos − b sin, b cos + a sin]` with the angle `t · base^(−2i/d)`.
    """
    tokens, d = x.shape[1], x.shape[-1]
    frequency = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    outputs = []
    for t in range(tokens):
        cosine, sine = torch.cos(t * frequency), torch.sin(t * frequency)
        a, b = x[:, t, :, : d // 2], x[:, t, :, d // 2 :]
        outputs.append(torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1))
    return stored(torch.stack(outputs, dim=1))


def decay_recurrence(q, k, v, log_decay, scale):
    """`S_t = diag(e^{g_t}) S_{t−1} + k_tᵀ v_t`, `o_t = scale · q_t S_t`.

    q, k [B, T, H, K]; v [B, T, H, V]; log_decay [B, T, H, K] or a shape that broadcasts to it.
    """
    batch, tokens, count, key = q.shape
    log_decay = log_decay.expand(batch, tokens, count, key)
    state = torch.zeros(batch, count, key, v.shape[-1], dtype=q.dtype)
    outputs = []
    for t in range(tokens):
        state = torch.exp(log_decay[:, t]).unsqueeze(-1) * state
        state = state + k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        outputs.append(scale * (q[:, t].unsqueeze(-1) * state).sum(-2))
    return torch.stack(outputs, dim=1)


def delta_recurrence(q, k, v, beta, log_decay, scale):
    """`S' = e^{g_t} S_{t−1}`, `S_t = S' + β_t k_tᵀ (v_t − k_t S')`, `o_t = scale · q_t S_t`.

    q, k [B, T, H, K]; v [B, T, H, V]; beta [B, T, H]; log_decay [B, T, H] or [B, T, H, K], or None for no
    decay.
    """
    batch, tokens, count, key = q.shape
    if log_decay is not None and log_decay.dim() == 3:
        log_decay = log_decay.unsqueeze(-1)
    state = torch.zeros(batch, count, key, v.shape[-1], dtype=q.dtype)
    outputs = []
    for t in range(tokens):
        if log_decay is not None:
            state = torch.exp(log_decay[:, t])[..., None] * state
        kt, vt = k[:, t].unsqueeze(-1), v[:, t].unsqueeze(-2)
        seen = (kt * state).sum(-2, keepdim=True)
        state = state + beta[:, t][..., None, None] * kt * (vt - seen)
        outputs.append(scale * (q[:, t].unsqueeze(-1) * state).sum(-2))
    return torch.stack(outputs, dim=1)


def next_token_loss(logits, tokens):
    """Mean cross entropy of token t + 1 given the logits at t; the last token has no target."""
    logits, targets = logits[:, :-1], tokens[:, 1:]
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


FEATURE_MAPS = {
    None: lambda x: x,
    "relu": torch.relu,
    "silu": silu,
    "swish": silu,
    "sigmoid": torch.sigmoid,
}


def gated_norm_name(config):
    """The name of retnet's and gla's output norm, which depends on how they would compute it."""
    fused = config["fuse_norm"] and config["use_output_gate"]
    return "g_norm_swish_gate" if fused else "g_norm"


def gated_norm(config, weights, prefix, o, x):
    """Norm of each head of o [B, T, H, V], times `swish(x W_g)` if gated → [B, T, H·V]."""
    o = rms(o, config["norm_eps"]) * weights[prefix + gated_norm_name(config) + ".weight"]
    o = o.flatten(-2)
    if config["use_output_gate"]:
        o = o * silu(linear(x, weights, prefix + "g_proj"))
    return o
