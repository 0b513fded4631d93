import ArgumentParser
import Foundation
import Logging
import Model
import Parallel

extension Option where Value: ExpressibleByArgument {
  /// An option with a default value. Its value may start with a minus: it is then judged as a value.
  init(wrappedValue: Value, _ help: String, value: String) {
    self.init(wrappedValue: wrappedValue, parsing: .unconditional, help: ArgumentHelp(help, valueName: value))
  }

  /// An option that has to be given.
  init(_ help: String, value: String) {
    self.init(parsing: .unconditional, help: ArgumentHelp(help, valueName: value))
  }
}

extension Option {
  /// An option that may be absent.
  init<T: ExpressibleByArgument>(_ help: String, value: String) where Value == T? {
    self.init(parsing: .unconditional, help: ArgumentHelp(help, valueName: value))
  }
}

/// How many threads a command computes with, and where their memory lies.
struct WorkerOptions: ParsableArguments {
  @Option(
    "Threads, each on a core of its own; by default one for each core that this process may use. Results do not "
      + "depend on it.", value: "n")
  var workers: Int?

  @Option(
    "Where memory goes on a machine of several NUMA nodes: node-local (the default: a worker's memory on its node, "
      + "parameters on every node, what is shared interleaved), interleave (all interleaved), or off (the kernel is "
      + "asked for nothing). Results do not depend on it.", value: "policy")
  var numa: MemoryPolicy?

  @Flag(help: "Tell on the standard error where workers and memory went.")
  var verbose = false

  func validate() throws {
    if let workers, !(1...WorkerTeam.maxCount).contains(workers) {
      throw ValidationError("--workers must be between 1 and \(WorkerTeam.maxCount), not \(workers).")
    }
  }

  func makeTeam() -> WorkerTeam {
    LogLines.isVerbose.store(verbose, ordering: .relaxed)
    let topology = Topology.current()
    let count = workers ?? min(topology.cpus.count, WorkerTeam.maxCount)
    let placement = Placement(topology, workers: count, memory: numa ?? .nodeLocal)
    tell(placement)
    return WorkerTeam(placement: placement)
  }

  private func tell(_ placement: Placement) {
    let logger = Logger(label: "carat.placement")
    let cpus = placement.topology.cpus
    if placement.isOversubscribed {
      let few = "\(cpus.count) CPU\(cpus.count == 1 ? "" : "s") (\(Placement.ranges(cpus)))"
      logger.warning(
        "\(placement.count) workers share the \(few) that this process may use: more than \(cpus.count) gain no time")
    }
    if let absence = placement.topology.absence {
      // A warning where something is lost by it, or was asked for by name.
      let matters = NUMA.hasSeveralNodes || numa ?? .off != .off
      logger.log(level: matters ? .warning : .info, "no NUMA: \(absence); memory lies where it is first touched")
    }
    for line in "\(placement)".split(separator: "\n") { logger.info("\(line)") }
  }
}

/// How finely a batch is cut.
struct ShardOptions: ParsableArguments {
  @Option(
    "Equal parts that a batch is cut into for the workers; must divide the batch size, by default up to 32 of at "
      + "least 120 time steps. Sums follow it: another number gives other rounding.", value: "n")
  var shards: Int?

  func validate() throws {
    if let shards, shards < 1 { throw ValidationError("--shards must be at least 1, not \(shards).") }
  }
}

/// Sizes of the model, settings of its loss.
struct ModelOptions: ParsableArguments {
  @Option("Transformer layers of the text, visual and audio encoder.", value: "n,n,n")
  var layers = "6,4,4"

  @Option("Width of the encoders (D); a multiple of --heads.", value: "n")
  var hiddenSize = 256

  @Option("Attention heads (H).", value: "n")
  var heads = 8

  @Option("Width of the transformers' feed-forward layers.", value: "n")
  var feedForwardSize = 256

  @Option("Width of the latent vectors that the contrastive loss compares (P).", value: "n")
  var latentSize = 64

  @Option("Latent vectors of past steps that the contrastive loss also compares with (Q); 0 for none.", value: "n")
  var queueSize = 8192

