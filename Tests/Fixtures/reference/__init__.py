"""Reference models, one token at a time, in float64. See ../README.md."""

from . import delta_net, gated_deltanet, gla, retnet, tnl, transformer
from .skeleton import LanguageModel

MODELS = {
    "transnormer": tnl,
    "retnet": LanguageModel(retnet, transformer),
    "gla": LanguageModel(gla, transformer),
    "delta_net": LanguageModel(delta_net, transformer),
    "gated_deltanet": LanguageModel(gated_deltanet, transformer),
    "transformer": LanguageModel(transformer, transformer),
}
