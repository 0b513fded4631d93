import Foundation
import Model
import Parallel
import Tensor

/// Times training steps on random inputs with a full queue, and the machine's own matrix products beside them. Of several
/// ranks, all have to do it; times, phases and the trace are those of rank 0.
package struct StepBenchmark: Encodable, Sendable {
  /// Median over the timed steps.
  package let secondsPerStep: Double
  package let fastest: Double
  package let slowest: Double
  package let samplesPerSecond: Double
  /// Products of an encoder's shape on all workers at once: the median of the rates before, between the halves of, and after
  /// the steps.
  package let sgemmGFLOPS: Double
  /// Matrix operations of a step over the time it takes, relative to that rate.
  package let sgemmShare: Double
  /// Independent multiply-adds on all workers at once, which nothing is faster than: the median as above.
  package let fmaGFLOPS: Double
  /// Matrix operations of a step over the time it takes, relative to that rate.
  package let fmaShare: Double
  /// Each kind of product by itself, on all workers of this rank at once, in GFLOP/s.
  package let products: [String: Double]
  /// The share of a step's time that is left when each kind of product takes what it takes by itself.
  package let restShare: Double
  package let peakMiB: Double
  /// Of all ranks.
  package let workers: Int
  package let ranks: Int
  package let batchSize: Int
  package let steps: Int
  package let anchors: ModelConfiguration.Anchors
  /// Seconds per step by phase, mean over workers and steps.
  package let phases: [String: Double]
  /// The timed steps of this rank's workers in Chrome's trace format, as `Timeline.trace` gives it; nil unless asked for.
  package let trace: String?

  private enum CodingKeys: String, CodingKey {
    case fastest, slowest, workers, ranks, steps, anchors, phases, products
    case secondsPerStep = "seconds_per_step"
    case samplesPerSecond = "samples_per_second"
    case sgemmGFLOPS = "sgemm_gflops"
    case sgemmShare = "sgemm_share"
    case fmaGFLOPS = "fma_gflops"
    case fmaShare = "fma_share"
    case restShare = "rest_share"
    case peakMiB = "peak_mib"
    case batchSize = "batch_size"
  }

  /// - Parameters:
  ///   - steps: timed steps, after two that are not.
  ///   - meanLength: of the sequences, as a share of the full length.
  ///   - overlapsExchange: as of `TrainingStep`.
  ///   - traces: whether to keep a timeline of the timed steps.
  package init(
    _ settings: RunConfiguration, steps: Int, team: WorkerTeam, meanLength: Double = 1, overlapsExchange: Bool = true,
    traces: Bool = false
  ) throws {
    precondition(steps > 0, "\(steps) timed steps")
    let prepared = try PreparedBenchmark(settings, team: team, capacity: steps, meanLength: meanLength)
    prepared.training.overlapsExchange = overlapsExchange
    prepared.warmUp(steps: 2)
    let machine = MachineRates(team: team)
    var (products, multiplyAdds) = ([Double](), [Double]())
    func measureMachine() {
      products.append(machine.matrixProducts())
      multiplyAdds.append(machine.multiplyAdds())
    }
    measureMachine()
    var seconds = prepared.time(steps: steps / 2)
    if steps > 1 { measureMachine() }
    seconds += prepared.time(steps: steps - steps / 2)
    measureMachine()
    peakMiB = peakMemory()
    let kinds = ProductRates(settings.model, samples: BatchDivision.blockSize, rates: machine)
    let ownRates = ProductKind.allCases.map { ($0, kinds.rate($0)) }
    let timeline = prepared.timeline
    trace = traces ? timeline.trace(team.placement) : nil
    seconds.sort()
    let median = seconds[seconds.count / 2]
    secondsPerStep = median
    fastest = seconds[0]
    slowest = seconds[seconds.count - 1]
    samplesPerSecond = Double(settings.batchSize) / median
    sgemmGFLOPS = Spread(products).median * 1e-9
    sgemmShare = prepared.operations.total / median / (sgemmGFLOPS * 1e9)
    fmaGFLOPS = Spread(multiplyAdds).median * 1e-9
    fmaShare = prepared.operations.total / median / (fmaGFLOPS * 1e9)
    let workers = Double(team.ranks.workerCount)
    let inProducts = ownRates.reduce(0) { sum, own in
      sum + (own.1.map { prepared.operations[own.0] / $0 / workers } ?? 0)
    }
    restShare = 1 - inProducts / median
    self.products = Dictionary(
      uniqueKeysWithValues: ownRates.compactMap { kind, rate in
        rate.map { (kind.rawValue, $0 * Double(team.count) * 1e-9) }
      })
    self.workers = team.ranks.workerCount
    ranks = team.ranks.size
    batchSize = settings.batchSize
    self.steps = steps
    anchors = settings.model.anchors
    phases = timeline.secondsByName().mapValues { $0 / Double(steps) }
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
