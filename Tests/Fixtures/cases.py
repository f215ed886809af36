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


CLASSES = {
    "linear_attn": "LinearAttention",
    "rebased": "ReBased",
    "retnet": "RetNet",
    "gla": "GLA",
    "delta_net": "DeltaNet",
    "gated_deltanet": "GatedDeltaNet",
    "mom": "Mom",
    "transformer": "Transformer",
    "hgrn2": "HGRN2",
    "kda": "KDA",
    "regla": "ReGLA",
    "gateloop": "GateLoop",
    "comba": "Comba",
    "gated_deltaproduct": "GatedDeltaProduct",
    "gsa": "GSA",
    "hgrn": "HGRN",
    "cosformer": "CosFormer",
    "forgetting_transformer": "ForgettingTransformer",
    "lightnet": "LightNet",
}


def fla(model_type, **options):
    """A small model in flash-linear-attention's layout; keys left out have its defaults."""
    return {
        "model_type": model_type,
        "architectures": [CLASSES[model_type] + "ForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "intermediate_size": 20,
        "norm_eps": 1e-6,
        "initializer_range": 0.02,
        "tie_word_embeddings": False,
    } | options


def scan(model_type, **options):
    """A small Mamba or Samba; keys left out have flash-linear-attention's defaults."""
    return {
        "model_type": model_type,
        "architectures": [model_type.capitalize() + "ForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 12,
        "num_hidden_layers": 2,
    } | options


def rwkv(version, **options):
    """A small RWKV; keys left out have flash-linear-attention's defaults."""
    ranks = {6: {"proj_low_rank_dim": 3, "gate_low_rank_dim": 5}}.get(
        version,
        {
            "decay_low_rank_dim": 5,
            "a_low_rank_dim": 3,
            "gate_low_rank_dim": 7,
            "v_low_rank_dim": 2,
            "use_l2warp": False,
        },
    )
    return {
        "model_type": f"rwkv{version}",
        "architectures": [f"RWKV{version}ForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "intermediate_size": 20,
        "norm_eps": 1e-5,
        "tie_word_embeddings": False,
    } | ranks | options


def xlstm(**options):
    """A small xLSTM; keys left out have transformers' defaults."""
    return {
        "model_type": "xlstm",
        "architectures": ["xLSTMForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 16,
        "embedding_dim": 16,
        "num_hidden_layers": 2,
        "num_blocks": 2,
        "num_heads": 2,
        "ffn_round_up_to_multiple_of": 16,
    } | options


TRANSFORMERS = {
    "llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3",
    "mixtral": "Mixtral", "qwen2_moe": "Qwen2Moe", "qwen3_moe": "Qwen3Moe",
    "qwen3_next": "Qwen3Next", "kimi_linear": "KimiLinear",
}


def pretrained(model_type, **options):
    """A small Transformer in transformers' layout; keys left out have its defaults."""
    return {
        "model_type": model_type,
        "architectures": [TRANSFORMERS[model_type] + "ForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 15,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "tie_word_embeddings": False,
    } | options


HYBRIDS = {"minimax": "MiniMax", "bamba": "Bamba", "granitemoehybrid": "GraniteMoeHybrid"}


def hybrid(model_type, **options):
    """A small hybrid of another maker; keys left out have transformers' defaults."""
    return {
        "model_type": model_type,
        "architectures": [HYBRIDS[model_type] + "ForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 18,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "tie_word_embeddings": False,
    } | options


def linearised(model_type, **options):
    """A small Transformer, in whose layers something else stands in for the softmax."""
    family = next((name for name in TRANSFORMERS if model_type.endswith(name)), "llama")
    return pretrained(family, num_attention_heads=4, num_key_value_heads=2, head_dim=6) | {
        "model_type": model_type,
        "architectures": [model_type.title().replace("_", "") + "ForCausalLM"],
    } | options


def mamba2(**options):
    """A small Mamba-2; keys left out have flash-linear-attention's defaults."""
    return {
        "model_type": "mamba2",
        "architectures": ["Mamba2ForCausalLM"],
        "dtype": "float32",
        "vocab_size": 24,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "norm_eps": 1e-5,
        "tie_word_embeddings": False,
    } | options


def case(config, tokens, seed=0, batch=2):
    return {"config": config, "tokens": tokens, "seed": seed, "batch": batch}


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
        tokens=31, seed=2,
    ),
    "tnl_lrpe_first": case(
        tnl(decoder_layers=3, linear_use_lrpe_list=[1, 0, 0], vocab_size=19), tokens=45, seed=3
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
        tokens=29, seed=1,
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
    "linear_attn_plain": case(fla("linear_attn", num_heads=2), tokens=37, seed=34),
    "linear_attn_hedgehog": case(
        fla(
            "linear_attn",
            num_heads=4,
            num_kv_heads=2,
            feature_map="hedgehog",
            norm_feature_map=True,
            expand_v=1.5,
        ),
        tokens=41, seed=4,
    ),
    "linear_attn_hedgehog_tied": case(
        fla(
            "linear_attn",
            hidden_size=15,
            num_heads=3,
            feature_map="hedgehog",
            tie_feature_map_qk=True,
            norm_q=True,
            norm_k=True,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=1,
    ),
    "linear_attn_t2r": case(
        fla("linear_attn", num_heads=2, feature_map="t2r", norm_feature_map=True, expand_k=1.5),
        tokens=33,
    ),
    "linear_attn_dpfp": case(
        fla(
            "linear_attn",
            num_heads=2,
            num_kv_heads=1,
            feature_map="dpfp",
            norm_k=True,
            norm_feature_map=True,
        ),
        tokens=35, seed=33,
    ),
    "linear_attn_dpfp_wide": case(
        fla(
            "linear_attn",
            hidden_size=20,
            num_heads=1,
            num_hidden_layers=1,
            expand_k=2.0,
            feature_map="dpfp",
        ),
        tokens=23,
    ),
    "linear_attn_elu": case(
        fla(
            "linear_attn",
            num_heads=3,
            hidden_size=18,
            feature_map="elu",
            norm_q=True,
            norm_feature_map=True,
        ),
        tokens=31,
    ),
    "linear_attn_relu_wide_values": case(
        fla("linear_attn", num_heads=1, num_hidden_layers=1, feature_map="relu", expand_v=17.0,
            norm_feature_map=True),
        tokens=21,
    ),
    "linear_attn_identity": case(
        fla(
            "linear_attn",
            num_heads=2,
            feature_map="identity",
            expand_k=0.5,
            norm_eps=1e-5,
        ),
        tokens=27,
    ),
    "linear_attn_tied_products": case(
        fla("linear_attn", num_heads=2, num_kv_heads=1, tie_feature_map_qk=True, num_hidden_layers=1), tokens=25
    ),
    "rebased_plain": case(fla("rebased", num_heads=2, num_key_value_heads=2, feature_dim=4), tokens=39, seed=1),
    "rebased_three_heads": case(
        fla("rebased", hidden_size=15, num_heads=3, num_key_value_heads=3, feature_dim=5,
            use_gamma=False, tie_word_embeddings=True),
        tokens=33, seed=1,
    ),
    "rebased_unnormed": case(
        fla("rebased", num_heads=1, num_key_value_heads=1, num_hidden_layers=1, feature_dim=16,
            use_gamma=False, normalize=False, eps=1e-3),
        tokens=70,
    ),
    "rebased_bare": case(
        fla("rebased", num_heads=4, num_key_value_heads=4, feature_dim=3, use_gamma=False,
            use_beta=False),
        tokens=21, seed=31,
    ),
    "retnet_plain": case(fla("retnet", num_heads=2), tokens=37, seed=2),
    "retnet_grouped": case(
        fla(
            "retnet",
            num_heads=4,
            num_kv_heads=2,
            expand_k=1.5,
            expand_v=1.0,
            feature_map="swish",
            use_output_gate=False,
            tie_word_embeddings=True,
        ),
        tokens=45, seed=5,
    ),
    "retnet_default_mlp": case(
        fla(
            "retnet",
            hidden_size=12,
            num_heads=2,
            num_hidden_layers=1,
            intermediate_size=None,
            vocab_size=17,
        ),
        tokens=19,
    ),
    "retnet_wide_values": case(
        fla("retnet", num_heads=2, expand_v=33.0, num_hidden_layers=1), tokens=21
    ),
    "gla_plain": case(fla("gla", num_heads=2), tokens=41, seed=46),
    "gla_mixed_norms": case(
        fla("gla", num_heads=2, num_hidden_layers=3, norm_placement="mix", norm_share=0.4),
        tokens=35, seed=7,
    ),
    "gla_grouped_convolution": case(
        fla(
            "gla",
            num_heads=4,
            num_kv_heads=2,
            expand_k=1.0,
            feature_map="relu",
            use_short_conv=True,
            conv_size=4,
            clamp_min=-0.3,
            norm_eps=1e-5,
        ),
        tokens=33, seed=41,
    ),
    "gla_ungated": case(
        fla("gla", num_heads=1, expand_v=2.0, use_output_gate=False, tie_word_embeddings=True),
        tokens=27, seed=76,
    ),
    "gla_unfused_norm": case(
        fla("gla", num_heads=2, num_hidden_layers=1, fuse_norm=False), tokens=23, seed=2
    ),
    "delta_net_plain": case(fla("delta_net", num_heads=2), tokens=39, seed=22),
    "delta_net_gated": case(
        fla(
            "delta_net",
            num_heads=2,
            expand_k=0.5,
            expand_v=1.5,
            use_gate=True,
            use_short_conv=False,
            allow_neg_eigval=True,
        ),
        tokens=35, seed=96,
    ),
    "delta_net_sum_elu": case(
        fla(
            "delta_net",
            num_heads=2,
            qk_activation="elu",
            qk_norm="sum",
            use_beta=False,
            tie_word_embeddings=True,
        ),
        tokens=25,
    ),
    "gated_deltanet_plain": case(
        fla("gated_deltanet", num_heads=2, head_dim=8, expand_v=1.0), tokens=43, seed=96
    ),
    "gated_deltanet_grouped": case(
        fla(
            "gated_deltanet",
            num_heads=2,
            num_v_heads=4,
            head_dim=4,
            use_short_conv=False,
            allow_neg_eigval=True,
            output_gate_activation="sigmoid",
            intermediate_size=16,
        ),
        tokens=29, seed=91,
    ),
    "gated_deltanet_ungated": case(
        fla(
            "gated_deltanet",
            num_heads=2,
            head_dim=12,
            expand_v=0.5,
            use_gate=False,
            tie_word_embeddings=True,
        ),
        tokens=31, seed=27,
    ),
    "gated_deltanet_wide_values": case(
        fla("gated_deltanet", num_heads=2, head_dim=4, expand_v=65.0, num_hidden_layers=1),
        tokens=21,
    ),
    "transformer_plain": case(
        fla("transformer", num_heads=2, num_hidden_layers=3), tokens=37, seed=4
    ),
    "transformer_grouped_window": case(
        fla(
            "transformer",
            num_heads=4,
            num_kv_heads=2,
            qkv_bias=True,
            qk_norm=True,
            window_size=7,
            rope_theta=500.0,
            tie_word_embeddings=True,
            norm_eps=1e-5,
        ),
        tokens=45, seed=16,
    ),
    "samba_of_families": case(
        scan(
            "samba",
            hidden_size=6,
            state_size=4,
            num_hidden_layers=4,
            attn={"layers": [1, 3], "num_heads": 3, "window_size": 5},
            layer_types=["samba", "full_attention", "gated_deltanet", "attention"],
            mixers={"gated_deltanet": {"num_heads": 2, "head_dim": 3, "expand_v": 1.0}},
        ),
        tokens=25, seed=23,
    ),
    "hybrid_gla": case(
        fla(
            "gla",
            num_hidden_layers=3,
            num_heads=2,
            attn={
                "layers": [1],
                "num_heads": 4,
                "num_kv_heads": 2,
                "qkv_bias": True,
                "window_size": None,
                "rope_theta": 1000.0,
            },
        ),
        tokens=31, seed=95,
    ),
    "hybrid_gated_deltanet_window": case(
        fla(
            "gated_deltanet",
            num_hidden_layers=3,
            num_heads=2,
            head_dim=6,
            expand_v=1.0,
            intermediate_size=16,
            attn={"layers": [0, 2], "num_heads": 2, "window_size": 9},
        ),
        tokens=33, seed=29,
    ),
    "hybrid_of_families": case(
        fla(
            "gla",
            num_hidden_layers=5,
            num_heads=2,
            intermediate_size=16,
            attn={"layers": [2, 4], "num_heads": 4, "num_kv_heads": 2, "window_size": 5},
            layer_types=["gla", "delta_net", "full_attention", "retnet", "attention"],
            mixers={
                "delta_net": {"num_heads": 4, "use_gate": True},
                "retnet": {"num_heads": 2, "expand_v": 1.0},
            },
        ),
        tokens=23, seed=3,
    ),
    "hgrn2_three_layers": case(
        fla("hgrn2", hidden_size=15, expand_ratio=5, num_hidden_layers=3), tokens=37
    ),
    "hgrn2_convolution": case(
        fla(
            "hgrn2",
            num_heads=4,
            expand_ratio=4,
            use_short_conv=True,
            conv_size=3,
            norm_eps=1e-5,
            tie_word_embeddings=True,
        ),
        tokens=29,
    ),
    "hgrn2_unbounded": case(
        fla("hgrn2", num_heads=1, expand_ratio=16, use_lower_bound=False), tokens=23
    ),
    "hgrn2_hybrid": case(
        fla(
            "hgrn2",
            expand_ratio=8,
            num_hidden_layers=3,
            attn={"layers": [1], "num_heads": 2, "window_size": 9},
        ),
        tokens=33,
    ),
    "lightnet_plain": case(
        fla("lightnet", hidden_size=15, expand_ratio=5, gate_low_rank_dim=4), tokens=37
    ),
    "lightnet_convolution": case(
        fla(
            "lightnet",
            num_heads=4,
            gate_low_rank_dim=7,
            use_short_conv=True,
            conv_size=3,
            norm_eps=1e-5,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=2,
    ),
    "lightnet_one_head": case(
        fla("lightnet", expand_ratio=16, num_hidden_layers=1, gate_low_rank_dim=3), tokens=5
    ),
    "mamba2_plain": case(mamba2(head_dim=8, state_size=16), tokens=37),
    "mamba2_groups": case(
        mamba2(
            head_dim=4,
            state_size=5,
            n_groups=3,
            dt_limit=[0.3, 1.2],
            D_has_hdim=True,
            use_bias=True,
            conv_kernel=3,
            tie_word_embeddings=True,
        ),
        tokens=31,
    ),
    "mamba2_norm_first": case(
        mamba2(
            head_dim=6,
            expand=3,
            state_size=7,
            n_groups=2,
            norm_before_gate=True,
            use_conv_bias=False,
        ),
        tokens=29,
    ),
    "mamba2_without_norm": case(
        mamba2(head_dim=24, state_size=6, rmsnorm=False, num_hidden_layers=3), tokens=23, seed=2
    ),
    "mamba2_hybrid": case(
        mamba2(
            hidden_size=18,
            head_dim=12,
            state_size=5,
            n_groups=3,
            num_hidden_layers=3,
            attn={"layers": [1], "num_heads": 9, "num_kv_heads": 3, "qkv_bias": True, "window_size": 7},
        ),
        tokens=33, seed=1,
    ),
    "mamba2_of_families": case(
        mamba2(
            head_dim=8,
            state_size=6,
            num_hidden_layers=6,
            attn={"layers": [1, 5], "num_heads": 2, "window_size": 4},
            layer_types=[
                "mamba2", "full_attention", "forgetting_transformer", "mamba", "gla", "attention"
            ],
            mixers={
                "forgetting_transformer": {"num_heads": 3, "qk_norm": True},
                "mamba": {"state_size": 4},
                "gla": {"num_heads": 2},
            },
        ),
        tokens=21, seed=5,
    ),
    "kda_plain": case(fla("kda", num_heads=3, head_dim=5, expand_v=2.0), tokens=41, seed=53),
    "kda_grouped": case(
        fla(
            "kda",
            num_heads=2,
            num_v_heads=6,
            head_dim=5,
            use_short_conv=False,
            allow_neg_eigval=True,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=30,
    ),
    "kda_bounded": case(
        fla("kda", num_heads=2, head_dim=8, lower_bound=-5.0, num_hidden_layers=1, conv_size=3),
        tokens=33, seed=2,
    ),
    "regla_plain": case(fla("regla", num_heads=2), tokens=41),
    "regla_grouped_tied": case(
        fla(
            "regla",
            hidden_size=24,
            num_heads=6,
            num_kv_heads=3,
            expand_k=0.75,
            expand_v=1.5,
            num_hidden_layers=3,
            tie_word_embeddings=True,
            norm_eps=1e-5,
        ),
        tokens=35,
    ),
    "regla_three_heads": case(
        fla("regla", hidden_size=15, num_heads=3, expand_k=1.0, num_hidden_layers=1), tokens=29
    ),
    "gateloop_plain": case(fla("gateloop", num_heads=2), tokens=41, seed=7),
    "gateloop_three_heads_tied": case(
        fla(
            "gateloop",
            hidden_size=18,
            num_heads=3,
            expand_k=1.0,
            expand_v=1.5,
            num_hidden_layers=2,
            tie_word_embeddings=True,
            norm_eps=1e-5,
        ),
        tokens=19, seed=7,
    ),
    "gateloop_one_head": case(
        fla("gateloop", hidden_size=10, num_heads=1, num_hidden_layers=1), tokens=29
    ),
    "comba_plain": case(fla("comba", num_heads=3, head_dim=5, expand_v=1.0), tokens=41, seed=35),
    "comba_grouped": case(
        fla(
            "comba",
            num_heads=2,
            num_v_heads=6,
            head_dim=6,
            expand_v=1.5,
            use_short_conv=False,
            use_output_gate=False,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=29,
    ),
    "deltaproduct_plain": case(
        fla("gated_deltaproduct", num_heads=3, head_dim=6, expand_v=1.0, num_householder=2),
        tokens=37, seed=85,
    ),
    "deltaproduct_gated": case(
        fla(
            "gated_deltaproduct",
            num_heads=2,
            head_dim=6,
            expand_v=1.5,
            num_householder=3,
            use_forget_gate=True,
            allow_neg_eigval=True,
            use_short_conv=False,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=57,
    ),
    "deltaproduct_one_step": case(
        fla(
            "gated_deltaproduct",
            num_heads=1,
            head_dim=7,
            expand_v=2.0,
            use_forget_gate=True,
            use_output_gate=False,
            num_hidden_layers=1,
        ),
        tokens=23, seed=0,
    ),
    "gsa_plain": case(fla("gsa", hidden_size=15, num_heads=3, num_slots=5), tokens=37),
    "gsa_grouped_convolution": case(
        fla(
            "gsa",
            num_heads=4,
            num_kv_heads=2,
            num_slots=7,
            gate_logit_normalizer=2,
            feature_map="relu",
            use_short_conv=True,
            conv_size=3,
            tie_word_embeddings=True,
        ),
        tokens=33,
    ),
    "gsa_narrow_keys": case(
        fla(
            "gsa",
            num_heads=1,
            expand_k=0.5,
            num_slots=20,
            num_hidden_layers=3,
            attn={"layers": [1], "num_heads": 2},
        ),
        tokens=29,
    ),
    "hgrn_plain": case(
        fla("hgrn"),
        tokens=41, seed=0,
    ),
    "hgrn_wide_convolution": case(
        fla(
            "hgrn",
            hidden_size=10,
            expand_ratio=1.5,
            num_hidden_layers=3,
            use_short_conv=True,
            conv_size=3,
            norm_eps=1e-5,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=0,
    ),
    "hgrn_hybrid": case(
        fla(
            "hgrn",
            num_hidden_layers=3,
            use_lower_bound=False,
            attn={"layers": [1], "num_heads": 2, "window_size": 7},
        ),
        tokens=33, seed=0,
    ),
    "mamba_plain": case(
        scan("mamba"),
        tokens=37, seed=0,
    ),
    "mamba_narrow": case(
        scan(
            "mamba",
            hidden_size=9,
            expand=3,
            state_size=5,
            conv_kernel=3,
            time_step_rank=4,
            use_bias=True,
            num_hidden_layers=3,
            tie_word_embeddings=True,
        ),
        tokens=31, seed=0,
    ),
    "mamba_one_state": case(
        scan(
            "mamba",
            hidden_size=17,
            expand=1,
            state_size=1,
            use_conv_bias=False,
            num_hidden_layers=1,
            norm_eps=1e-6,
        ),
        tokens=23, seed=0,
    ),
    "mamba_hybrid": case(
        scan(
            "mamba",
            state_size=3,
            num_hidden_layers=3,
            tie_word_embeddings=True,
            attn={"layers": [0, 2], "num_heads": 3, "num_kv_heads": 1, "rope_theta": 500.0},
        ),
        tokens=27, seed=0,
    ),
    "samba_window": case(
        scan(
            "samba",
            hidden_size=6,
            state_size=4,
            num_hidden_layers=3,
            attn={"layers": [1], "num_heads": 3, "window_size": 5},
        ),
        tokens=29, seed=0,
    ),
    "samba_attention_first": case(
        scan(
            "samba",
            hidden_size=8,
            state_size=3,
            time_step_rank=2,
            tie_word_embeddings=True,
            attn={
                "layers": [0],
                "num_heads": 4,
                "num_kv_heads": 2,
                "qkv_bias": True,
                "rope_theta": 500.0,
            },
        ),
        tokens=21, seed=0,
    ),
    "fox_plain": case(
        fla("forgetting_transformer", hidden_size=15, num_heads=3), tokens=43, seed=1
    ),
    "fox_grouped": case(
        fla(
            "forgetting_transformer",
            num_heads=4,
            num_kv_heads=2,
            qkv_bias=True,
            qk_norm=True,
            use_output_gate=True,
            window_size=7,
            tie_word_embeddings=True,
            norm_eps=1e-5,
        ),
        tokens=37, seed=1,
    ),
    "fox_gated": case(
        fla(
            "forgetting_transformer",
            num_heads=6,
            num_kv_heads=2,
            hidden_size=18,
            use_output_gate=True,
            num_hidden_layers=3,
        ),
        tokens=31, seed=1,
    ),
    "hybrid_fox": case(
        fla(
            "forgetting_transformer",
            num_heads=2,
            num_hidden_layers=2,
            attn={"layers": [1], "num_heads": 2, "window_size": 9},
        ),
        tokens=29, seed=1,
    ),
    "cosformer_plain": case(
        fla("cosformer", num_heads=2, max_seq_len=131), tokens=41, seed=1
    ),
    "cosformer_grouped": case(
        fla(
            "cosformer",
            hidden_size=18,
            num_heads=6,
            num_kv_heads=3,
            expand_k=2.0,
            expand_v=1.0,
            max_seq_len=150,
            tie_word_embeddings=True,
        ),
        tokens=33, seed=1,
    ),
    "cosformer_three_heads": case(
        fla("cosformer", hidden_size=15, num_heads=3, expand_v=2.0, num_hidden_layers=1),
        tokens=29, seed=1,
    ),
    "rwkv6_plain": case(rwkv(6, num_heads=2), tokens=37, seed=5),
    "rwkv6_three_heads": case(
        rwkv(
            6,
            hidden_size=15,
            num_hidden_layers=1,
            num_heads=3,
            expand_k=0.8,
            expand_v=1.2,
            hidden_ratio=1.5,
            intermediate_size=None,
            norm_first=False,
            norm_bias=False,
            norm_eps=1e-4,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=2,
    ),
    "rwkv6_hybrid": case(
        rwkv(
            6,
            num_hidden_layers=3,
            num_heads=1,
            attn={"layers": [1], "num_heads": 2, "window_size": 7},
        ),
        tokens=31, seed=0,
    ),
    "rwkv7_plain": case(rwkv(7, head_dim=4, num_hidden_layers=3), tokens=35, seed=15),
    "rwkv7_logit_penalty": case(
        rwkv(
            7,
            hidden_size=15,
            head_dim=5,
            use_l2warp=True,
            fuse_norm=False,
            norm_first=False,
            norm_bias=False,
            hidden_ratio=1.5,
            intermediate_size=None,
            tie_word_embeddings=True,
        ),
        tokens=29, seed=0,
    ),
    "rwkv7_attention_first": case(
        rwkv(
            7,
            head_dim=6,
            num_hidden_layers=3,
            attn={"layers": [0], "num_heads": 2, "num_kv_heads": 1, "qkv_bias": True},
        ),
        tokens=27, seed=5,
    ),
    "rwkv7_of_families": case(
        rwkv(
            7,
            num_hidden_layers=4,
            head_dim=6,
            num_heads=2,
            attn={"layers": [3], "num_heads": 2, "window_size": 6},
            layer_types=["rwkv7", "rwkv6", "rwkv7", "attention"],
            mixers={"rwkv6": {"num_heads": 2, "proj_low_rank_dim": 3, "gate_low_rank_dim": 4}},
        ),
        tokens=23, seed=44,
    ),
    "hybrid_with_rwkv": case(
        fla(
            "hgrn2",
            hidden_size=12,
            num_hidden_layers=3,
            expand_ratio=4,
            use_lower_bound=False,
            norm_eps=1e-3,
            layer_types=["hgrn2", "rwkv7", "rwkv6"],
            mixers={
                "rwkv7": {
                    "head_dim": 4,
                    "num_heads": 3,
                    "decay_low_rank_dim": 5,
                    "a_low_rank_dim": 3,
                    "gate_low_rank_dim": 4,
                    "v_low_rank_dim": 2,
                    "fuse_norm": False,
                },
                "rwkv6": {"num_heads": 3, "expand_k": 1.0, "proj_low_rank_dim": 3, "gate_low_rank_dim": 4},
            },
        ),
        tokens=27, seed=249,
    ),
    "xlstm_single": case(xlstm(), tokens=37, seed=11),
    "xlstm_fused_bias": case(
        xlstm(
            hidden_size=18,
            embedding_dim=18,
            num_heads=3,
            qk_dim_factor=1.0,
            use_bias=True,
            weight_mode="fused",
            gate_soft_cap=5.0,
            output_logit_soft_cap=6.0,
            ffn_round_up_to_multiple_of=8,
        ),
        tokens=29, seed=2,
    ),
    "xlstm_one_head": case(
        xlstm(num_heads=1, num_hidden_layers=1, num_blocks=1, use_bias=True), tokens=70, seed=0, batch=1
    ),
    "xlstm_hybrid": case(
        xlstm(
            num_hidden_layers=3,
            num_blocks=3,
            use_bias=True,
            attn={"layers": [1], "num_heads": 4, "num_kv_heads": 2, "window_size": 6},
        ),
        tokens=31, seed=76,
    ),
    "xlstm_of_families": case(
        xlstm(
            num_hidden_layers=5,
            num_blocks=5,
            weight_mode="fused",
            attn={"layers": [2, 4], "num_heads": 2, "window_size": 5},
            layer_types=["xlstm", "mamba2", "full_attention", "delta_net", "attention"],
            mixers={
                "mamba2": {"head_dim": 8, "state_size": 4, "n_groups": 2},
                "delta_net": {"num_heads": 2},
            },
        ),
        tokens=23, seed=16,
    ),
    "hybrid_with_scans": case(
        fla(
            "gla",
            num_hidden_layers=3,
            num_heads=2,
            layer_types=["gla", "mamba", "xlstm"],
            mixers={
                "mamba": {"state_size": 4, "use_bias": True},
                "xlstm": {"num_heads": 2, "gate_soft_cap": 5.0},
            },
        ),
        tokens=25, seed=18,
    ),
    "llama_plain": case(
        pretrained("llama", hidden_size=18, rms_norm_eps=1e-5), tokens=37
    ),
    "llama_scaled": case(
        pretrained(
            "llama",
            hidden_size=18,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=8,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            rope_theta=500.0,
            rope_scaling={
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 8.0,
                "original_max_position_embeddings": 64,
            },
        ),
        tokens=45,
    ),
    "llama_linear": case(
        pretrained(
            "llama",
            num_attention_heads=5,
            num_key_value_heads=1,
            head_dim=4,
            rope_scaling={"type": "linear", "factor": 2.5},
        ),
        tokens=33,
    ),
    "mistral_window": case(
        pretrained(
            "mistral",
            hidden_size=14,
            num_attention_heads=6,
            num_key_value_heads=3,
            head_dim=6,
            sliding_window=7,
            rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        ),
        tokens=41,
    ),
    "mistral_whole": case(
        pretrained(
            "mistral",
            hidden_size=18,
            num_key_value_heads=3,
            sliding_window=None,
            num_hidden_layers=3,
        ),
        tokens=29,
    ),
    "qwen2_upper_window": case(
        pretrained(
            "qwen2",
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=6,
            num_hidden_layers=3,
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
            tie_word_embeddings=True,
            rope_scaling={
                "type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
        tokens=43, seed=1,
    ),
    "qwen2_plain": case(
        pretrained("qwen2", hidden_size=18, num_key_value_heads=None), tokens=37
    ),
    "qwen3_yarn": case(
        pretrained(
            "qwen3",
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=10,
            attention_bias=True,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 300.0,
                "factor": 3.0,
                "original_max_position_embeddings": 48,
                "beta_fast": 8.0,
                "beta_slow": 2.0,
                "mscale": 1.5,
                "mscale_all_dim": 0.5,
                "truncate": False,
            },
        ),
        tokens=45,
    ),
    "qwen3_layer_types": case(
        pretrained(
            "qwen3",
            num_key_value_heads=None,
            head_dim=4,
            num_hidden_layers=3,
            use_sliding_window=True,
            sliding_window=9,
            max_window_layers=3,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            tie_word_embeddings=True,
        ),
        tokens=39, seed=1,
    ),
    "liger_gla_plain": case(
        linearised("liger_gla", expand_k=1, expand_v=1, pool_size=6), tokens=71, batch=1
    ),
    "liger_gla_mistral": case(
        linearised(
            "liger_mistral_gla", liger_window=5, num_key_value_heads=4, sliding_window=9,
            attn={"layers": [1]}, num_hidden_layers=3,
        ),
        tokens=37,
    ),
    "liger_gla_qwen25": case(
        linearised("liger_qwen25_gla", liger_window=3, num_key_value_heads=1), tokens=35
    ),
    "liger_gla_qwen3": case(
        linearised("liger_qwen3_gla", liger_window=4, tie_word_embeddings=True, rope_theta=300.0),
        tokens=37,
    ),
    "liger_hgrn2_plain": case(linearised("liger_hgrn2", liger_window=7), tokens=39),
    "liger_gsa_plain": case(linearised("liger_gsa", liger_window=6), tokens=37),
    "liger_gsa_pooled": case(
        linearised("liger_qwen3_gsa", liger_window=1, pool_size=4, num_key_value_heads=4), tokens=35
    ),
    "lolcats_plain": case(
        linearised("lolcats_llama", attention_window=5, feature_dim=3), tokens=41
    ),
    "lolcats_terraced": case(
        linearised(
            "lolcats_qwen3", attention_window=4, attention_window_kind="terraced",
            feature_map="relu", feature_map_bias=True, feature_map_skip_connection=True,
            affine_attention_factors=True,
        ),
        tokens=43,
    ),
    "lolcats_hybrid": case(
        linearised(
            "lolcats_mistral", attention_window=1, feature_map="elu", sliding_window=7,
            num_hidden_layers=3, attn={"layers": [0, 2]}, num_key_value_heads=1,
        ),
        tokens=37,
    ),
    "hedgehog_plain": case(linearised("hedgehog_llama", feature_dim=4), tokens=39),
    "hedgehog_exponential": case(
        linearised(
            "hedgehog_qwen2", feature_map="exp_dim", num_key_value_heads=4,
            rope_scaling={"type": "linear", "factor": 2.5},
        ),
        tokens=35,
    ),
    "t2r_plain": case(linearised("t2r_llama", feature_dim=9), tokens=37, seed=1),
    "t2r_unbiased": case(
        linearised("t2r_mistral", feature_map_bias=False, sliding_window=None, feature_dim=8),
        tokens=33,
    ),
    "supra_plain": case(linearised("supra_llama", num_key_value_heads=4), tokens=39),
    "supra_grouped": case(
        linearised("supra_qwen3", feature_dim=8, decay="retnet"), tokens=37, seed=0
    ),
    "supra_undecayed": case(
        linearised("supra_qwen2", decay="none", num_key_value_heads=1), tokens=35
    ),
    "supra_normed": case(
        linearised("supra_llama", qk_norm=True, num_key_value_heads=4, feature_dim=6, head_dim=8),
        tokens=37,
    ),
    "supra_normed_grouped": case(
        linearised("supra_mistral", qk_norm=True, feature_dim=8, head_dim=8), tokens=35
    ),
    "lizard_plain": case(linearised("lizard_llama", attention_window=6), tokens=39),
    "lizard_no_meta": case(
        linearised(
            "lizard_qwen3", attention_window=3, meta_tokens=0, feature_map="softmax_dim",
            feature_dim=2,
        ),
        tokens=37,
    ),
    "mixtral_plain": case(
        pretrained("mixtral", hidden_size=18, num_key_value_heads=1, num_local_experts=4), tokens=37
    ),
    "mixtral_balanced_window": case(
        pretrained(
            "mixtral", hidden_size=18, num_key_value_heads=3, num_local_experts=5, num_experts_per_tok=1,
            sliding_window=9, output_router_logits=True, router_aux_loss_coef=0.3,
            tie_word_embeddings=True,
        ),
        tokens=41,
    ),
    "qwen2_moe_plain": case(
        pretrained(
            "qwen2_moe", num_hidden_layers=4, hidden_size=18, num_key_value_heads=3, num_experts=4,
            num_experts_per_tok=2, moe_intermediate_size=12, shared_expert_intermediate_size=14,
            decoder_sparse_step=2, output_router_logits=True, router_aux_loss_coef=0.1,
        ),
        tokens=35,
    ),
    "qwen2_moe_windows": case(
        pretrained(
            "qwen2_moe", num_hidden_layers=4, hidden_size=18, num_key_value_heads=1, num_experts=4,
            num_experts_per_tok=2, moe_intermediate_size=9, shared_expert_intermediate_size=4,
            norm_topk_prob=True, qkv_bias=False, mlp_only_layers=[1], use_sliding_window=True,
            sliding_window=4, max_window_layers=3,
        ),
        tokens=37,
    ),
    "qwen3_moe_plain": case(
        pretrained(
            "qwen3_moe", num_hidden_layers=3, num_key_value_heads=1, num_experts=6, head_dim=6,
            num_experts_per_tok=3, moe_intermediate_size=10, norm_topk_prob=True,
            mlp_only_layers=[1], attention_bias=True,
        ),
        tokens=37,
    ),
    "minimax_plain": case(
        hybrid("minimax", num_key_value_heads=1, num_local_experts=4, head_dim=6), tokens=37
    ),
    "minimax_factors": case(
        hybrid(
            "minimax", num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
            sliding_window=7, num_local_experts=5, num_experts_per_tok=1,
            layer_types=["linear_attention", "linear_attention", "full_attention", "linear_attention"],
            full_attn_alpha_factor=1.7, full_attn_beta_factor=0.6, linear_attn_alpha_factor=0.8,
            linear_attn_beta_factor=1.3, mlp_alpha_factor=1.4, mlp_beta_factor=0.7,
            output_router_logits=True, router_aux_loss_coef=0.2, rms_norm_eps=1e-6,
        ),
        tokens=41,
    ),
    "minimax_rotary_dim": case(
        hybrid(
            "minimax", num_hidden_layers=2, num_key_value_heads=3, head_dim=10, rotary_dim=4,
            num_local_experts=3, block_size=8, rope_parameters={"rope_theta": 500.0, "rope_type": "default"},
        ),
        tokens=33,
    ),
    "minimax_one_layer": case(
        hybrid(
            "minimax", num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1,
            layer_types=["linear_attention"], num_local_experts=3, tie_word_embeddings=True,
        ),
        tokens=5,
    ),
    "bamba_plain": case(
        hybrid(
            "bamba", num_key_value_heads=1, head_dim=8, attn_layer_indices=[1], mamba_n_heads=6,
            mamba_d_state=5, time_step_limit=[0.0, {"__float__": "Infinity"}],
        ),
        tokens=37,
    ),
    "bamba_groups": case(
        hybrid(
            "bamba", num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=2,
            attn_layer_indices=[0, 3], attention_bias=True, mlp_bias=True, mamba_n_heads=4,
            mamba_d_head=9, mamba_n_groups=2, mamba_d_state=4, mamba_d_conv=3, mamba_proj_bias=True,
            mamba_conv_bias=False, time_step_limit=[0.3, 1.2], z_loss_coefficient=0.05, head_dim=12,
            rope_parameters={"rope_type": "linear", "factor": 3.0, "rope_theta": 300.0,
                             "partial_rotary_factor": 0.34},
            tie_word_embeddings=True,
        ),
        tokens=41,
    ),
    "bamba_mamba_only": case(
        hybrid(
            "bamba", num_hidden_layers=2, hidden_size=12, num_key_value_heads=None,
            mamba_n_heads=2, mamba_d_head="auto", mamba_d_state=3, mamba_expand=1,
            z_loss_coefficient=0.2,
        ),
        tokens=5, seed=38,
    ),
    "granitemoehybrid_plain": case(
        hybrid(
            "granitemoehybrid", num_key_value_heads=1, num_local_experts=4, mamba_n_heads=6,
            mamba_d_state=5, shared_intermediate_size=14, attention_multiplier=0.3,
            layer_types=["mamba", "attention", "mamba"], embedding_multiplier=1.7,
            residual_multiplier=0.4, logits_scaling=0.6, position_embedding_type="nope",
        ),
        tokens=37,
    ),
    "granitemoehybrid_rope": case(
        hybrid(
            "granitemoehybrid", num_local_experts=5, num_experts_per_tok=3, mamba_n_heads=4,
            mamba_n_groups=2, mamba_d_state=4, mamba_d_conv=3, shared_intermediate_size=10,
            layer_types=["full_attention", "linear_attention", "full_attention"],
            position_embedding_type="rope", attention_bias=True, output_router_logits=True,
            router_aux_loss_coef=0.2, tie_word_embeddings=True, attention_multiplier=0.4,
        ),
        tokens=33,
    ),
    "granitemoehybrid_dense": case(
        hybrid(
            "granitemoehybrid", num_hidden_layers=2, num_local_experts=0, mamba_n_heads=3,
            mamba_d_state=6, shared_intermediate_size=16, logits_scaling=2.0,
            residual_multiplier=0.7,
        ),
        tokens=29,
    ),
    "gla_experts": case(
        fla(
            "gla", num_heads=2, num_experts=4, num_experts_per_tok=2, scoring_func="sigmoid",
            moe_intermediate_size=12, shared_expert_intermediate_size=10,
            shared_expert_gate=True, norm_topk_prob=True, router_aux_loss_coef=0.05,
            router_z_loss_coef=0.01,
        ),
        tokens=41,
    ),
    "mom_plain": case(fla("mom", num_heads=2, head_dim=6), tokens=43, seed=2),
    "mom_without_shared": case(
        fla(
            "mom", num_heads=2, head_dim=5, expand_v=1.4, num_memories=3, topk=2, shared_mem=False,
            use_output_gate=False, aux_loss_scale=0.2, conv_size=3, tie_word_embeddings=True,
        ),
        tokens=37, seed=84,
    ),
    "mom_one_projection": case(
        fla(
            "mom", num_heads=3, head_dim=4, num_memories=6, topk=3, single_kv_proj=True,
            aux_loss_scale=0,
        ),
        tokens=35, seed=9,
    ),
    "mom_one_projection_alone": case(
        fla(
            "mom", num_heads=1, head_dim=8, num_memories=2, topk=1, single_kv_proj=True,
            shared_mem=False, num_hidden_layers=3,
        ),
        tokens=41, seed=19,
    ),
    "mom_gla": case(
        fla("mom", num_heads=2, head_dim=6, num_memories=3, topk=2, mom_backend="gla"),
        tokens=37,
    ),
    "mom_linear": case(
        fla(
            "mom", num_heads=2, head_dim=6, num_memories=4, topk=2, mom_backend="linear_attn",
            single_kv_proj=True,
        ),
        tokens=39, seed=1,
    ),
    "mom_gla_one_projection": case(
        fla(
            "mom", num_heads=2, head_dim=5, num_memories=3, topk=1, mom_backend="gla",
            single_kv_proj=True, shared_mem=False,
        ),
        tokens=33, seed=6,
    ),
    "gated_deltanet_experts": case(
        fla(
            "gated_deltanet", num_heads=2, head_dim=6, num_experts=6, num_experts_per_tok=2,
            moe_intermediate_size=9, norm_topk_prob=False, router_z_loss_coef=0.02,
        ),
        tokens=35, seed=1,
    ),
    "mamba2_experts": case(
        mamba2(
            head_dim=8, state_size=8, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=11,
            router_aux_loss_coef=0.03,
        ),
        tokens=37, seed=1,
    ),
    "rwkv7_experts": case(
        rwkv(
            7, head_dim=4, num_experts=4, num_experts_per_tok=1, moe_intermediate_size=10,
            norm_topk_prob=False, scoring_func="sigmoid",
        ),
        tokens=33, seed=1,
    ),
    "xlstm_experts": case(
        xlstm(
            num_experts=4, num_experts_per_tok=2, moe_intermediate_size=9,
            shared_expert_intermediate_size=8, router_z_loss_coef=0.01,
        ),
        tokens=35, seed=4,
    ),
    "qwen3_next_plain": case(
        pretrained(
            "qwen3_next", num_hidden_layers=4, hidden_size=18, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8, linear_num_key_heads=2, linear_num_value_heads=4,
            linear_key_head_dim=5, linear_value_head_dim=6, num_experts=4, num_experts_per_tok=2,
            moe_intermediate_size=10, shared_expert_intermediate_size=9, rms_norm_eps=1e-3,
        ),
        tokens=37,
    ),
    "qwen3_next_mixed": case(
        pretrained(
            "qwen3_next", num_hidden_layers=3, hidden_size=18, num_attention_heads=4,
            num_key_value_heads=2, head_dim=6, linear_num_key_heads=1, linear_num_value_heads=3,
            linear_key_head_dim=6, linear_value_head_dim=4, linear_conv_kernel_dim=3,
            layer_types=["full_attention", "linear_attention", "full_attention"],
            num_experts=5, num_experts_per_tok=3, moe_intermediate_size=8,
            shared_expert_intermediate_size=7, norm_topk_prob=False, mlp_only_layers=[1],
            output_router_logits=True, router_aux_loss_coef=0.1, attention_bias=True,
            rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.7},
            tie_word_embeddings=True, rms_norm_eps=1e-4,
        ),
        tokens=35, seed=2,
    ),
    "qwen3_next_odd_rotation": case(
        pretrained(
            "qwen3_next", num_hidden_layers=2, hidden_size=18, num_attention_heads=2,
            num_key_value_heads=1, head_dim=12, linear_num_key_heads=2, linear_num_value_heads=2,
            linear_key_head_dim=5, linear_value_head_dim=6, num_experts=4, num_experts_per_tok=2,
            moe_intermediate_size=8, shared_expert_intermediate_size=5, full_attention_interval=2,
            rms_norm_eps=1e-3,
        ),
        tokens=33,
    ),
    "kimi_linear_plain": case(
        pretrained(
            "kimi_linear", num_hidden_layers=4, hidden_size=18, num_attention_heads=3,
            num_key_value_heads=3, kv_lora_rank=7, qk_nope_head_dim=5, qk_rope_head_dim=3, v_head_dim=4,
            linear_attn_config={
                "full_attn_layers": [2, 4], "kda_layers": [1, 3], "head_dim": 6, "num_heads": 2,
                "short_conv_kernel_size": 4,
            },
            num_experts=6, num_experts_per_token=2, moe_intermediate_size=10, num_shared_experts=1,
            num_expert_group=1, topk_group=1, moe_renormalize=True, routed_scaling_factor=1.7,
            first_k_dense_replace=1, model_max_length=4096, mla_use_nope=True, head_dim=72,
            q_lora_rank=None, rms_norm_eps=1e-3, pad_token_id=None,
        ),
        tokens=37, seed=2,
    ),
    "kimi_linear_groups": case(
        pretrained(
            "kimi_linear", num_hidden_layers=3, hidden_size=18, num_attention_heads=2,
            num_key_value_heads=None, kv_lora_rank=6, qk_nope_head_dim=4, qk_rope_head_dim=2, v_head_dim=9, q_lora_rank=8,
            layer_types=["full_attention", "linear_attention", "full_attention"],
            mlp_layer_types=["sparse", "dense", "sparse"], linear_head_dim=5, linear_num_heads=3,
            linear_conv_kernel_dim=3, num_local_experts=9, num_experts_per_tok=3,
            moe_intermediate_size=7, n_shared_experts=2, n_group=3, topk_group=2, norm_topk_prob=False,
            routed_scaling_factor=0.9, attention_bias=True, max_position_embeddings=4096,
            rms_norm_eps=1e-4, pad_token_id=None,
        ),
        tokens=41, seed=1,
    ),
}