  @Option("Share of activations that training drops, from 0 to below 1.", value: "share")
  var dropout: Float = 0.3

  @Option("Temperature of the contrastive loss.", value: "number")
  var temperature: Float = 0.07

  @Option("How much of a prototype stays when one more sample joins it, 0 to 1.", value: "share")
  var prototypeMomentum: Float = 0.99

  @Option(
    "Rows for which the contrastive loss is computed: all, queue included (the released code), or the batch's only.",
    value: "rows")
  var anchors = ModelConfiguration.Anchors.all

  @Option(
    "What enters the queue: the live vectors (the released code), or those of a momentum copy of the model (MoCo).",
    value: "keys")
  var queueKeys = ModelConfiguration.QueueKeys.live

  @Option("How much of the momentum copy stays at each step, 0 to 1.", value: "share")
  var keyMomentum: Float = 0.999

  @Option(
    "Steps behind a sequence's end: attend (like all others: the released code), mask (computed and masked), or packed "
      + "(left out of every product, with mask's results).", value: "how")
  var padding = ModelConfiguration.Padding.packed

  @Option(
    "Steps that unaligned visual and audio sequences are soft-aligned to, with an LSTM; by default none are.",
    value: "n")
  var alignedLength: Int?

  @Option("Weight in the loss: cross-entropy of the scores from plain vectors.", value: "number")
  var plainBceWeight: Float = 0.01
  @Option("Weight: cross-entropy of the scores from alpha vectors.", value: "number")
  var alphaBceWeight: Float = 0.1
  @Option("Weight: cross-entropy of the scores from beta vectors.", value: "number")
  var betaBceWeight: Float = 1
  @Option("Weight: contrastive loss.", value: "number")
  var contrastiveWeight: Float = 1
  @Option("Weight: squared distance of reconstructed from plain vectors.", value: "number")
  var reconstructionMseWeight: Float = 1
  @Option("Weight: squared distance of alpha from plain vectors.", value: "number")
  var alphaMseWeight: Float = 1
  @Option("Weight: squared distance of beta from plain vectors.", value: "number")
  var betaMseWeight: Float = 0
  @Option("Weight: cross-entropy of the aggregated scores.", value: "number")
  var aggregateBceWeight: Float = 1
  @Option("Weight: cross-entropy of the aggregated scores of shuffled betas.", value: "number")
  var shuffledBceWeight: Float = 0.1

  /// Transformer layers of each modality's encoder.
  func depths() throws -> [Int] { try wholeNumbers(layers, option: "--layers", atLeast: 0) }

  func validate() throws { _ = try depths() }

  func apply(to c: inout ModelConfiguration) throws {
    for (m, depth) in try depths().enumerated() { c.modalities[m].layers = depth }
    c.hiddenSize = hiddenSize
    c.heads = heads
    c.feedForwardSize = feedForwardSize
    c.latentSize = latentSize
    c.queueSize = queueSize
    c.dropout = dropout
    c.temperature = temperature
    c.prototypeMomentum = prototypeMomentum
    c.anchors = anchors
    c.queueKeys = queueKeys
    c.keyMomentum = keyMomentum
    c.padding = padding
    for m in c.modalities.indices.dropFirst() { c.modalities[m].alignedSteps = alignedLength }
    let weights: [(LossTerm, Float)] = [
      (.plainBCE, plainBceWeight), (.alphaBCE, alphaBceWeight), (.betaBCE, betaBceWeight),
      (.contrastive, contrastiveWeight), (.reconstructionMSE, reconstructionMseWeight), (.alphaMSE, alphaMseWeight),
      (.betaMSE, betaMseWeight), (.aggregateBCE, aggregateBceWeight), (.shuffledBCE, shuffledBceWeight),
    ]
    for (term, weight) in weights { c.weights[term] = weight }
  }
}

extension MemoryPolicy: ExpressibleByArgument {}
extension ModelConfiguration.Anchors: ExpressibleByArgument {}
extension ModelConfiguration.QueueKeys: ExpressibleByArgument {}
extension ModelConfiguration.Padding: ExpressibleByArgument {}

/// Sizes of a batch of full length, for commands without data.
struct BatchOptions: ParsableArguments {
  @Option("Samples a step (B).", value: "n")
  var batchSize = 64

