"""The cases: a model configuration, and how many tokens it reads."""


def tnl(**options):
    """A small TransNormerLLM; `options` replaces keys of its config.json."""
    return {
        "model_type": "transnormer",
        "architectures": ["TransnormerForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "decoder_embed_dim": 16,
        "hidden_dim": 16,
        "decoder_layers": 2,
        "decoder_attention_heads": 4,
        "glu_dim": 20,
        "linear_act_fun": "silu",
        "norm_type": "simplermsnorm",
        "linear_use_lrpe_list": [],
        "no_scale_embedding": False,
        "bias": False,
        "init_std": 0.02,
    } | options


def case(config, tokens, batch=2):
    return {"config": config, "tokens": tokens, "batch": batch}


CASES = {
    "tnl_plain": case(tnl(decoder_layers=3), tokens=37),
    "tnl_heads3_bias": case(
        tnl(
            decoder_attention_heads=3,
            decoder_embed_dim=16,
            hidden_dim=18,
            bias=True,
            no_scale_embedding=True,
        ),
        tokens=31,
    ),
    "tnl_lrpe_first": case(
        tnl(decoder_layers=3, linear_use_lrpe_list=[1, 0, 0], vocab_size=19), tokens=45
    ),
    "tnl_lrpe_all_heads6": case(
        tnl(
            decoder_attention_heads=6,
            decoder_embed_dim=18,
            hidden_dim=18,
            glu_dim=-1,
            linear_use_lrpe_list=[1, 1],
            bias=True,
            vocab_size=17,
        ),
        tokens=29,
    ),
    "tnl_one_layer": case(
        tnl(
            decoder_layers=1,
            decoder_embed_dim=24,
            hidden_dim=24,
            glu_dim=-1,
            no_scale_embedding=True,
            vocab_size=40,
        ),
        tokens=19,
    ),
}
