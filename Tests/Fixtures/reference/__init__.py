"""Reference models, one token at a time, in float64. See ../README.md."""

from . import tnl

MODELS = {
    "transnormer": tnl,
}
