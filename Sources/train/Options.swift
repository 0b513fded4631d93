import ArgumentParser
import Foundation
import Model
import Parallel

/// Options of every command that computes.
struct WorkerOptions: ParsableArguments {
  @Option(help: "Worker threads, each on a core of its own; by default one a core that this process may use.")
  var workers: Int?

  @Option(
    help: """
      Parts that a batch is cut into; must divide the batch size. It is part of a run's arithmetic: results are the \
      same bits for any number of workers, not for other numbers of shards.
      """)
  var shards: Int?

  func validate() throws {
    if let workers, workers < 1 || workers > 4096 {
      throw ValidationError("--workers must be between 1 and 4096, not \(workers).")
    }
    if let shards, shards < 1 { throw ValidationError("--shards must be at least 1, not \(shards).") }
  }

  func makeTeam() -> WorkerTeam {
    let topology = Topology.current()
    return WorkerTeam(placement: Placement(topology, workers: workers))
  }
}

/// Sizes of the model, settings of its loss.
struct ModelOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Transformer layers of the text, visual and audio encoder.", valueName: "n,n,n"))
  var layers = "6,4,4"

  @Option(help: "D, the width of the encoders; a multiple of the number of heads.")
  var hiddenSize = 256

  @Option(help: "H, attention heads.")
  var heads = 8

  @Option(help: "Width of the feed-forward layers.")
  var feedForwardSize = 256

  @Option(help: "P, the width of the contrastive latents.")
  var latentSize = 64

  @Option(help: "Q, past rows that the contrastive loss also compares with; 0 for none.")
  var queueSize = 8192

  @Option(help: "Share of activations that training drops.")
  var dropout: Float = 0.3

  @Option(help: "Temperature of the contrastive loss.")
  var temperature: Float = 0.07

  @Option(help: "Momentum of the prototypes' moving averages.")
  var prototypeMomentum: Float = 0.99

  @Option(help: "Anchors of the contrastive loss: all rows, as in the released code, or those of the batch only.")
  var anchors = ModelConfiguration.Anchors.all

  @Option(help: "Weight of the cross-entropy of the plain scores.")
  var plainBceWeight: Float = 0.01
  @Option(help: "Weight of the cross-entropy of the alpha scores.")
  var alphaBceWeight: Float = 0.1
  @Option(help: "Weight of the cross-entropy of the beta scores.")
  var betaBceWeight: Float = 1
  @Option(help: "Weight of the contrastive loss.")
  var contrastiveWeight: Float = 1
  @Option(help: "Weight of the reconstructions' squared distance.")
  var reconstructionMseWeight: Float = 1
  @Option(help: "Weight of the alphas' squared distance.")
  var alphaMseWeight: Float = 1
  @Option(help: "Weight of the betas' squared distance.")
  var betaMseWeight: Float = 0
  @Option(help: "Weight of the cross-entropy of the aggregated scores.")
  var aggregateBceWeight: Float = 1
  @Option(help: "Weight of the cross-entropy of the shuffled betas' scores.")
  var shuffledBceWeight: Float = 0.1

  func apply(to c: inout ModelConfiguration) throws {
    let depths = layers.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard depths.count == c.modalities.count else {
      throw ValidationError(
        "--layers needs \(c.modalities.count) numbers separated by commas, one a modality, not '\(layers)'.")
    }
    for (m, depth) in depths.enumerated() {
      guard let depth else { throw ValidationError("--layers takes whole numbers, not '\(layers)'.") }
      c.modalities[m].layers = depth
    }
    c.hiddenSize = hiddenSize
    c.heads = heads
    c.feedForwardSize = feedForwardSize
    c.latentSize = latentSize
    c.queueSize = queueSize
    c.dropout = dropout
    c.temperature = temperature
    c.prototypeMomentum = prototypeMomentum
    c.anchors = anchors
    let weights: [(LossTerm, Float)] = [
      (.plainBCE, plainBceWeight), (.alphaBCE, alphaBceWeight), (.betaBCE, betaBceWeight),
      (.contrastive, contrastiveWeight), (.reconstructionMSE, reconstructionMseWeight), (.alphaMSE, alphaMseWeight),
      (.betaMSE, betaMseWeight), (.aggregateBCE, aggregateBceWeight), (.shuffledBCE, shuffledBceWeight),
    ]
    for (term, weight) in weights { c.weights[term] = weight }
    if let contradiction = c.contradiction { throw ValidationError("\(contradiction).") }
  }
}

extension ModelConfiguration.Anchors: ExpressibleByArgument {}

/// Sizes of a generated data set.
struct GenerationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Generated samples for training, validation and test.", valueName: "n,n,n"))
  var samples = "768,128,256"

  @Option(help: "Time steps of the generated sequences.")
  var steps = 60

  @Option(help: ArgumentHelp("Features a step of the generated text, visual and audio.", valueName: "n,n,n"))
  var features = "300,35,74"

  @Option(help: "Labels of the generated samples.")
  var labels = 6

  func settings(seed: UInt64) throws -> SyntheticDataset.Settings {
    var settings = SyntheticDataset.Settings()
    let counts = try numbers(samples, "--samples")
    (settings.train, settings.valid, settings.test) = (counts[0], counts[1], counts[2])
    settings.features = try numbers(features, "--features")
    guard (1...100_000).contains(steps) else {
      throw ValidationError("--steps must be between 1 and 100000, not \(steps).")
    }
    guard (1...12).contains(labels) else {
      throw ValidationError("--labels must be between 1 and 12, not \(labels): the generator enumerates label sets.")
    }
    settings.steps = settings.features.map { _ in steps }
    settings.labels = labels
    settings.seed = seed
    return settings
  }

  private func numbers(_ text: String, _ option: String) throws -> [Int] {
    let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard values.count == 3, values.allSatisfy({ $0 ?? 0 > 0 }) else {
      throw ValidationError("\(option) takes three positive numbers separated by commas, not '\(text)'.")
    }
    return values.compactMap { $0 }
  }
}
