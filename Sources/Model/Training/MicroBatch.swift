import Parallel
import Tensor

/// Samples of a group that go through the encoders together: all of them, or a run of those that do so one after the other
/// in the same memory.
///
/// A later one overwrites what backward needs of an earlier one, which then goes forward again, with the same bits: dropout
/// is drawn by sample and step.
final class MicroBatch: Sendable {
  /// Among the group's.
  let samples: Range<Int>
  /// The same by their places in the batch.
  let places: Range<Int>
  let encoders: [ModalityEncoder.Activations]
  /// Where backward leaves what the gradients of each encoder's weights are made of; samples are numbered from its first.
  let encoderSources: [[WeightSource]]
  /// Of all weights, in the order of the layout.
  let weightSources: [WeightSource]
  private let labels: Int
  private let runs: EncoderRuns
  private let costs: [ModalityEncoder.Cost]

  /// Memory for so many samples at once, of each encoder.
  static func makeActivations(
    _ model: CARATModel, samples n: Int, in arena: Arena
  ) throws -> [ModalityEncoder.Activations] {
    let c = model.configuration
    let inTurn = c.takesLayersInTurn
    let sizes = c.modalities.indices.map { ModalityEncoder.Gradients.size(c, modality: $0, samples: n) }
    let memory = Scratch(try arena.matrix(rows: 1, columns: (inTurn ? sizes.max() : sizes.reduce(0, +)) ?? 0))
    var next = memory
    return try c.modalities.indices.map { m in
      if inTurn { next = memory }
      let gradients = ModalityEncoder.Gradients(c, modality: m, samples: n, in: &next)
      return try ModalityEncoder.Activations(c, modality: m, samples: n, gradients: gradients, in: arena)
    }
  }

  /// - Parameters:
  ///   - samples: among the group's.
  ///   - heads: the group's.
  ///   - memory: room for them.
  ///   - workers: of the group.
  init(
    _ model: CARATModel, samples: Range<Int>, of heads: Heads.Activations,
    sharing memory: [ModalityEncoder.Activations],
    workers: Int, in arena: Arena
  ) throws {
    let c = model.configuration
    self.samples = samples
    let places = samples.shifted(by: heads.samples.lowerBound)
    self.places = places
    labels = c.labels
    encoders = try memory.map { try ModalityEncoder.Activations(sharing: $0, samples: places, in: arena) }
    encoderSources = zip(model.encoders, encoders).map { $0.weightSources($1) }
    weightSources =
      encoderSources.flatMap(\.self)
      + model.heads.weightSources(heads).map { $0.numbered(from: samples.lowerBound) }
    costs = model.encoders.map(\.cost)
    // The heads' own gradients of a sample are dealt beside the encoders.
    runs = EncoderRuns(
      modalities: c.modalities.count + 1, samples: samples.count, longest: EncoderRuns.longest(c), workers: workers)
    for s in 0..<samples.count { runs.set(c.modalities.count, s, cost: Self.headsCost * model.heads.sampleCount) }
  }

  /// Takes its samples' lengths out of the batch, and deals them to the group's workers.
  func begin(_ batch: Batch) {
    let count = max(0, min(samples.count, batch.count - places.lowerBound))
    for (m, encoder) in encoders.enumerated() { encoder.begin(batch, places.prefix(count), modality: m) }
    for (m, encoder) in encoders.enumerated() {
      let (sequences, rawSteps) = (encoder.sequences, encoder.alignment?.steps ?? 0)
      for s in 0..<count { runs.set(m, s, cost: costs[m](rows: sequences.rows(s).count, rawSteps: rawSteps)) }
    }
    runs.deal(count)
  }

  /// Samples of the current batch.
  var count: Int { encoders[0].sequences.count }

  /// What an element of the heads' own gradients costs, in multiply-adds: measured.
  private static let headsCost = 400

  /// A worker's pass through an encoder.
  func pass(_ modality: Int, worker: Int, _ θ: Parameters, _ dropouts: DropoutSites, scratch: Scratch)
    -> ModalityEncoder.Pass
  {
    ModalityEncoder.Pass(
      activations: encoders[modality], runs: runs.ofWorker(worker, modality: modality), θ: θ, dropouts: dropouts,
      scratch: scratch)
  }

  /// The runs of its samples that a worker takes through an encoder.
  func runs(ofWorker worker: Int, modality: Int) -> UnsafeBufferPointer<Range<Int>> {
    runs.ofWorker(worker, modality: modality)
  }

  /// The runs of its samples of which a worker makes the heads' own gradients.
  func headRuns(worker: Int) -> UnsafeBufferPointer<Range<Int>> { runs.ofWorker(worker, modality: encoders.count) }

  /// A run of its samples as samples of the group.
  func inGroup(_ run: Range<Int>) -> Range<Int> { run.shifted(by: samples.lowerBound) }

  /// Of the group's rows (sample, label), those of its samples.
  func rows(of all: Matrix) -> Matrix { all.rows(samples.lowerBound * labels..<samples.upperBound * labels) }
}
