"""Reference models, one token at a time, in float64. See ../README.md."""

from . import (
    comba, delta_net, gated_deltanet, gated_deltaproduct, gateloop, gla, hgrn2, kda, mamba2, regla,
    retnet, tnl, transformer,
    delta_net, gated_deltanet, gateloop, gla, gsa, hgrn2, kda, mamba2, regla, retnet, tnl, transformer,
)
from .skeleton import LanguageModel

# The mixers of flash-linear-attention's skeleton, by `model_type`.
MIXERS = {
    "retnet": retnet,
    "gla": gla,
    "delta_net": delta_net,
    "gated_deltanet": gated_deltanet,
    "transformer": transformer,
    "regla": regla,
    "gateloop": gateloop,
    "hgrn2": hgrn2,
    "kda": kda,
    "comba": comba,
    "gated_deltaproduct": gated_deltaproduct,
    "gsa": gsa,
}

MODELS = {"transnormer": tnl, "mamba2": mamba2} | {
    name: LanguageModel(mixer, transformer, MIXERS) for name, mixer in MIXERS.items()
}
