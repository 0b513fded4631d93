import Foundation
import Parallel
import Tensor

/// Times training steps on random inputs with a full queue, and the machine's own matrix products beside them. Of several
/// ranks, all have to do it; times, phases and the trace are those of rank 0.
public struct Benchmark: Codable, Sendable {
  /// Median over the timed steps.
  public let secondsPerStep: Double
  public let fastest: Double
  public let slowest: Double
  public let samplesPerSecond: Double
  /// oneDNN's sgemm on all workers at once, measured between the steps' halves.
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
  ///   - overlapsExchange: as of `TrainingStep`.
  ///   - trace: where to write a timeline of the timed steps, if anywhere.
  public init(
    _ settings: RunConfiguration, steps: Int, team: WorkerTeam, overlapsExchange: Bool = true, trace: String? = nil
  ) throws {
    precondition(steps > 0, "\(steps) timed steps")
    let (c, batchSize, shards, seed) = (settings.model, settings.batchSize, settings.shards, settings.seed)
    let plan = try ShardPlan(batchSize: batchSize, shards: shards, workers: team.ranks.workerCount)
    let state = try TrainingState(CARAT(c), placement: team.placement)
    state.initialize(seed: seed)
    state.fillQueue(seed: seed)
    let training = try TrainingStep(
      state, optimizer: OptimizerConfiguration(totalSteps: 5100), plan: plan, team: team, seed: seed)
    let source = RandomSource(c, count: batchSize, seed: seed)
    let batch = Batch(c, capacity: batchSize)
    let timeline = Timeline(workers: team.count, capacity: steps * 64)
    training.timeline = timeline
    training.overlapsExchange = overlapsExchange

    var (seconds, rates) = ([Double](), [Double]())
    for k in 0..<steps + 2 {
      if k == 2 {
        training.checkPlacement()
        timeline.removeAll()
        rates.append(Self.sgemmRate(team))
      } else if k == 2 + steps / 2 {
        rates.append(Self.sgemmRate(team))
      }
      batch.fill(0..<batchSize, of: source, step: state.step)
      batch.shuffle.draw(seed: seed, step: state.step)
      let start = ContinuousClock.now
      training.train(on: batch)
      if k >= 2 { seconds.append((ContinuousClock.now - start).seconds) }
    }
    rates.append(Self.sgemmRate(team))
    if let trace, team.ranks.rank == 0 { try timeline.writeTrace(to: trace, placement: team.placement) }
    seconds.sort()
    let median = seconds[seconds.count / 2]
    secondsPerStep = median
    fastest = seconds[0]
    slowest = seconds[seconds.count - 1]
    samplesPerSecond = Double(batchSize) / median
    sgemmGFLOPS = rates.sorted()[rates.count / 2] * 1e-9
    sgemmShare = c.matrixOperationsPerStep(batchSize: batchSize) / median / (sgemmGFLOPS * 1e9)
    peakMiB = peakMemory()
    workers = team.ranks.workerCount
    ranks = team.ranks.size
    self.shards = shards
    self.batchSize = batchSize
    self.steps = steps
    anchors = c.anchors
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
}

/// A buffer that an array can hold.
private final class OwnedBuffer: Sendable {
  let buffer: Buffer
  init(_ buffer: consuming Buffer) { self.buffer = buffer }
}

/// Samples of standard normal features, full length; each label with probability 1/4.
private final class RandomSource: SampleSource {
  let count: Int
  private let modalities: [ModelConfiguration.Modality]
  private let labelCount: Int
  private let features: [OwnedBuffer]
  private let labels: OwnedBuffer

  init(_ c: ModelConfiguration, count: Int, seed: UInt64) {
    self.count = count
    modalities = c.modalities
    labelCount = c.labels
    let key = RandomKey(seed: seed)
    features = c.modalities.enumerated().map { m, modality in
      let buffer = Buffer(count: count * modality.maximumSteps * modality.features)
      key.fillNormal(buffer.base, count: buffer.count, stream: UInt32(m), deviation: 1)
      return OwnedBuffer(buffer)
    }
    let labels = Buffer(count: count * c.labels)
    for i in 0..<labels.count { labels.base[i] = key.words(UInt32.max, UInt32(i)).0 < 1 << 30 ? 1 : 0 }
    self.labels = OwnedBuffer(labels)
  }

  func steps(modality: Int) -> Int { modalities[modality].maximumSteps }
  func length(sample: Int, modality: Int) -> Int { modalities[modality].maximumSteps }

  func labels(ofSample sample: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: labels.buffer.base + sample * labelCount, count: labelCount)
  }

  func copyFeatures(sample: Int, modality: Int, steps: Int, into target: UnsafeMutablePointer<Float>) {
    let m = modalities[modality]
    let size = m.maximumSteps * m.features
    target.update(from: features[modality].buffer.base + sample * size, count: steps * m.features)
  }
}

extension TrainingState {
  /// Random unit rows of random classes, as after some steps.
  func fillQueue(seed: UInt64) {
    let key = RandomKey(seed: seed)
    let rows = queue.rows
    key.fillNormal(rows.base, count: rows.count, stream: 1 << 20, deviation: 1)
    var lengths = [Float](repeating: 0, count: rows.rows)
    UnitLength.forward(rows, into: rows, inverseLength: &lengths)
    for i in 0..<rows.rows {
      queue.classes[i] = Int32(key.words(1 << 21, UInt32(i)).0 % UInt32(model.configuration.contrastiveClasses))
    }
  }
}
