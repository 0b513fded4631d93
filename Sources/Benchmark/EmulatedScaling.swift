import Model
import Parallel

/// What a step would take on more cores than there are: the real program with as many workers, of which one at a time works
/// within a phase. A step is the sum of its phases' slowest workers.
///
/// It sees imbalance, work that is done more than once, and weights that each worker reads cold. It does not see what cores
/// share: memory's bandwidth, links between nodes, clocks that fall when all cores work; nor the barriers.
package struct EmulatedScaling: Encodable, Sendable {
  package struct Point: Encodable, Sendable {
    package let workers: Int
    package let nodes: Int
    package let secondsPerStep: Double
    /// Over one worker.
    package let speedup: Double
    package let efficiency: Double
    package let phases: [String: Phase]
    package let batchSize: Int
    /// That a worker meets in a step.
    package let barriers: Int
    package let bytes: StepBytes

    private enum CodingKeys: String, CodingKey {
      case workers, nodes, speedup, efficiency, phases, barriers, bytes
      case batchSize = "batch_size"
      case secondsPerStep = "seconds_per_step"
    }
  }

  /// Seconds of a phase: of its slowest worker, of all on average, and of all together.
  package struct Phase: Encodable, Sendable {
    package internal(set) var slowest = 0.0
    package internal(set) var mean = 0.0
    package internal(set) var total = 0.0
    /// Its place in a step.
    package let order: Int

    private enum CodingKeys: String, CodingKey { case slowest, mean, total }
  }

  /// A step of one worker, by the same reckoning, and as it is by the clock: the fastest.
  package let oneWorkerSeconds: Double
  package let oneWorkerStep: Double
  package let batchSize: Int
  package let steps: Int
  package let points: [Point]

  private enum CodingKeys: String, CodingKey {
    case steps
    case points = "emulated"
    case oneWorkerSeconds = "one_worker_seconds"
    case oneWorkerStep = "one_worker_step"
    case batchSize = "batch_size"
  }

  /// - Parameters:
  ///   - workers: numbers of workers.
  ///   - nodes: NUMA nodes that they are on.
  ///   - steps: measured steps of each, after two that are not.
  ///   - meanLength: as of `RandomSource`.
  ///   - report: gets each point as it is done.
  package init(
    _ settings: RunConfiguration, workers: [Int], nodes: Int, steps: Int, meanLength: Double,
    report: (Point) throws -> Void
  ) throws {
    try settings.requireMemory()
    batchSize = settings.batchSize
    self.steps = steps
    let topology = Topology.current()
    func measure(_ count: Int) throws -> (phases: [String: Phase], step: Double, prepared: PreparedBenchmark) {
      let placement = Placement(emulatedNodes: min(nodes, count), workers: count, on: topology)
      let turns = Turns(count)
      let prepared = try PreparedBenchmark(
        settings, team: WorkerTeam(placement: placement), capacity: steps, meanLength: meanLength, turns: turns)
      prepared.warmUp(steps: 2)
      var (measured, fastest) = ([[Turns.Phase]](), Double.infinity)
      for _ in 0..<steps {
        fastest = min(fastest, prepared.time(steps: 1)[0])
        measured.append(turns.phases)
      }
      return (Self.phases(measured), fastest, prepared)
    }
    let one = try measure(1)
    oneWorkerStep = one.step
    let oneWorker = one.phases.values.reduce(0) { $0 + $1.slowest }
    oneWorkerSeconds = oneWorker
    points = try workers.map { count in
      let (phases, _, prepared) = try measure(count)
      let seconds = phases.values.reduce(0) { $0 + $1.slowest }
      let point = Point(
        workers: count, nodes: min(nodes, count), secondsPerStep: seconds, speedup: oneWorker / seconds,
        efficiency: oneWorker / seconds / Double(count), phases: phases, batchSize: settings.batchSize,
        barriers: prepared.barriers(ofSteps: steps), bytes: prepared.training.bytes)
      try report(point)
      return point
    }
  }

  /// - Parameter measured: of each step its phases, in order.
  private static func phases(_ measured: [[Turns.Phase]]) -> [String: Phase] {
    var phases: [String: Phase] = [:]
    for (number, phase) in measured[0].enumerated() {
      // A worker's fastest of all steps: what the system does besides only ever adds, now to this one, now to that one.
      let seconds = phase.seconds.indices.map { worker in
        measured.reduce(Double.infinity) { min($0, $1[number].seconds[worker]) }
      }
      var sum = phases[phase.name] ?? Phase(order: number)
      let total = seconds.reduce(0, +)
      sum.slowest += seconds.max() ?? 0
      sum.total += total
      sum.mean += total / Double(seconds.count)
      phases[phase.name] = sum
    }
    return phases
  }
}
