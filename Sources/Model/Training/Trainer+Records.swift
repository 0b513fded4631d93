import Foundation
import Parallel

extension Trainer {
  /// What a run tells while it trains; `metrics.jsonl` holds the same records.
  public enum Progress: Sendable {
    case step(StepRecord)
    case skipped(NonFiniteRecord)
    case evaluation(EvaluationRecord)
    /// That so many of a split's samples have been scored.
    case evaluating(split: String, done: Int, count: Int)
  }

  /// That the run begins, or continues from a checkpoint.
  package struct StartRecord: Encodable, Sendable {
    package let event = "start"
    /// Steps that were taken before.
    package let step: Int
    package let workers: Int
    package let ranks: Int
    /// As they are, where they were asked for.
    package let positiveWeights: PositiveWeights?

    private enum CodingKeys: String, CodingKey {
      case event, step, workers, ranks
      case positiveWeights = "positive_weights"
    }
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
    /// The norm of all gradients together, before they were clipped.
    public let gradientNorm: Double
    public let samplesPerSecond: Double

    private enum CodingKeys: String, CodingKey {
      case event, step, epoch, loss, terms
      case learningRate = "learning_rate"
      case gradientNorm = "gradient_norm"
      case samplesPerSecond = "samples_per_second"
    }
  }

  /// What the time of an epoch's steps went into.
  struct PhasesRecord: Encodable, Sendable {
    let event = "phases"
    let step: Int
    let epoch: Int
    /// Over how many steps these are means: fewer than an epoch's in one that continued from a checkpoint.
    let steps: Int
    let secondsPerStep: Double
    /// Of a step, by phase, the mean over this rank's workers; batches, logs and checkpoints between the steps are `between`.
    let seconds: [String: Double]

    private enum CodingKeys: String, CodingKey {
      case event, step, epoch, steps, seconds
      case secondsPerStep = "seconds_per_step"
    }

    init(step: Int, epoch: Int, steps: Int, seconds: Double, phases: [StepPhase: Double]) {
      (self.step, self.epoch, self.steps) = (step, epoch, steps)
      let count = Double(max(steps, 1))
      secondsPerStep = seconds / count
      var each = Dictionary(uniqueKeysWithValues: phases.map { ($0.name, $1 / count) })
      each["between"] = max(0, secondsPerStep - each.values.reduce(0, +))
      self.seconds = each
    }
  }

  /// One evaluation of a split.
  public struct EvaluationRecord: Codable, Sendable {
    public let event: String
    public let split: String
    public let step: Int
    public let epoch: Int
    public let metrics: EvaluationMetrics
    /// Whether it is the best of its split so far, by the run's `bestBy`; later epochs win ties.
    public let best: Bool
    /// Which weights were measured, where a run averages them; nil where it does not.
    public var weights: Weights?
    /// Of the test split, with thresholds that were tuned on the validation split.
    public var tuned: Result.Tuned?

    public enum Weights: String, Codable, Sendable {
      case live, averaged

      init(isAveraged: Bool) { self = isAveraged ? .averaged : .live }
    }
  }

  /// A step whose loss or gradients were not finite. It changed nothing.
  public struct NonFiniteRecord: Codable, Sendable {
    public let event: String
    public let step: Int
    public let epoch: Int
    public let found: NonFinite
    /// Whether the run continued.
    public let skipped: Bool
  }

  /// Where the run's memory is, found out after the first step since it was started or resumed.
  package struct PlacementRecord: Encodable, Sendable {
    package let event = "placement"
    package let step: Int
    package let workers: [Placement.Worker]
    package let check: PlacementCheck
    package let traffic: TrafficBetweenNodes

    private enum CodingKeys: String, CodingKey {
      case event, step, workers
      case traffic = "step_bytes_between_nodes"
    }

    package func encode(to encoder: any Encoder) throws {
      try check.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(event, forKey: .event)
      try container.encode(step, forKey: .step)
      try container.encode(workers, forKey: .workers)
      try container.encode(traffic, forKey: .traffic)
    }
  }

  /// How a run ended.
  public enum Outcome: Sendable {
    case finished(Result)
    /// Stopped when it was asked to, and saved.
    case stopped(step: Int, checkpoint: String)
  }

  /// What a finished run comes to.
  public struct Result: Codable, Sendable {
    public let test: EvaluationMetrics
    public let valid: EvaluationMetrics
    /// With thresholds that were tuned on the validation split, if the run did that.
    public let tuned: Tuned?
    public let bestEpoch: Int
    /// Which weights were the best, where the run averages them.
    public let weights: EvaluationRecord.Weights?
    public let steps: Int
    public let secondsPerStep: Double
    public let samplesPerSecond: Double
    /// Peak resident memory.
    public let peakMiB: Double
    /// The limit that the run was given, if it was.
    public let maxSteps: Int?
    /// True where the run ended because its patience did.
    public let stoppedEarly: Bool?
    /// Of all ranks.
    public let workers: Int
    public let ranks: Int
    /// Of a run with audits.
    package let audit: AuditCounts?
    package let placement: PlacementSummary
    /// What ended the run; nil in results of earlier versions.
    package let environment: RunEnvironment?
    /// When it ended, in UTC as ISO 8601 writes it; nil in results of earlier versions.
    public let time: String?
    /// SHA-256 of the whole training state after the last step; empty on ranks above 0.
    public let digest: String

    private enum CodingKeys: String, CodingKey {
      case test, valid, tuned, weights, steps, workers, ranks, audit, placement, environment, time, digest
      case bestEpoch = "best_epoch"
      case secondsPerStep = "seconds_per_step"
      case samplesPerSecond = "samples_per_second"
      case peakMiB = "peak_mib"
      case maxSteps = "max_steps"
      case stoppedEarly = "stopped_early"
    }

    /// The test split by thresholds that the best weights are kept with.
    public struct Tuned: Codable, Sendable {
      /// How they were found.
      public let tuning: ThresholdTuning?
      /// By label.
      public let thresholds: [String: Float]
      public let test: EvaluationMetrics

      init(_ tuning: ThresholdTuning?, _ thresholds: [Float], _ scores: [Float], _ split: DatasetSplit) {
        self.tuning = tuning
        self.thresholds = Dictionary(zip(split.labelNames, thresholds), uniquingKeysWith: { first, _ in first })
        test = Evaluator.metrics(scores, of: split, thresholds: thresholds)
      }
    }
  }

  /// What became of the plan for a run's memory.
  package struct PlacementSummary: Codable, Sendable {
    /// What the kernel was asked for.
    package let numa: MemoryPolicy
    /// Pages that were looked up after the first step, and those of them that are not where they were to be.
    package let pages: Int
    package let elsewhere: Int
    package let replicas: Int
    /// Whether the replicas had the same bits after the last step.
    package let replicasEqual: Bool

    private enum CodingKeys: String, CodingKey {
      case numa, pages, elsewhere, replicas
      case replicasEqual = "replicas_equal"
    }
  }
}

/// The process's peak resident memory, in MiB.
package func peakMemory() -> Double {
  var usage = rusage()
  getrusage(numericCast(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) / 1024
}

extension Duration {
  /// In seconds.
  package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
