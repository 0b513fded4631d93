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
  /// An option that may be absent: what it stands for is then what `base` says, or what the help says.
  init<T: ExpressibleByArgument>(_ help: String, value: String, base: (any CustomStringConvertible)? = nil)
  where Value == T? {
    let suffix = base.map { " (default: \($0))" } ?? ""
    self.init(parsing: .unconditional, help: ArgumentHelp(stringLiteral: help + suffix).named(value))
  }
}

extension ArgumentHelp {
  fileprivate func named(_ value: String) -> ArgumentHelp {
    var help = self
    help.valueName = value
    return help
  }
}

/// The settings of the released code, for data of MOSEI's shape: what options change.
let released = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))

/// How many threads a command computes with, and where their memory lies.
struct WorkerOptions: ParsableArguments {
  @Option(
    "Threads, each on a core of its own; by default one for each core that this process may use. Results do not "
      + "depend on it.", value: "n")
  var workers: Int?

  @OptionGroup(title: "Workers") var placement: PlacementOptions

  func validate() throws {
    if let workers, !(1...WorkerTeam.maxCount).contains(workers) {
      throw ValidationError("--workers must be between 1 and \(WorkerTeam.maxCount), not \(workers).")
    }
  }
}

/// Where a team's threads and memory lie.
struct PlacementOptions: ParsableArguments {
  @Option(
    "Where memory goes on a machine of several NUMA nodes: node-local (the default: a worker's memory on its node, "
      + "parameters on every node, what is shared interleaved), interleave (all interleaved), or off (the kernel is "
      + "asked for nothing). Results do not depend on it.", value: "policy")
  var numa: MemoryPolicy?

  @Flag(help: "Tell on the standard error where workers and memory went.")
  var verbose = false

