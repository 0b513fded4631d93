import Model
import Parallel
import Tensor

/// Times training steps on several numbers of workers, in turn: a round measures every configuration once, and then the
/// next round begins, so that what drifts slowly (clock rates, other programs) meets all alike.
///
/// A configuration is planned anew for each measurement. So the memory that is needed is that of the largest, no other
/// team's threads are there, and where pages happen to lie is part of the spread.
package struct ScalingExperiment: Sendable {
  package enum Mode: String, Codable, Sendable, CaseIterable {
    /// The batch stays as it is.
    case strong
    /// The batch grows with the workers of all ranks; the contrastive loss's work grows with the square of its live rows.
    case weak
  }

  package struct Configuration: Sendable, Equatable {
    package let mode: Mode
    package let workersPerRank: Int
    package let settings: RunConfiguration
  }

  package let configurations: [Configuration]
  private let ranks: Int

  /// - Parameters:
  ///   - settings: what is measured; for weak scaling its batch size is that of one worker.
  ///   - workers: numbers of workers of each rank.
  /// - Throws: for settings that contradict one another, or need more memory than there is.
  package init(_ settings: RunConfiguration, workers: [Int], modes: [Mode], ranks: Int) throws {
    self.ranks = ranks
    configurations = try modes.flatMap { mode in
      try workers.map { count in
        var own = settings
        if mode == .weak { own.batchSize *= count * ranks }
        if let contradiction = own.contradiction {
          throw SettingsError(description: "\(mode.rawValue) scaling on \(count * ranks) workers: \(contradiction)")
        }
        try own.requireMemory()
        return Configuration(mode: mode, workersPerRank: count, settings: own)
      }
    }
  }

  /// Measures every configuration `repeats` times. Of several ranks, all have to; times are rank 0's.
  ///
  /// - Parameters:
  ///   - steps: timed steps of a measurement, after two that are not.
  ///   - team: starts a team of so many workers on this rank.
  ///   - report: gets each measurement as it is done.
  package func run(
    repeats: Int, steps: Int, team: (_ workers: Int) throws -> WorkerTeam,
    report: (ScalingMeasurement) throws -> Void
  ) throws -> [ScalingMeasurement] {
    precondition(repeats > 0 && steps > 0, "\(repeats) repeats of \(steps) steps")
    var measurements = [ScalingMeasurement]()
    for round in 0..<repeats {
      for configuration in configurations {
        let team = try team(configuration.workersPerRank)
        let prepared = try PreparedBenchmark(configuration.settings, team: team, capacity: steps)
        let measurement = ScalingMeasurement(configuration, prepared, round: round, steps: steps)
        measurements.append(measurement)
        try report(measurement)
      }
    }
    return measurements
  }
}
