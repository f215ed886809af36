"""Reference models, one token at a time, in float64. See ../README.md."""

from . import (
    comba, cosformer, delta_net, forgetting_transformer, gated_deltanet, gated_deltaproduct, gateloop,
    gla, gsa, hgrn, hgrn2, hybrids, kda, kimi_linear, lightnet, linear_attn, linearised, mamba, mamba2,
    mlstm, mom, pretrained, qwen3_next, rebased, regla, retnet, rwkv, rwkv6, rwkv7, samba, scans, tnl,
    transformer, xlstm,
)
from .skeleton import LanguageModel

# The mixers of flash-linear-attention's skeleton, by `model_type`.
MIXERS = {
    "linear_attn": linear_attn,
    "rebased": rebased,
    "retnet": retnet,
    "gla": gla,
    "delta_net": delta_net,
    "gated_deltanet": gated_deltanet,
    "mom": mom,
    "transformer": transformer,
    "regla": regla,
    "gateloop": gateloop,
    "cosformer": cosformer,
    "forgetting_transformer": forgetting_transformer,
    "hgrn2": hgrn2,
    "kda": kda,
    "comba": comba,
    "gated_deltaproduct": gated_deltaproduct,
    "gsa": gsa,
    "hgrn": hgrn,
    "lightnet": lightnet,
}

# All mixers that can stand beside others in one model.
FAMILIES = MIXERS | {
    "mamba2": mamba2, "mamba": mamba, "xlstm": mlstm, "rwkv6": rwkv6, "rwkv7": rwkv7,
}

MODELS = {"transnormer": tnl, "samba": samba.LanguageModel(mamba, transformer, FAMILIES)} | {
    "mamba2": scans.LanguageModel(mamba2, transformer, FAMILIES),
    "mamba": scans.LanguageModel(mamba, transformer, FAMILIES),
    "xlstm": xlstm.LanguageModel(mlstm, transformer, FAMILIES),
} | {
    "rwkv6": rwkv.LanguageModel(rwkv6, transformer, FAMILIES),
    "rwkv7": rwkv.LanguageModel(rwkv7, transformer, FAMILIES),
} | {
    family: pretrained.LanguageModel(family) for family in pretrained.FAMILIES
} | hybrids.MODELS | {
    "qwen3_next": qwen3_next.LanguageModel(), "kimi_linear": kimi_linear.LanguageModel(),
} | {
    name: linearised.LanguageModel(*of) for name, of in linearised.model_types().items()
} | {
    name: LanguageModel(mixer, transformer, FAMILIES) for name, mixer in MIXERS.items()
}