  func tell(_ placement: Placement) {
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

/// Sizes of the model, settings of its loss. What is not given stays as it is.
struct ModelOptions: ParsableArguments {
  @Option(
    "Transformer layers of the text, visual and audio encoder.", value: "n,n,n",
    base: released.model.modalities.map { "\($0.layers)" }.joined(separator: ","))
  var layers: String?

  @Option("Width of the encoders (D); a multiple of --heads.", value: "n", base: released.model.hiddenSize)
  var hiddenSize: Int?

  @Option("Attention heads (H).", value: "n", base: released.model.heads)
  var heads: Int?

  @Option("Width of the transformers' feed-forward layers.", value: "n", base: released.model.feedForwardSize)
  var feedForwardSize: Int?

  @Option(
    "Width of the latent vectors that the contrastive loss compares (P).", value: "n", base: released.model.latentSize)
  var latentSize: Int?

  @Option(
    "Latent vectors of past steps that the contrastive loss also compares with (Q); 0 for none.", value: "n",
    base: released.model.queueSize)
  var queueSize: Int?

  @Option(
    "Share of activations that training drops, from 0 to below 1.", value: "share", base: released.model.dropout)
  var dropout: Float?

  @Option("Temperature of the contrastive loss.", value: "number", base: released.model.temperature)
  var temperature: Float?

  @Option(
    "How much of a prototype stays when one more sample joins it, 0 to 1.", value: "share",
    base: released.model.prototypeMomentum)
  var prototypeMomentum: Double?

  @Option(
    "Rows for which the contrastive loss is computed: all, queue included (the released code), or the batch's only.",
    value: "rows", base: released.model.anchors.rawValue)
  var anchors: ModelConfiguration.Anchors?

  @Option(
    "What enters the queue: the live vectors (the released code), or those of a momentum copy of the model (MoCo).",
    value: "keys", base: released.model.queueKeys.rawValue)
  var queueKeys: ModelConfiguration.QueueKeys?

  @Option("How much of the momentum copy stays at each step, 0 to 1.", value: "share", base: released.model.keyMomentum)
  var keyMomentum: Double?

  @Option(
    "Steps behind a sequence's end: attend (like all others: the released code), mask (computed and masked), or packed "
      + "(left out of every product, with mask's results).", value: "how", base: released.model.padding.rawValue)
  var padding: ModelConfiguration.Padding?

  @Option(
    "Steps that unaligned visual and audio sequences are soft-aligned to, with an LSTM; by default none are.",
    value: "n")
  var alignedLength: Int?

  @Option(
    "Weight in the loss: cross-entropy of the scores from plain vectors.", value: "number",
    base: released.model.weights[.plainBCE])
  var plainBceWeight: Float?
  @Option(
    "Weight: cross-entropy of the scores from alpha vectors.", value: "number", base: released.model.weights[.alphaBCE])
  var alphaBceWeight: Float?
  @Option(
    "Weight: cross-entropy of the scores from beta vectors.", value: "number", base: released.model.weights[.betaBCE])
  var betaBceWeight: Float?
  @Option("Weight: contrastive loss.", value: "number", base: released.model.weights[.contrastive])
  var contrastiveWeight: Float?
  @Option(
    "Weight: squared distance of reconstructed from plain vectors.", value: "number",
    base: released.model.weights[.reconstructionMSE])
  var reconstructionMseWeight: Float?
  @Option(
    "Weight: squared distance of alpha from plain vectors.", value: "number", base: released.model.weights[.alphaMSE])
  var alphaMseWeight: Float?
  @Option(
    "Weight: squared distance of beta from plain vectors.", value: "number", base: released.model.weights[.betaMSE])
  var betaMseWeight: Float?
  @Option(
    "Weight: cross-entropy of the aggregated scores.", value: "number", base: released.model.weights[.aggregateBCE])
  var aggregateBceWeight: Float?
  @Option(
    "Weight: cross-entropy of the aggregated scores of shuffled betas.", value: "number",
    base: released.model.weights[.shuffledBCE])
  var shuffledBceWeight: Float?

  /// Transformer layers of each modality's encoder, of so many; nil if not given.
  private func depths(_ count: Int?) throws -> [Int]? {
    try layers.map { try wholeNumbers($0, count: count, option: "--layers", atLeast: 0) }
  }

  func validate() throws { _ = try depths(nil) }

  func apply(to c: inout ModelConfiguration) throws {
    for (m, depth) in (try depths(c.modalities.count) ?? []).enumerated() { c.modalities[m].layers = depth }
    set(&c.hiddenSize, hiddenSize)
    set(&c.heads, heads)
    set(&c.feedForwardSize, feedForwardSize)
    set(&c.latentSize, latentSize)
    set(&c.queueSize, queueSize)
    set(&c.dropout, dropout)
    set(&c.temperature, temperature)
    set(&c.prototypeMomentum, prototypeMomentum)
    set(&c.anchors, anchors)
    set(&c.queueKeys, queueKeys)
    set(&c.keyMomentum, keyMomentum)
    set(&c.padding, padding)
    if let alignedLength {
      for m in c.modalities.indices.dropFirst() { c.modalities[m].alignedSteps = alignedLength }
    }
    let weights: [(LossTerm, Float?)] = [
      (.plainBCE, plainBceWeight), (.alphaBCE, alphaBceWeight), (.betaBCE, betaBceWeight),
      (.contrastive, contrastiveWeight), (.reconstructionMSE, reconstructionMseWeight), (.alphaMSE, alphaMseWeight),
      (.betaMSE, betaMseWeight), (.aggregateBCE, aggregateBceWeight), (.shuffledBCE, shuffledBceWeight),
    ]
    for (term, weight) in weights { set(&c.weights[term], weight) }
  }
}

/// Changes a setting if an option was given.
func set<T>(_ setting: inout T, _ option: T?) {
  if let option { setting = option }
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

/// Sizes of a generated data set. What is not given stays as it is.
struct GenerationOptions: ParsableArguments {
  @Option("Generated samples for training, validation and test.", value: "n,n,n", base: "1024,256,512")
  var samples: String?

  @Option("Time steps of the generated sequences, at most; lengths vary.", value: "n", base: 60)
  var steps: Int?

  @Option("Features of a time step of the generated text, visual and audio.", value: "n,n,n", base: "300,35,74")
  var features: String?

  @Option("Labels of the generated samples, 1 to 12.", value: "n", base: 6)
  var labels: Int?

  func validate() throws { _ = try settings() }

  /// Whether any of them was given.
  var areGiven: Bool { samples != nil || steps != nil || features != nil || labels != nil }

  func settings(_ base: SyntheticDataset.Settings? = nil) throws -> SyntheticDataset.Settings {
    var settings = base ?? Self.defaults
    if let samples {
      let counts = try wholeNumbers(samples, option: "--samples", atLeast: 1)
      guard counts.allSatisfy({ $0 <= 10_000_000 }) else {
        throw ValidationError("--samples must be at most 10000000 each, not \(samples).")
      }
      (settings.train, settings.valid, settings.test) = (counts[0], counts[1], counts[2])
    }
    if let features { settings.features = try wholeNumbers(features, option: "--features", atLeast: 1) }
    set(&settings.labels, labels)
    guard (1...12).contains(settings.labels) else {
      throw ValidationError("--labels must be between 1 and 12, not \(settings.labels).")
    }
    guard settings.features.allSatisfy({ (settings.labels...100_000).contains($0) }) else {
      throw ValidationError(
        "--features must each be at least the number of labels, \(settings.labels), and at most 100000, not "
          + settings.features.map(String.init).joined(separator: ",") + ".")
    }
    if let steps {
      guard (1...100_000).contains(steps) else {
        throw ValidationError("--steps must be between 1 and 100000, not \(steps).")
      }
      settings.steps = settings.features.map { _ in steps }
    }
    return settings
  }

  private static var defaults: SyntheticDataset.Settings {
    var settings = SyntheticDataset.Settings()
    (settings.train, settings.valid, settings.test) = (1024, 256, 512)
    return settings
  }
}

/// Which samples of a data set to score.
struct ScoredDataOptions: ParsableArguments {
  enum Split: String, ExpressibleByArgument, CaseIterable {
    case train, valid, test
  }

  @Option("Data set directory, or one .safetensors or .npz file.", value: "path")
  var data: String

  @Option("Which split, where --data is a directory.", value: "split")
  var split = Split.test

  @Option("A label is predicted where its score is above this; by default what the run was given.", value: "score")
  var threshold: Float?

  @Option("Weights instead of the run's best ones, such as scripts/weights makes of a PyTorch file.", value: "file")
  var weights: String?

  func validate() throws {
    if let threshold, !(threshold >= 0 && threshold <= 1) {
      throw ValidationError("--threshold must be between 0 and 1, not \(threshold).")
    }
  }
}

/// Whole numbers, so many if a count is given: one for each modality or split.
func wholeNumbers(_ text: String, count: Int? = 3, option: String, atLeast minimum: Int) throws -> [Int] {
  let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
  guard count.map({ $0 == values.count }) ?? true, values.allSatisfy({ $0 ?? .min >= minimum }) else {
    let number = count.map { "\($0) " } ?? ""
    throw ValidationError(
      "\(option) takes \(number)whole numbers of at least \(minimum) separated by commas, not '\(text)'.")
  }
  return values.compactMap { $0 }
}
