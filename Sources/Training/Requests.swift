import Configuration

/// What `lasp-train train` was asked for.
public struct TrainRequest: Sendable {
  /// The run.
  public var configuration: RunConfiguration
  /// Whether files of an earlier run in the same folder may be replaced.
  public var overwrite: Bool
  /// File for a trace of the first steps; nil for none.
  public var trace: String?

  /// Makes a request.
  public init(configuration: RunConfiguration, overwrite: Bool = false, trace: String? = nil) {
    self.configuration = configuration
    self.overwrite = overwrite
    self.trace = trace
  }
}

/// What `lasp-train --dry-run` was asked for: to check and measure a run without MPI.
public struct DryRunRequest: Sendable {
  /// The run.
  public var configuration: RunConfiguration
  /// Number of ranks to plan for.
  public var ranks: Int

  /// Makes a request.
  public init(configuration: RunConfiguration, ranks: Int = 1) {
    self.configuration = configuration
    self.ranks = ranks
  }
}

/// What `lasp-train evaluate` was asked for.
public struct EvaluateRequest: Sendable {
  /// What is evaluated, and where the results go.
  public enum Subject: Sendable, Equatable {
    /// The rows of `input_ids` in a safetensors file; logits, loss and, where asked for, gradients
    /// are written to `output`.
    case tokens(file: String, output: String, gradients: Bool)
    /// The files of `configuration.data` as one stream; loss and bits a byte are printed.
    case data
  }

  /// Folder with `config.json` and `model.safetensors`.
  public var modelFolder: String
  /// What is evaluated.
  public var subject: Subject
  /// Where `data`, `sequence`, `parallel` and `threads` stand; its `model` is the folder's.
  public var configuration: RunConfiguration

  /// Makes a request.
  public init(modelFolder: String, subject: Subject, configuration: RunConfiguration) {
    self.modelFolder = modelFolder
    self.subject = subject
    self.configuration = configuration
  }
}

/// What `lasp-train generate` was asked for.
public struct GenerateRequest: Sendable {
  /// Folder with `config.json` and `model.safetensors`.
  public var modelFolder: String
  /// Text to continue.
  public var prompt: String
  /// Number of tokens to generate.
  public var tokens: Int
  /// Divisor of the logits; 0 always takes the likeliest token.
  public var temperature: Double
  /// Number of likeliest tokens to choose from; nil for no limit.
  public var topK: Int?
  /// Least probability, together, of the likeliest tokens to choose from, in (0, 1]; 1 for all.
  public var topP: Double
  /// Seed of the choices.
  public var seed: Int
  /// Where `threads` and `data.tokenizer` stand.
  public var configuration: RunConfiguration

  /// Makes a request.
  public init(
    modelFolder: String, prompt: String, tokens: Int = 256, temperature: Double = 1,
    topK: Int? = nil, topP: Double = 1, seed: Int = 1, configuration: RunConfiguration
  ) {
    self.modelFolder = modelFolder
    self.prompt = prompt
    self.tokens = tokens
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
    self.configuration = configuration
  }
}

/// What `lasp-train benchmark` was asked for.
public struct BenchmarkRequest: Sendable {
  /// The model, the length and the steps; its data are synthetic.
  public var configuration: RunConfiguration

  /// What a benchmark sets before its user does: 21 million parameters, 16,384 tokens, one thread.
  public static let defaults = [
    "model.dimension=512", "model.depth=6", "model.heads=8", "model.glu=1408",
    "model.vocabulary=256", "sequence.length=16384", "training.batch=1", "training.steps=5",
    "threads=1",
  ].map { Override($0) }

  /// Makes a request.
  public init(configuration: RunConfiguration) {
    self.configuration = configuration
  }
}

/// What `lasp-train benchmark recurrence` was asked for.
public struct RecurrenceBenchmarkRequest: Sendable {
  /// Tokens of the sequence, and heads; the curve has its own.
  public var tokens, heads: Int
  /// Whether the time per token is wanted over lengths, instead of the speeds at one.
  public var curve: Bool

  /// Makes a request.
  public init(tokens: Int = 16384, heads: Int = 8, curve: Bool = false) {
    (self.tokens, self.heads, self.curve) = (tokens, heads, curve)
  }
}
