import Foundation
import Parallel
import Tensor

/// Times training steps on random inputs with a full queue, and the machine's own matrix products beside them. Of several
/// ranks, all have to do it; times, phases and the trace are those of rank 0.
public struct Benchmark: Encodable, Sendable {
  /// Median over the timed steps.
  public let secondsPerStep: Double
  public let fastest: Double
  public let slowest: Double
  public let samplesPerSecond: Double
  /// oneDNN's sgemm on all workers at once: the median of its rates before, between the halves of, and after the steps.
  public let sgemmGFLOPS: Double
  /// Matrix operations of a step over the time it takes, relative to sgemm's rate.
  public let sgemmShare: Double
  public let peakMiB: Double
  /// Of all ranks.
  public let workers: Int
  public let ranks: Int
  public let shards: Int
  public let batchSize: Int
  public let steps: Int
  public let anchors: ModelConfiguration.Anchors
  /// Seconds a step by phase, mean over workers and steps.
  public let phases: [String: Double]
  /// The timed steps of this rank's workers in Chrome's trace format, as `Timeline.trace` gives it; nil unless asked for.
  public let trace: String?

  private enum CodingKeys: String, CodingKey {
    case fastest, slowest, workers, ranks, shards, steps, anchors, phases
    case secondsPerStep = "seconds_per_step"
    case samplesPerSecond = "samples_per_second"
    case sgemmGFLOPS = "sgemm_gflops"
    case sgemmShare = "sgemm_share"
    case peakMiB = "peak_mib"
    case batchSize = "batch_size"
  }

  /// - Parameters:
  ///   - steps: timed steps, after two that are not.
  ///   - meanLength: of the sequences, as a share of the full length.
  ///   - overlapsExchange: as of `TrainingStep`.
  ///   - traces: whether to keep a timeline of the timed steps.
  public init(
    _ settings: RunConfiguration, steps: Int, team: WorkerTeam, meanLength: Double = 1, overlapsExchange: Bool = true,
    traces: Bool = false
  ) throws {
    precondition(steps > 0, "\(steps) timed steps")
    let prepared = try PreparedBenchmark(settings, team: team, capacity: steps, meanLength: meanLength)
    prepared.training.overlapsExchange = overlapsExchange
    prepared.warmUp(steps: 2)
    var rates = [Self.sgemmRate(team)]
    var seconds = prepared.time(steps: steps / 2)
    if steps > 1 { rates.append(Self.sgemmRate(team)) }
    seconds += prepared.time(steps: steps - steps / 2)
    rates.append(Self.sgemmRate(team))
    let timeline = prepared.timeline
    trace = traces ? timeline.trace(team.placement) : nil
    seconds.sort()
    let median = seconds[seconds.count / 2]
    secondsPerStep = median
    fastest = seconds[0]
    slowest = seconds[seconds.count - 1]
    samplesPerSecond = Double(settings.batchSize) / median
    sgemmGFLOPS = rates.sorted()[rates.count / 2] * 1e-9
    sgemmShare = prepared.operations.total / median / (sgemmGFLOPS * 1e9)
    peakMiB = peakMemory()
    workers = team.ranks.workerCount
    ranks = team.ranks.size
    shards = settings.shards
    batchSize = settings.batchSize
    self.steps = steps
    anchors = settings.model.anchors
    phases = timeline.secondsByName().mapValues { $0 / Double(steps) }
  }

  /// Operations a second of sgemm, all workers of all ranks at once: 480 × 256 × 256, the shape of an encoder's products.
  static func sgemmRate(_ team: WorkerTeam, repeats: Int = 400) -> Double {
    let (rows, size) = (480, 256)
    let buffers = (0..<team.count).map { worker in
      let x = Buffer(count: rows * size + size * size + rows * size)
      RandomKey(seed: UInt64(worker)).fillNormal(x.base, count: rows * size + size * size, stream: 0, deviation: 1)
      return OwnedBuffer(x)
    }
    func multiply(_ repeats: Int) -> Double {
      let start = ContinuousClock.now
      team.run { worker in
        let base = buffers[worker].buffer.base
        let x = Matrix(base, rows: rows, columns: size)
        let w = Matrix(base + rows * size, rows: size, columns: size)
        let y = Matrix(base + rows * size + size * size, rows: rows, columns: size)
        for _ in 0..<repeats { MatrixProduct.multiply(x, byTransposed: w, into: y) }
      }
      return (ContinuousClock.now - start).seconds
    }
    _ = multiply(repeats / 10)
    let own = 2 * Double(rows * size * size * repeats * team.count) / multiply(repeats)
    return team.ranks.communicator.gather(own).reduce(0, +)
  }

  /// Seconds of one barrier of this rank's workers who all arrive at once: the least of ten stretches.
  static func barrierSeconds(_ team: WorkerTeam, repeats: Int = 100) -> Double {
    let stretches = (0..<10).map { _ in
      let start = ContinuousClock.now
      team.run { _ in for _ in 0..<repeats { team.barrier() } }
      return (ContinuousClock.now - start).seconds
    }
    return (stretches.min() ?? 0) / Double(repeats)
  }
}
