import Foundation
import Parallel
import Tensor

/// A run: epochs of training steps, an evaluation after each, the best epoch's weights tested at the end.
public final class Trainer {
  /// What a run tells while it goes on; `metrics.jsonl` holds the same records.
  public enum Progress: Sendable {
    case step(StepRecord)
    case evaluation(EvaluationRecord)
  }

  /// One training step.
  public struct StepRecord: Codable, Sendable {
    public let event: String
    /// Counted from 1, over all epochs.
    public let step: Int
    public let epoch: Int
    public let loss: Double
    /// Unweighted loss terms by name.
    public let terms: [String: Double]
    public let learningRate: Float
    public let samplesPerSecond: Double

    private enum CodingKeys: String, CodingKey {
      case event, step, epoch, loss, terms
      case learningRate = "learning_rate"
      case samplesPerSecond = "samples_per_second"
    }
  }

  /// One evaluation of a split.
  public struct EvaluationRecord: Codable, Sendable {
    public let event: String
    public let split: String
    public let step: Int
    public let epoch: Int
    public let metrics: EvaluationMetrics
    /// Whether it is the best of its split so far, by micro-F1; later epochs win ties.
    public let best: Bool
  }

  /// Where the run's memory is, found out after its first step.
  public struct PlacementRecord: Encodable, Sendable {
    public let event = "placement"
    public let step: Int
    public let workers: [Placement.Worker]
    public let check: PlacementCheck

    private enum CodingKeys: String, CodingKey { case event, step, workers }

    public func encode(to encoder: any Swift.Encoder) throws {
      try check.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(event, forKey: .event)
      try container.encode(step, forKey: .step)
      try container.encode(workers, forKey: .workers)
    }
  }

  /// What a finished run comes to.
  public struct Result: Codable, Sendable {
    public let test: EvaluationMetrics
    public let valid: EvaluationMetrics
    public let bestEpoch: Int
    public let steps: Int
    public let secondsPerStep: Double
    public let samplesPerSecond: Double
    /// Peak resident memory.
    public let peakMiB: Double
    public let workers: Int
    public let shards: Int
    public let placement: PlacementSummary
    /// SHA-256 of the whole training state after the last step.
    public let digest: String

    private enum CodingKeys: String, CodingKey {
      case test, valid, steps, workers, shards, placement, digest
      case bestEpoch = "best_epoch"
      case secondsPerStep = "seconds_per_step"
      case samplesPerSecond = "samples_per_second"
      case peakMiB = "peak_mib"
    }
  }

  /// What became of the plan for a run's memory.
  public struct PlacementSummary: Codable, Sendable {
    /// What the kernel was asked for.
    public let numa: MemoryPolicy
    /// Pages that were looked up after the first step, and those of them that are not where they were to be.
    public let pages: Int
    public let elsewhere: Int
    public let replicas: Int
    /// Whether the replicas had the same bits after the last step.
    public let replicasEqual: Bool

    private enum CodingKeys: String, CodingKey {
      case numa, pages, elsewhere, replicas
      case replicasEqual = "replicas_equal"
    }
  }

  public let configuration: RunConfiguration
  private let dataset: Dataset
  private let directory: RunDirectory
  private let state: TrainingState
  private let step: TrainingStep
  private let evaluator: Evaluator
  private let batch: Batch
  private let team: WorkerTeam

