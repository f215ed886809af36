import Corpora
import Foundation
import MessagePassing
import Tensors

/// `lasp-train evaluate`: a model's loss on tokens or files.
public enum Evaluation {
  /// Evaluates as asked, on every rank; rank 0 prints and writes.
  public static func run(_ request: EvaluateRequest) throws {
    try RankProgram.run(request.configuration) { world, workspace in
      switch request.subject {
      case .tokens(let file, let output, let gradients):
        let evaluation = try TokenEvaluation(
          modelFolder: request.modelFolder, gradients: gradients,
          exchange: request.configuration.parallel.exchangeKind ?? .chain,
          attention: request.configuration.parallel.attentionExchange, world: world.communicator,
          workspace: workspace)
        let loss = try evaluation.run(tokens: file, output: output)
        if world.communicator.rank == 0 {
          print("loss \(String(format: "%.6f", loss)) nats a token; results in \(output)")
        }
      case .data:
        let evaluation = try StreamEvaluation(
          modelFolder: request.modelFolder, configuration: request.configuration,
          world: world.communicator, workspace: workspace)
        let result = try evaluation.run()
        if world.communicator.rank == 0 { print(result.description) }
      }
    }
  }
}
