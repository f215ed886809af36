"""MoM (arXiv 2502.13685): tokens are routed to memories, each a recurrence over the tokens that go there.

Token by token, memory by memory; a memory reads its tokens, and convolves them, as a sequence of their own.
"""

import torch
import torch.nn.functional as F

from . import experts
from .common import decay_recurrence, delta_recurrence, heads, l2norm, linear, rms
from .common import short_convolution, silu

DEFAULTS = {
    "num_heads": 4,
    "head_dim": 256,
    "expand_v": 1.0,
    "num_memories": 4,
    "topk": 2,
    "shared_mem": True,
    "single_kv_proj": False,
    "use_output_gate": True,
    "conv_size": 4,
    "aux_loss_scale": 0.01,
    "mom_backend": "gated_deltanet",
}

SHARED = "shared"


def sizes(config):
    """Heads, key and value size of a head."""
    return config["num_heads"], config["head_dim"], int(config["head_dim"] * config["expand_v"])


def names(config, letter, memory, part=""):
    """The name of a memory's projection."""
    if config["single_kv_proj"] or memory == SHARED:
        return f"shared_{letter}{part}"
    return f"{letter}_proj.{memory}{part}"


def memories(config):
    return list(range(config["num_memories"])) + ([SHARED] if config["shared_mem"] else [])


def parameter_shapes(config):
    d = config["hidden_size"]
    count, key, value = sizes(config)
    kind = config["mom_backend"]
    parts = {("k", ""): (count * key, d), ("v", ""): (count * value, d)}
    if kind == "gated_deltanet":
        parts |= {("b", ""): (count, d), ("a", ""): (count, d)}
    if kind == "gla":
        parts |= {("gk", ".0"): (16, d), ("gk", ".1"): (count * key, 16)}
    shapes = {"gate.weight": (config["num_memories"], d), "q_proj.weight": (count * key, d)}
    for (letter, part), shape in parts.items():
        for memory in memories(config):
            shapes[names(config, letter, memory, part) + ".weight"] = shape
    if kind == "gated_deltanet":
        shapes |= {"A_log": (count,), "dt_bias": (count,)}
    if kind == "gla":
        shapes["gk_bias"] = (count * key,)
    for letter, width in {"q": key, "k": key, "v": value}.items():
        shapes[f"{letter}_conv1d.weight"] = (count * width, 1, config["conv_size"])
    if config["use_output_gate"]:
        shapes["g_proj.weight"] = (count * value, d)
    shapes["o_norm.weight"] = (value,)
    shapes["o_proj.weight"] = (d, count * value)
    return shapes


def read(config, weights, prefix, x, memory):
    """The outputs of one memory, which reads x [1, tokens, D]: [1, tokens, H, V]."""
    count, key, _ = sizes(config)

    def project(letter, part="", of=x):
        return linear(of, weights, prefix + names(config, letter, memory, part))

    def convolved(letter, y):
        y = short_convolution(y, weights[f"{prefix}{letter}_conv1d.weight"], silu)
        return heads(y, count)

    q = convolved("q", linear(x, weights, prefix + "q_proj"))
    k, v = convolved("k", project("k")), convolved("v", project("v"))
    kind = config["mom_backend"]
    if kind == "gated_deltanet":
        beta = torch.sigmoid(project("b"))
        step = F.softplus(project("a") + weights[prefix + "dt_bias"])
        log_decay = -torch.exp(weights[prefix + "A_log"]) * step
        return delta_recurrence(l2norm(q), l2norm(k), v, beta, log_decay, scale=key**-0.5)
    log_decay = torch.zeros(1, dtype=x.dtype)
    if kind == "gla":
        up = project("gk", ".1", of=project("gk", ".0"))
        log_decay = heads(F.logsigmoid(up + weights[prefix + "gk_bias"]) / 16, count)
    return decay_recurrence(q, k, v, log_decay, scale=key**-0.5)


def forward(config, weights, prefix, x):
    batch, tokens, d = x.shape
    count, _, value = sizes(config)
    # The router is never rounded.
    logits = x.flatten(0, 1) @ weights[prefix + "gate.weight"].T
    score = torch.softmax(logits, -1)
    chosen = config["topk"]
    ranked = score.detach().sort(-1, descending=True).values
    margin = torch.full(ranked.shape[:1], torch.inf, dtype=ranked.dtype)
    if chosen < ranked.shape[-1]:
        margin = ranked[:, chosen - 1] - ranked[:, chosen]
    if experts.given is not None:
        choices = experts.given.pop(0)
    else:
        choices = torch.topk(score, chosen).indices
    experts.seen.append((score, choices, torch.logsumexp(logits, -1) ** 2, margin))
    top = score.gather(-1, choices)
    top = (top / top.sum(-1, keepdim=True)).reshape(batch, tokens, chosen)
    choices = choices.reshape(batch, tokens, chosen)
    rows = []
    for b in range(batch):
        o = torch.zeros(tokens, count, value, dtype=x.dtype)
        for memory in memories(config):
            if memory == SHARED:
                o = o + read(config, weights, prefix, x[b : b + 1], memory)[0]
                continue
            own = [t for t in range(tokens) if memory in choices[b, t].tolist()]
            if not own:
                continue
            weight = torch.stack([top[b, t][choices[b, t] == memory].sum() for t in own])
            y = read(config, weights, prefix, x[b : b + 1, own], memory)[0]
            o = o.index_add(0, torch.tensor(own), weight[:, None, None] * y)
        rows.append(o)
    o = rms(torch.stack(rows), config["norm_eps"]) * weights[prefix + "o_norm.weight"]
    if config["use_output_gate"]:
        o = o * heads(silu(linear(x, weights, prefix + "g_proj")), count)
    return linear(o.flatten(-2), weights, prefix + "o_proj")
