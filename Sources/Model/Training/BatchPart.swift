import Parallel
import Tensor

/// The samples of a batch that one group of workers has, with everything that a step makes of them.
///
/// Its memory lies on the group's node. Who writes what of it is dealt out anew in each phase; other groups see only what
/// is written to the exchange buffers. That, and the barriers between phases, is what makes sharing it safe.
final class BatchPart: @unchecked Sendable {
  /// Places in the batch that it has room for.
  let samples: Range<Int>
  /// Samples of the current batch; fewer than there is room for at the end of an evaluated split.
  private(set) var count = 0

  let encoders: [Encoder.Activations]
  let heads: Heads.Activations
  let gradients: GradientRows
  /// Where backward leaves what the gradients of each encoder's weights are made of.
  let encoderSources: [[WeightSource]]
  private let runs: EncoderRuns
  private let costs: [Encoder.Cost]
  private let model: CARATModel

  /// - Parameters:
  ///   - samples: by their places in the batch.
  ///   - workers: of the group.
  init(_ model: CARATModel, samples: Range<Int>, workers: Int, exchange: Exchange, in arena: Arena) throws {
    let c = model.configuration
    let n = samples.count
    self.model = model
    self.samples = samples
    costs = model.encoders.map(\.cost)
    let inTurn = c.takesLayersInTurn
    let sizes = c.modalities.indices.map { Encoder.Gradients.size(c, modality: $0, samples: n) }
    let memory = Scratch(try arena.matrix(rows: 1, columns: (inTurn ? sizes.max() : sizes.reduce(0, +)) ?? 0))
    var next = memory
    encoders = try c.modalities.indices.map { m in
      if inTurn { next = memory }
      let gradients = Encoder.Gradients(c, modality: m, samples: n, in: &next)
      return try Encoder.Activations(c, modality: m, samples: samples, gradients: gradients, in: arena)
    }
    encoderSources = zip(model.encoders, encoders).map { $0.weightSources($1) }
    heads = try Heads.Activations(model, samples: samples, exchange: exchange, in: arena)
    gradients = GradientRows(values: try arena.matrix(rows: n, columns: model.layout.sampleCount))
    // The heads' own gradients of a sample are dealt beside the encoders.
    runs = EncoderRuns(
      modalities: c.modalities.count + 1, samples: n, longest: EncoderRuns.longest(c), workers: workers)
    for s in 0..<n { runs.set(c.modalities.count, s, cost: Self.headsCost * model.heads.sampleCount) }

  }

  /// Takes its samples' lengths out of the batch, and deals them to the group's workers.
  func begin(_ batch: Batch) {
    count = max(0, min(samples.count, batch.count - samples.lowerBound))
    let places = samples.prefix(count)
    for (m, encoder) in encoders.enumerated() { encoder.begin(batch, places, modality: m) }
    for (m, encoder) in encoders.enumerated() {
      let (sequences, rawSteps) = (encoder.sequences, encoder.alignment?.steps ?? 0)
      for s in 0..<count { runs.set(m, s, cost: costs[m](rows: sequences.rows(s).count, rawSteps: rawSteps)) }
    }
    runs.deal(count)
  }

  /// What an element of the heads' own gradients costs, in multiply-adds: measured.
  private static let headsCost = 400

  /// The samples of which a worker makes the heads' own gradients.
  func headRuns(worker: Int) -> UnsafeBufferPointer<Range<Int>> { runs.ofWorker(worker, modality: encoders.count) }

  /// A worker's pass through an encoder.
  func pass(_ modality: Int, worker: Int, _ θ: Parameters, _ dropouts: DropoutSites, scratch: Scratch) -> Encoder.Pass {
    Encoder.Pass(
      activations: encoders[modality], runs: runs.ofWorker(worker, modality: modality), θ: θ, dropouts: dropouts,
      scratch: scratch)
  }

  /// The runs of samples that a worker takes through an encoder.
  func runs(ofWorker worker: Int, modality: Int) -> UnsafeBufferPointer<Range<Int>> {
    runs.ofWorker(worker, modality: modality)
  }

  /// Where backward left what the gradients of all weights are made of, in the order of the layout.
  var weightSources: [WeightSource] { encoderSources.flatMap(\.self) + model.heads.weightSources(heads) }
}

/// Which runs of samples each worker of a group takes through which encoder: dealt by cost, for each batch anew.
///
/// Runs are as long as balance allows: joined rows of several samples make faster products.
final class EncoderRuns: @unchecked Sendable {
  // Proof of Sendable: one thread deals between steps; workers only read.

  private let modalities: Int
  private let samples: Int
  private let workers: Int
  private let deal: Deal
  /// Of each sample's pass through each modality's encoder.
  private let costs: UnsafeMutablePointer<Int>
  /// By worker, then modality.
  private let runs: UnsafeMutablePointer<Range<Int>>
  /// Where each worker's of each modality begin, and where the last one's end.
  private let starts: UnsafeMutablePointer<Int>

  /// Samples of a run, at most: rows of more gain nothing, and leave the cache.
  private let longest: Int

  static func longest(_ c: ModelConfiguration) -> Int { max(1, min(4, 512 / c.longestSequence)) }

  /// - Parameter longest: samples of a run, at most.
  init(modalities: Int, samples: Int, longest: Int, workers: Int) {
    self.longest = longest
    (self.modalities, self.samples, self.workers) = (modalities, samples, workers)
    costs = .allocate(capacity: max(modalities * samples, 1))
    costs.initialize(repeating: 0, count: max(modalities * samples, 1))
    deal = Deal(workers: workers, capacity: modalities * samples)
    runs = .allocate(capacity: max(modalities * samples, 1))
    runs.initialize(repeating: 0..<0, count: max(modalities * samples, 1))
    starts = .allocate(capacity: workers * modalities + 1)
    starts.initialize(repeating: 0, count: workers * modalities + 1)
  }

  deinit {
    costs.deallocate()
    runs.deallocate()
    starts.deallocate()
  }

  func ofWorker(_ worker: Int, modality: Int) -> UnsafeBufferPointer<Range<Int>> {
    let i = worker * modalities + modality
    return UnsafeBufferPointer(start: runs + starts[i], count: starts[i + 1] - starts[i])
  }

  func set(_ modality: Int, _ sample: Int, cost: Int) { costs[modality * samples + sample] = cost }

  /// Deals `count` samples of each modality, by the costs that were set, in the longest runs whose slowest worker has at most a hundredth more than with
  /// single samples.
  func deal(_ count: Int) {
    let least = deal(count, length: 1)
    var length = longest
    while length > 1, deal(count, length: length) > least + least / 100 { length /= 2 }
    if length == 1 && longest > 1 { deal(count, length: 1) }
    let perModality = (count + length - 1) / length
    var filled = 0
    for worker in 0..<workers {
      var modality = 0
      starts[worker * modalities] = filled
      for task in deal.tasks(ofWorker: worker) {
        while modality < task / perModality {
          modality += 1
          starts[worker * modalities + modality] = filled
        }
        let first = task % perModality * length
        runs[filled] = first..<min(first + length, count)
        filled += 1
      }
      while modality < modalities - 1 {
        modality += 1
        starts[worker * modalities + modality] = filled
      }
    }
    starts[workers * modalities] = filled
  }

  @discardableResult
  private func deal(_ count: Int, length: Int) -> Int {
    deal.removeAll()
    for m in 0..<modalities {
      for first in stride(from: 0, to: count, by: length) {
        var cost = 0
        for s in first..<min(first + length, count) { cost += costs[m * samples + s] }
        deal.add(cost: cost)
      }
    }
    return deal.deal()
  }
}
