import Model
import Tensor

/// The median of some values, with the least and the greatest.
package struct Spread: Codable, Sendable, Equatable {
  package let median: Double
  package let least: Double
  package let greatest: Double

  private enum CodingKeys: String, CodingKey {
    case median
    case least = "min"
    case greatest = "max"
  }

  /// - Parameter values: at least one; of an even number the median is the mean of the middle two.
  package init(_ values: some Collection<Double>) {
    precondition(!values.isEmpty, "the spread of no values")
    let sorted = values.sorted()
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    (least, greatest) = (sorted[0], sorted[sorted.count - 1])
  }
}

/// All measurements of one configuration of a scaling experiment, beside those of its mode's fewest workers.
///
/// Ratios are of measurements of the same round, so what drifts from round to round is in neither.
package struct ScalingSummary: Codable, Sendable {
  package let mode: ScalingExperiment.Mode
  /// Of all ranks.
  package let workers: Int
  package let ranks: Int
  package let batchSize: Int
  package let repeats: Int
  package let secondsPerStep: Spread
  package let samplesPerSecond: Spread
  /// Samples per second over those of the fewest workers.
  package let speedup: Spread
  /// The speed-up over the ratio of workers: 1 is ideal.
  package let efficiency: Spread
  /// The same of matrix operations per second: for weak scaling, where a sample of a larger batch is more work.
  package let workEfficiency: Spread
  /// Of all workers.
  package let sgemmGFLOPS: Spread
  package let sgemmShare: Spread
  /// Median over the measurements, seconds per step.
  package let phases: [String: Double]

  private enum CodingKeys: String, CodingKey {
    case mode, workers, ranks, repeats, speedup, efficiency, phases
    case batchSize = "batch_size"
    case secondsPerStep = "seconds_per_step"
    case samplesPerSecond = "samples_per_second"
    case workEfficiency = "work_efficiency"
    case sgemmGFLOPS = "sgemm_gflops"
    case sgemmShare = "sgemm_share"
  }

  /// - Parameters:
  ///   - measurements: of one configuration, one a round.
  ///   - base: of the fewest workers in the same mode, of the same rounds.
  init(_ measurements: [ScalingMeasurement], base: [ScalingMeasurement]) {
    precondition(measurements.map(\.round) == base.map(\.round), "rounds that differ from the base's")
    let first = measurements[0]
    (mode, workers, ranks) = (first.mode, first.workers, first.ranks)
    (batchSize, repeats) = (first.batchSize, measurements.count)
    secondsPerStep = Spread(measurements.map(\.secondsPerStep))
    samplesPerSecond = Spread(measurements.map(\.samplesPerSecond))
    sgemmGFLOPS = Spread(measurements.map(\.sgemmGFLOPS))
    sgemmShare = Spread(measurements.map(\.sgemmShare))
    let pairs = zip(measurements, base)
    let speedups = pairs.map { $0.samplesPerSecond / $1.samplesPerSecond }
    let ratio = Double(first.workers) / Double(base[0].workers)
    speedup = Spread(speedups)
    efficiency = Spread(speedups.map { $0 / ratio })
    let workPerSample = pairs.map {
      $0.operations.total / Double($0.batchSize) / ($1.operations.total / Double($1.batchSize))
    }
    workEfficiency = Spread(zip(speedups, workPerSample).map { $0 * $1 / ratio })
    let names = Set(measurements.flatMap(\.phases.keys))
    phases = Dictionary(
      uniqueKeysWithValues: names.map { name in (name, Spread(measurements.map { $0.phases[name] ?? 0 }).median) })
  }

  /// One a configuration, in the order in which they were measured.
  package static func summaries(of measurements: [ScalingMeasurement]) -> [ScalingSummary] {
    var summaries = [ScalingSummary]()
    for first in measurements.prefix(while: { $0.round == measurements[0].round }) {
      let ofMode = measurements.filter { $0.mode == first.mode }
      let fewest = ofMode.map(\.workers).min()
      summaries.append(
        ScalingSummary(
          ofMode.filter { $0.workers == first.workers }, base: ofMode.filter { $0.workers == fewest }))
    }
    return summaries
  }
}