  /// Plans a run's memory, then replaces what an earlier run left in the directory by this one's settings.
  ///
  /// - Throws: `SettingsError` for settings that contradict one another or the data, `MemoryShortage` and `MemoryError`
  ///   where memory is short, and then nothing was written; `DataError` for a directory that can't be written.
  public init(
    _ settings: RunConfiguration, dataset: Dataset, directory: RunDirectory, team: WorkerTeam
  ) throws {
    if let contradiction = settings.contradiction(trainingSamples: dataset.train.count) {
      throw SettingsError(description: contradiction)
    }
    try settings.requireMemory()
    var settings = settings
    settings.optimizer.totalSteps = settings.stepsPerEpoch(trainingSamples: dataset.train.count) * settings.epochs
    configuration = settings
    self.dataset = dataset
    self.directory = directory
    self.team = team
    let plan = try ShardPlan(batchSize: settings.batchSize, shards: settings.shards, workers: team.ranks.workerCount)
    (state, step) = try MemoryNeed.checking {
      let state = try TrainingState(CARAT(settings.model), placement: team.placement)
      let step = try TrainingStep(
        state, optimizer: settings.optimizer, plan: plan, team: team, seed: settings.seed)
      return (state, step)
    }
    state.initialize(seed: settings.seed)
    evaluator = Evaluator(step)
    batch = Batch(settings.model, capacity: settings.batchSize)
    try directory.begin(settings)
  }

  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - logsDigests: whether to write the digests of each step, for `RunDifference`.
  ///   - report: hears of each step and evaluation.
  public func run(logsDigests: Bool = false, report: (Progress) -> Void) throws -> Result {
    let c = configuration
    let stepsPerEpoch = c.stepsPerEpoch(trainingSamples: dataset.train.count)
    let metrics = try JSONLinesFile(directory.metrics)
    let digests = logsDigests ? try JSONLinesFile(directory.digests) : nil
    var best: (valid: EvaluationMetrics, epoch: Int)?
    var seconds = 0.0
    var placement: PlacementCheck?
    for epoch in 1...c.epochs {
      let order = sampleOrder(epoch: epoch)
      for k in 0..<stepsPerEpoch {
        let start = ContinuousClock.now
        batch.fill(order[k * c.batchSize..<(k + 1) * c.batchSize], of: dataset.train, step: state.step)
        batch.shuffle.draw(seed: c.seed, step: state.step)
        let next = (k + 1) * c.batchSize
        dataset.train.prepare(
          order[next..<min(next + c.batchSize, order.count)],
          done: order[max(0, next - 2 * c.batchSize)..<next - c.batchSize])
        let result = step.train(on: batch)
        let elapsed = (ContinuousClock.now - start).seconds
        seconds += elapsed
        let record = StepRecord(
          event: "step", step: state.step, epoch: epoch, loss: result.loss,
          terms: Dictionary(uniqueKeysWithValues: result.terms.map { ($0.key.rawValue, $0.value) }),
          learningRate: result.rate, samplesPerSecond: Double(c.batchSize) / elapsed)
        try metrics.append(record)
        try digests?.append(StepDigests(result, step))
        guard result.loss.isFinite else { throw Diverged(step: state.step, metrics: directory.metrics) }
        report(.step(record))
        if placement == nil {
          // Now all memory has been touched.
          let check = step.checkPlacement()
          try metrics.append(PlacementRecord(step: state.step, workers: team.placement.workers, check: check))
          placement = check
        }
      }
      let valid = evaluator.metrics(of: dataset.valid, threshold: c.threshold)
      let isBest = valid.microF1 >= best?.valid.microF1 ?? -1
      if isBest {
        best = (valid, epoch)
        try state.writeWeights(to: directory.best)
      }
      let record = EvaluationRecord(
        event: "evaluation", split: "valid", step: state.step, epoch: epoch, metrics: valid, best: isBest)
      try metrics.append(record)
      report(.evaluation(record))
    }
    let digest = state.digest()
    let summary = PlacementSummary(
      numa: team.placement.effectivePolicy, pages: placement?.pages ?? 0, elsewhere: placement?.elsewhere ?? 0,
      replicas: state.replicas.count, replicasEqual: state.replicasAreEqual)
    try state.write(to: directory.state)
    guard let best else { preconditionFailure("a run of \(c.epochs) epochs evaluated none") }
    try state.loadWeights(from: SafetensorsFile(path: directory.best))
    let test = evaluator.metrics(of: dataset.test, threshold: c.threshold)
    let record = EvaluationRecord(
      event: "evaluation", split: "test", step: state.step, epoch: best.epoch, metrics: test, best: true)
    try metrics.append(record)
    report(.evaluation(record))
    return Result(
      test: test, valid: best.valid, bestEpoch: best.epoch, steps: state.step,
      secondsPerStep: seconds / Double(max(state.step, 1)),
      samplesPerSecond: Double(state.step * c.batchSize) / max(seconds, 1e-9), peakMiB: peakMemory(),
      workers: team.count, shards: c.shards, placement: summary, digest: digest)
  }

  /// The training split's samples in an epoch's order.
  private func sampleOrder(epoch: Int) -> [Int] {
    let key = RandomKey(seed: configuration.seed).derived(RandomPurpose.sampleOrder.rawValue)
    let count = dataset.train.count
    let order = [Int32](unsafeUninitializedCapacity: count) { buffer, filled in
      if let base = buffer.baseAddress { key.fillPermutation(base, count: count, stream: UInt32(epoch)) }
      filled = count
    }
    return order.map(Int.init)
  }
}

/// A loss that is no longer a number: nothing that follows could be of use.
public struct Diverged: Error, CustomStringConvertible, Sendable {
  public let step: Int
  public let metrics: String

  public var description: String {
    "training diverged: the loss of step \(step) is not a finite number (see \(metrics)); choose a lower "
      + "--learning-rate, or look for features of extreme size in the data"
  }
}

/// The process's peak resident memory, in MiB.
public func peakMemory() -> Double {
  var usage = rusage()
  getrusage(numericCast(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) / 1024
}

extension Duration {
  /// In seconds.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
