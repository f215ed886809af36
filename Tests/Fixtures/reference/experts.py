"""Mixtures of experts: token by token, expert by expert.

Every use notes its scores and choices in `seen`, of which `loss` makes what balance costs.
"""

import torch

from . import common
from .common import linear, silu

# Of each layer of the pass at hand: scores [N, E], choices [N, k], squares of log Σ exp(logits) [N].
seen = []
# Choices of layers to come, where a pass takes over those of another; None where it chooses by itself.
given = None


def layout(config):
    """How a configuration's experts are called and chosen; None where it has none."""
    kind = config["model_type"]
    granite = kind == "granitemoehybrid"
    mixtral = granite or kind in ("mixtral", "minimax")
    count = config.get("num_local_experts" if mixtral else "num_experts", 0)
    if not count:
        return None
    pretrained = mixtral or kind.endswith("_moe")
    asked = config.get("output_router_logits", False) or not pretrained
    usual = 0.001 if pretrained else 0
    return {
        "count": count,
        # Whether a tensor has all experts' gates, then what they gate, and another what they end in.
        "fused": granite,
        "chosen": config.get("num_experts_per_tok", 2),
        "prefix": "block_sparse_moe." if mixtral else "mlp.",
        "names": ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj"),
        "width": config["intermediate_size"] if mixtral else config["moe_intermediate_size"],
        "shared": config.get("shared_expert_intermediate_size"),
        "shared_gate": kind == "qwen2_moe" or config.get("shared_expert_gate", False),
        "score": config.get("scoring_func", "softmax"),
        "renormalized": mixtral or config.get("norm_topk_prob", not pretrained),
        "balance": config.get("router_aux_loss_coef", usual) if asked else 0,
        "z_loss": config.get("router_z_loss_coef", 0),
    }


def is_sparse(config, layer):
    """Whether a layer has experts."""
    step, without = config.get("decoder_sparse_step", 1), config.get("mlp_only_layers", [])
    return layer not in without and (layer + 1) % step == 0


def shapes(options, d):
    """The tensors behind a layer's prefix."""
    gate, up, down = options["names"]
    width, shared = options["width"], options["shared"]
    if options["fused"]:
        return {
            "router.layer.weight": (options["count"], d),
            "input_linear.weight": (options["count"], 2 * width, d),
            "output_linear.weight": (options["count"], d, width),
        }
    found = {"gate.weight": (options["count"], d)}
    for e in range(options["count"]):
        found[f"experts.{e}.{gate}.weight"] = (width, d)
        found[f"experts.{e}.{up}.weight"] = (width, d)
        found[f"experts.{e}.{down}.weight"] = (d, width)
    if shared:
        found["shared_expert.gate_proj.weight"] = (shared, d)
        found["shared_expert.up_proj.weight"] = (shared, d)
        found["shared_expert.down_proj.weight"] = (d, shared)
        if options["shared_gate"]:
            found["shared_expert_gate.weight"] = (1, d)
    return found


def gated(x, weights, prefix, names):
    gate, up, down = (prefix + name for name in names)
    return linear(silu(linear(x, weights, gate)) * linear(x, weights, up), weights, down)


def expert(options, weights, prefix, index, x):
    """What one expert makes of a token."""
    if not options["fused"]:
        return gated(x, weights, f"{prefix}experts.{index}.", options["names"])
    both = common.product(x, weights[prefix + "input_linear.weight"][index])
    gate, up = both.chunk(2, dim=-1)
    return common.product(silu(gate) * up, weights[prefix + "output_linear.weight"][index])


def mixture(options, weights, prefix, x):
    """Σ over the chosen of weight · expert(x), and what all tokens take; x [B, T, D]."""
    rows = x.flatten(0, 1)
    # The router is never rounded.
    router = "router.layer.weight" if options["fused"] else "gate.weight"
    logits = rows @ weights[prefix + router].T
    score = torch.sigmoid(logits) if options["score"] == "sigmoid" else torch.softmax(logits, -1)
    choices = given.pop(0) if given is not None else torch.topk(score, options["chosen"]).indices
    top = score.gather(-1, choices)
    seen.append((score, choices, torch.logsumexp(logits, -1) ** 2))
    if options["renormalized"]:
        top = top / top.sum(-1, keepdim=True)
    outputs = []
    for row, factors, chosen in zip(rows, top, choices):
        parts = [
            factor * expert(options, weights, prefix, index, row)
            for factor, index in zip(factors, chosen.tolist())
        ]
        outputs.append(sum(parts))
    y = torch.stack(outputs).reshape(x.shape)
    if options["shared"]:
        shared = gated(
            x, weights, prefix + "shared_expert.", ("gate_proj", "up_proj", "down_proj")
        )
        if options["shared_gate"]:
            shared = torch.sigmoid(linear(x, weights, prefix + "shared_expert_gate")) * shared
        y = y + shared
    return y


def loss(config):
    """What the layers since the last call add to the loss: `E Σ f_e P_e` and the z-loss, over the rows of all layers."""
    options = layout(config)
    layers, seen[:] = list(seen), []
    if not options or not layers:
        return 0.0
    count = options["count"]
    scores = torch.cat([layer[0] for layer in layers])
    choices = torch.cat([layer[1] for layer in layers])
    frequency = torch.bincount(choices.flatten(), minlength=count).double() / scores.shape[0]
    balance = count * (frequency * scores.mean(0)).sum()
    squares = torch.cat([layer[2] for layer in layers])
    return options["balance"] * balance + options["z_loss"] * squares.mean()


def margin(config):
    """How far the nearest decision of the layers since the last call is from another."""
    options = layout(config)
    if not options or not seen:
        return float("inf")
    scores = torch.cat([layer[0] for layer in seen]).sort(-1, descending=True).values
    chosen = options["chosen"]
    if chosen == options["count"]:
        return float("inf")
    return (scores[:, chosen - 1] - scores[:, chosen]).min().item()
