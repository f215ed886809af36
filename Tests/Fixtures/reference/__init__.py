"""Reference models, one token at a time, in float64. See ../README.md."""

from . import delta_net, gated_deltanet, gla, retnet, tnl, transformer
from .skeleton import LanguageModel

# The mixers of flash-linear-attention's skeleton, by `model_type`.
MIXERS = {
    "retnet": retnet,
    "gla": gla,
    "delta_net": delta_net,
    "gated_deltanet": gated_deltanet,
    "transformer": transformer,
}

MODELS = {"transnormer": tnl} | {
    name: LanguageModel(mixer, transformer, MIXERS) for name, mixer in MIXERS.items()
}