  @Option("Time steps of each sequence (T), or of text, visual and audio.", value: "n|n,n,n")
  var length = "60"

  @Option("Features a time step of text, visual and audio.", value: "n,n,n")
  var features = "300,35,74"

  @Option("Labels of a sample (C).", value: "n")
  var labels = 6

  /// - Throws: for settings that contradict one another.
  func settings(_ model: ModelOptions, _ shards: ShardOptions) throws -> RunConfiguration {
    let steps = length.contains(",") ? length : "\(length),\(length),\(length)"
    let lengths = try wholeNumbers(steps, option: "--length", atLeast: 1)
    guard lengths.allSatisfy({ $0 <= 1 << 20 }) else {
      throw ValidationError("--length must be between 1 and \(1 << 20), not \(length).")
    }
    var shape = SyntheticDataset.Settings()
    shape.features = try wholeNumbers(features, option: "--features", atLeast: 1)
    shape.steps = lengths
    shape.labels = max(labels, 1)
    var settings = RunConfiguration(for: DatasetShape(of: shape))
    try model.apply(to: &settings.model)
    settings.batchSize = batchSize
    settings.shards = shards.shards ?? settings.defaultShards
    if let contradiction = settings.contradiction { throw SettingsError(description: contradiction) }
    return settings
  }
}

/// Sizes of a generated data set.
struct GenerationOptions: ParsableArguments {
  @Option("Generated samples for training, validation and test.", value: "n,n,n")
  var samples = "1024,256,512"

  @Option("Time steps of the generated sequences, at most; lengths vary.", value: "n")
  var steps = 60

  @Option("Features of a time step of the generated text, visual and audio.", value: "n,n,n")
  var features = "300,35,74"

  @Option("Labels of the generated samples, 1 to 12.", value: "n")
  var labels = 6

  func validate() throws { _ = try settings(seed: 0) }

  func settings(seed: UInt64) throws -> SyntheticDataset.Settings {
    var settings = SyntheticDataset.Settings()
    let counts = try wholeNumbers(samples, option: "--samples", atLeast: 1)
    (settings.train, settings.valid, settings.test) = (counts[0], counts[1], counts[2])
    settings.features = try wholeNumbers(features, option: "--features", atLeast: 1)
    guard counts.allSatisfy({ $0 <= 10_000_000 }) else {
      throw ValidationError("--samples must be at most 10000000 each, not \(samples).")
    }
    guard (1...100_000).contains(steps) else {
      throw ValidationError("--steps must be between 1 and 100000, not \(steps).")
    }
    guard (1...12).contains(labels) else {
      throw ValidationError("--labels must be between 1 and 12, not \(labels).")
    }
    guard settings.features.allSatisfy({ (labels...100_000).contains($0) }) else {
      throw ValidationError(
        "--features must each be at least the number of labels, \(labels), and at most 100000, not \(features).")
    }
    settings.steps = settings.features.map { _ in steps }
    settings.labels = labels
    settings.seed = seed
    return settings
  }
}

/// Which samples of a data set to score.
struct ScoredDataOptions: ParsableArguments {
  enum Split: String, ExpressibleByArgument, CaseIterable {
    case train, valid, test
  }

  @Option("Data set directory, or one .safetensors file.", value: "path")
  var data: String

  @Option("Which split, where --data is a directory.", value: "split")
  var split = Split.test

  @Option("A label is predicted where its score is above this; by default what the run was given.", value: "score")
  var threshold: Float?

  func validate() throws {
    if let threshold, !(threshold >= 0 && threshold <= 1) {
      throw ValidationError("--threshold must be between 0 and 1, not \(threshold).")
    }
  }
}

/// One whole number for each of the three modalities or splits.
func wholeNumbers(_ text: String, option: String, atLeast minimum: Int) throws -> [Int] {
  let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
  guard values.count == 3, values.allSatisfy({ $0 ?? .min >= minimum }) else {
    throw ValidationError(
      "\(option) takes three whole numbers of at least \(minimum) separated by commas, not '\(text)'.")
  }
  return values.compactMap { $0 }
}
