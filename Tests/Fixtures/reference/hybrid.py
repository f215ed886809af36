"""Which mixer each layer of a hybrid has.

Attention layers are the transformer's. Where `layer_types` names other families, their keys stand in `mixers`, and
`full_attention` is attention without its window.
"""

DEFAULTS = {"attn": None, "layer_types": None, "mixers": {}}

ATTENTION_DEFAULTS = {
    "num_kv_heads": None,
    "qkv_bias": False,
    "qk_norm": False,
    "window_size": None,
    "rope_theta": 10000.0,
}


class Hybrid:
    """A main family's mixer, attention, and other families by their names.

    A mixer module has `DEFAULTS`, `parameter_shapes(config)` (names below the layer's), `forward(config, weights,
    prefix, x)` and, where it has tensors outside the blocks, `model_shapes(config)`. Its configuration also says which
    `layer` it is, and has a dictionary of what layers have `shared`.
    """

    def __init__(self, mixer, attention, others=None):
        self.mixer, self.attention, self.others = mixer, attention, others or {}

    def complete(self, config):
        """The configuration with every missing key at its default."""
        return self.DEFAULTS | self.mixer.DEFAULTS | config | {"shared": {}}

    def layer(self, config, index):
        """The mixer of one layer and the configuration it reads."""
        attn = config["attn"]
        kind = config["layer_types"][index] if config["layer_types"] else None
        common = {"fuse_norm": True, "layer": index} | {
            key: config[key]
            for key in ("hidden_size", "norm_eps", "fuse_norm", "num_hidden_layers", "shared")
            if key in config
        }
        if kind in self.others and kind != config["model_type"]:
            other = self.others[kind]
            return other, other.DEFAULTS | common | config["mixers"].get(kind, {})
        if attn is None or index not in attn["layers"]:
            return self.mixer, config | {"layer": index}
        options = common | ATTENTION_DEFAULTS | attn
        return self.attention, options | ({"window_size": None} if kind == "full_attention" else {})
