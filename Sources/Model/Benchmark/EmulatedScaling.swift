import Parallel

/// What a step would take on more cores than there are: the real program with as many workers, of which one at a time works
/// within a phase. A step is the sum of its phases' slowest workers.
///
/// It sees imbalance, work that is done more than once, and weights that each worker reads cold. It does not see what cores
/// share: memory's bandwidth, links between nodes, clocks that fall when all cores work; nor the barriers.
public struct EmulatedScaling: Encodable, Sendable {
  public struct Point: Encodable, Sendable {
    public let workers: Int
    public let nodes: Int
    public let secondsPerStep: Double
    /// Over one real worker.
    public let speedup: Double
    public let efficiency: Double
    public let phases: [String: Phase]

    private enum CodingKeys: String, CodingKey {
      case workers, nodes, speedup, efficiency, phases
      case secondsPerStep = "seconds_per_step"
    }
  }

  /// Seconds of a phase: of its slowest worker, of all on average, and of all together.
  public struct Phase: Encodable, Sendable {
    public internal(set) var slowest = 0.0
    public internal(set) var mean = 0.0
    public internal(set) var total = 0.0
    /// Its place in a step.
    public let order: Int

    private enum CodingKeys: String, CodingKey { case slowest, mean, total }
  }

  /// A step of one real worker: the median.
  public let oneWorkerSeconds: Double
  public let batchSize: Int
  public let steps: Int
  public let points: [Point]

  private enum CodingKeys: String, CodingKey {
    case steps
    case points = "emulated"
    case oneWorkerSeconds = "one_worker_seconds"
    case batchSize = "batch_size"
  }

  /// - Parameters:
  ///   - workers: numbers of workers.
  ///   - nodes: NUMA nodes that they are on.
  ///   - steps: measured steps of each, after two that are not.
  ///   - meanLength: as of `RandomSource`.
  ///   - report: gets each point as it is done.
  public init(
    _ settings: RunConfiguration, workers: [Int], nodes: Int, steps: Int, meanLength: Double,
    report: (Point) throws -> Void
  ) throws {
    try settings.requireMemory()
    batchSize = settings.batchSize
    self.steps = steps
    let topology = Topology.current()
    let single = try PreparedBenchmark(
      settings, team: WorkerTeam(placement: Placement(topology, workers: 1)), capacity: steps, meanLength: meanLength)
    single.warmUp(steps: 2)
    let one = Spread(single.time(steps: steps)).median
    oneWorkerSeconds = one
    points = try workers.map { count in
      let placement = Placement(emulatedNodes: min(nodes, count), workers: count, on: topology)
      let turns = Turns(count)
      let prepared = try PreparedBenchmark(
        settings, team: WorkerTeam(placement: placement), capacity: steps, meanLength: meanLength, turns: turns)
      prepared.warmUp(steps: 2)
      let measured = (0..<steps).map { _ in
        _ = prepared.time(steps: 1)
        return turns.phases
      }
      let point = Point(measured, workers: count, nodes: min(nodes, count), oneWorker: one)
      try report(point)
      return point
    }
  }
}

extension EmulatedScaling.Point {
  /// - Parameter measured: of each step its phases, in order.
  init(_ measured: [[Turns.Phase]], workers: Int, nodes: Int, oneWorker: Double) {
    var phases: [String: EmulatedScaling.Phase] = [:]
    for (number, phase) in measured[0].enumerated() {
      // A worker's median over the steps, for the system disturbs now this one, now that one.
      let seconds = phase.seconds.indices.map { worker in
        Spread(measured.map { $0[number].seconds[worker] }).median
      }
      var sum = phases[phase.name] ?? EmulatedScaling.Phase(order: number)
      let total = seconds.reduce(0, +)
      sum.slowest += seconds.max() ?? 0
      sum.total += total
      sum.mean += total / Double(seconds.count)
      phases[phase.name] = sum
    }
    self.phases = phases
    self.workers = workers
    self.nodes = nodes
    secondsPerStep = phases.values.reduce(0) { $0 + $1.slowest }
    speedup = oneWorker / secondsPerStep
    efficiency = speedup / Double(workers)
  }
}
