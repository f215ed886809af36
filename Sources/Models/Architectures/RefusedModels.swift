extension Architectures {
  /// Hybrids of other makers that are not computed here, by their `model_type`, and why or what instead.
  static let refused: [String: String] = {
    let others =
      "hybrids that are: "
      + all.compactMap { ($0 as? any PretrainedHybrid.Type)?.name }.joined(separator: ", ")
    let makers =
      "the makers' own layout is not read; take the folder of the same model whose name ends in -hf, with "
      + "model_type \"minimax\""
    return [
      "minimax_text_01": makers, "minimax_m1": makers,
      "minimax_m2":
        "it has softmax attention only, with norms and choices of experts that are not computed here; "
        + others,
      "falcon_h1":
        "attention and Mamba-2 stand side by side in each of its layers, which is not computed here; "
        + others,
      "nemotron_h":
        "each of its layers is a mixer or a channel mixer alone, which is not computed here; "
        + others,
      "zamba2":
        "its attention layers share weights and read the embeddings, too, which is not computed here; "
        + others,
      "jamba":
        "its Mamba layers normalise steps, keys and queries, which is not computed here; " + others,
      "lfm2": "its gated short convolutions are not computed here; " + others,
      "olmo_hybrid":
        "its layout of Gated DeltaNet, with split projections and norms after layers, is not read; "
        + others,
      "qwen3_5":
        "its layout of Gated DeltaNet, with split projections, is not read; " + others,
      "bailing_hybrid": "its linear attention is not computed here; " + others,
    ]
  }()
}
