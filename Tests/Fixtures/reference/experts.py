"""Mixtures of experts: token by token, expert by expert.

Every use notes its scores and choices in `seen`, of which `loss` makes what balance costs.
"""

import torch

from . import common
from .common import linear, silu

# Of each layer of the pass at hand: scores [N, E], choices [N, k], squares of log Σ exp(logits) [N], and how far the
# nearest decision of each token is from another [N].
seen = []
# Choices of layers to come, where a pass takes over those of another; None where it chooses by itself.
given = None


def layout(config):
    """How a configuration's experts are called and chosen; None where it has none."""
    kind = config["model_type"]
    if kind == "kimi_linear":
        return kimi(config)
    granite = kind == "granitemoehybrid"
    mixtral = granite or kind in ("mixtral", "minimax")
    count = config.get("num_local_experts" if mixtral else "num_experts", 0)
    if not count:
        return None
    pretrained = mixtral or kind == "qwen3_next" or kind.endswith("_moe")
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
        "shared_gate": kind in ("qwen2_moe", "qwen3_next") or config.get("shared_expert_gate", False),
        "score": config.get("scoring_func", "softmax"),
        "renormalized": mixtral or config.get("norm_topk_prob", not pretrained or kind == "qwen3_next"),
        "balance": config.get("router_aux_loss_coef", usual) if asked else 0,
        "z_loss": config.get("router_z_loss_coef", 0),
    }


def kimi(config):
    """Kimi Linear's, in its makers' words or transformers': sigmoid scores, whose choice a bias corrects, in groups."""

    def either(one, other, usual):
        return config.get(one, config.get(other, usual))

    width = config["moe_intermediate_size"]
    return {
        "fused": False,
        "count": either("num_experts", "num_local_experts", 256),
        "chosen": either("num_experts_per_token", "num_experts_per_tok", 8),
        "prefix": "block_sparse_moe.",
        "names": ("w1", "w3", "w2"),
        "width": width,
        "shared": either("num_shared_experts", "n_shared_experts", 1) * width,
        "shared_name": "shared_experts",
        "shared_gate": False,
        "score": "sigmoid",
        "renormalized": either("moe_renormalize", "norm_topk_prob", True),
        "scale": config.get("routed_scaling_factor", 2.446),
        "correction": True,
        "groups": either("num_expert_group", "n_group", 1),
        "best_groups": config.get("topk_group", 1),
        "balance": 0,
        "z_loss": 0,
    }


def routers(config):
    """What is asked of the choices of experts, or of memories; None where there are none."""
    if config["model_type"] != "mom":
        return layout(config)
    return {
        "count": config.get("num_memories", 4),
        "chosen": config.get("topk", 2),
        "balance": config.get("aux_loss_scale", 0.01),
        "z_loss": 0,
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
    if options.get("correction"):
        found["gate.e_score_correction_bias"] = (options["count"],)
    if shared:
        name = options.get("shared_name", "shared_expert")
        found[name + ".gate_proj.weight"] = (shared, d)
        found[name + ".up_proj.weight"] = (shared, d)
        found[name + ".down_proj.weight"] = (d, shared)
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


def choose(options, worth):
    """The experts that tokens choose by what they are worth, [N, k], and how far the nearest decision is from another, [N]."""
    chosen, groups, best = options["chosen"], options.get("groups", 1), options.get("best_groups", 1)
    margin = torch.full((worth.shape[0],), float("inf"), dtype=worth.dtype)
    if best < groups:
        # A group is worth its two best.
        parts = worth.reshape(worth.shape[0], groups, -1)
        sums = parts.topk(2, dim=-1).values.sum(-1)
        ranked = sums.sort(-1, descending=True)
        margin = ranked.values[:, best - 1] - ranked.values[:, best]
        left = torch.ones_like(parts, dtype=torch.bool)
        left[torch.arange(len(parts))[:, None], ranked.indices[:, :best]] = False
        worth = parts.masked_fill(left, -torch.inf).flatten(1)
    ranked = worth.sort(-1, descending=True).values
    if chosen < worth.shape[-1]:
        margin = torch.minimum(margin, ranked[:, chosen - 1] - ranked[:, chosen])
    return torch.topk(worth, chosen).indices, margin.detach()


def mixture(options, weights, prefix, x):
    """Σ over the chosen of weight · expert(x), and what all tokens take; x [B, T, D]."""
    rows = x.flatten(0, 1)
    # The router is never rounded.
    router = "router.layer.weight" if options["fused"] else "gate.weight"
    logits = rows @ weights[prefix + router].T
    score = torch.sigmoid(logits) if options["score"] == "sigmoid" else torch.softmax(logits, -1)
    corrected = options.get("correction")
    bias = weights[prefix + "gate.e_score_correction_bias"].detach() if corrected else 0
    choices, margin = choose(options, score + bias)
    if given is not None:
        choices = given.pop(0)
    top = score.gather(-1, choices)
    seen.append((score, choices, torch.logsumexp(logits, -1) ** 2, margin))
    if options["renormalized"]:
        top = top / (top.sum(-1, keepdim=True) + (1e-20 if corrected else 0))
    top = options.get("scale", 1) * top
    outputs = []
    for row, factors, chosen in zip(rows, top, choices):
        parts = [
            factor * expert(options, weights, prefix, index, row)
            for factor, index in zip(factors, chosen.tolist())
        ]
        outputs.append(sum(parts))
    y = torch.stack(outputs).reshape(x.shape)
    if options["shared"]:
        name = options.get("shared_name", "shared_expert")
        shared = gated(x, weights, f"{prefix}{name}.", ("gate_proj", "up_proj", "down_proj"))
        if options["shared_gate"]:
            shared = torch.sigmoid(linear(x, weights, prefix + "shared_expert_gate")) * shared
        y = y + shared
    return y


def loss(config):
    """What the layers since the last call add to the loss: `E Σ f_e P_e` and the z-loss, over the rows of all layers."""
    options = routers(config)
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
    return min((layer[3].min().item() for layer in seen), default=float("inf"))
