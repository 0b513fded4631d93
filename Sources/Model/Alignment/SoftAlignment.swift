import Parallel
import Tensor

/// Soft alignment of a sequence of T raw steps to L steps: aligned_l = Σ_t p[t, l] x_t, where x are the normalised
/// features and p[t] = softmax over L + 1 positions of a two-layer LSTM's output at step t; position 0 is blank and
/// dropped.
///
/// It reads every step, padding included, as the reference does: masks are of aligned steps and belong to the encoder.
struct SoftAlignment {
  let norm: FeatureNorm
  /// Whose outputs, L + 1 units, are positions.
  let layers: [LSTMLayer]
  private let modality: Int
  private let positions: Int

  /// - Parameter length: L.
  init(_ c: ModelConfiguration, modality: Int, length: Int, in layout: inout ParameterLayout) {
    let m = c.modalities[modality]
    self.modality = modality
    positions = length + 1
    let positions = positions
    let name = Self.name(c, modality)
    norm = FeatureNorm(m, in: &layout)
    layers = [m.features, positions].enumerated().map { index, inputs in
      LSTMLayer(name, index: index, inputs: inputs, units: positions, in: &layout)
    }
  }

  /// The reference's name: `v2t_ctc` for visual to text.
  private static func name(_ c: ModelConfiguration, _ modality: Int) -> String {
    let (from, to) = (c.modalities[modality].name.prefix(1), c.modalities[0].name.prefix(1))
    return "\(from)2\(to)_ctc.pred_output_position_inclu_blank"
  }

  /// What backward needs of some samples, R = n T rows; P is L + 1, padded.
  final class Activations: @unchecked Sendable {
    // Proof of Sendable: `begin` is called between steps; the phases of a step settle who writes to the memory.

    /// Raw features, normalised by forward: [R, F], and 1/deviation [R, 1]. Backward leaves what the first layer was given.
    private let featureRows: Matrix
    let inverse: Matrix
    /// Gradient of the aligned steps, [n L, F].
    let alignedGradient: Matrix
    let layers: [LSTMLayer.Activations]
    /// p [R, P]
    private let probabilityRows: Matrix
    /// Gradient of a layer's hidden states [R, P], of one layer after the other.
    private let hiddenGradientRows: Matrix
    private let maximumRows: Int
    /// T of the longest sequences.
    let maximumSteps: Int
    /// T and n of the current batch.
    private(set) var steps = 0
    private(set) var samples = 0

    init(_ m: ModelConfiguration.Modality, length: Int, samples: Int, in arena: Arena) throws {
      let (rows, units) = (samples * m.maximumSteps, length + 1)
      (maximumRows, maximumSteps) = (rows, m.maximumSteps)
      featureRows = try arena.matrix(rows: rows, columns: m.features)
      inverse = try arena.matrix(rows: rows, columns: 1)
      alignedGradient = try arena.matrix(rows: samples * length, columns: m.features)
      layers = try (0..<2).map { _ in try LSTMLayer.Activations(rows: rows, units: units, in: arena) }
      probabilityRows = try arena.matrix(rows: rows, columns: LSTM.paddedSize(units))
      hiddenGradientRows = try arena.matrix(rows: rows, columns: LSTM.paddedSize(units))
    }

    /// Those of other samples in the same memory.
    init(sharing other: Activations) {
      (maximumRows, maximumSteps) = (other.maximumRows, other.maximumSteps)
      (featureRows, inverse, alignedGradient) = (other.featureRows, other.inverse, other.alignedGradient)
      (layers, probabilityRows, hiddenGradientRows) = (other.layers, other.probabilityRows, other.hiddenGradientRows)
    }

    /// Makes room for `samples` sequences of T raw steps.
    func begin(samples: Int, steps T: Int) {
      precondition(samples * T <= maximumRows, "\(samples) sequences of \(T) steps in \(maximumRows) rows")
      (self.samples, steps) = (samples, T)
    }

    var rowCount: Int { samples * steps }
    /// A sample's rows.
    func rows(_ sample: Int) -> Range<Int> { sample * steps..<(sample + 1) * steps }
    /// The rows of some samples.
    func rows(_ samples: Range<Int>) -> Range<Int> { samples.lowerBound * steps..<samples.upperBound * steps }
    var features: Matrix { featureRows.rows(0..<rowCount) }
    var probabilities: Matrix { probabilityRows.rows(0..<rowCount) }
    var hiddenGradient: Matrix { hiddenGradientRows.rows(0..<rowCount) }
  }

  /// Floats of scratch for passes of `samples` of a modality in runs of at most `run`.
  static func scratchSize(_ m: ModelConfiguration.Modality, run: Int, samples: Int) -> Int {
    guard let length = m.alignedSteps else { return 0 }
    let (rows, T) = (run * m.maximumSteps, m.maximumSteps)
    let products = max(
      MatrixProduct.transposedScratch(inner: T, rows: length, columns: m.features),
      PackedMatrix.capacity(inner: m.features, columns: length),
      PackedMatrix.capacity(inner: length, columns: m.features))
    return Scratch.size(rows: rows, columns: m.features) + Scratch.size(floatsPerSample * samples)
      + max(LSTMLayer.scratchSize(units: length + 1, inputs: m.features), products)
  }

  /// Aligned steps of a pass's samples, where the embeddings take their features from.
  func forward(_ pass: ModalityEncoder.Pass) {
    withRuns(pass) { a, run in
      var scratch = pass.scratch
      let rows = a.rows(run)
      let x = scratch.matrix(rows: rows.count, columns: a.features.columns)
      norm.forward(a.features.rows(rows), inverse: a.inverse.rows(rows), pass.θ, into: x)
      layers[0].project(x, into: a.layers[0].gates.rows(rows), pass.θ, scratch: scratch)
    }
    withSamples(pass, layer: 0) { layers[0].forward($0, steps: $1, pass.θ, scratch: $2) }
    withRuns(pass) { a, run in
      let rows = a.rows(run)
      layers[1].project(
        a.layers[0].hidden.rows(rows), into: a.layers[1].gates.rows(rows), pass.θ, scratch: pass.scratch)
    }
    withSamples(pass, layer: 1) { layers[1].forward($0, steps: $1, pass.θ, scratch: $2) }
    withRuns(pass) { a, run in
      let rows = a.rows(run)
      let p = a.probabilities.rows(rows)
      p.copy(from: a.layers[1].hidden.rows(rows))
      Softmax.forward(p.columns(0..<positions))
      var scratch = pass.scratch
      let x = scratch.matrix(rows: rows.count, columns: a.features.columns)
      norm.output(a.features.rows(rows), pass.θ, into: x)
      let (aligned, sequences) = (pass.activations.embeddings.features, pass.activations.sequences)
      for s in run {
        let target = aligned.rows(sequences.rows(s))
        MatrixProduct.multiply(
          transposed: a.probabilities.rows(a.rows(s)).columns(1..<1 + target.rows),
          by: x.rows(a.rows(s - run.lowerBound)), into: target, scratch: scratch)
      }
    }
  }

  /// From the aligned steps' gradients, what the weights' gradients are products of, and each sample's own.
  func backward(_ pass: ModalityEncoder.Pass, into gradients: GradientRows) {
    withRuns(pass) { a, run in
      var scratch = pass.scratch
      let rows = a.rows(run)
      let x = scratch.matrix(rows: rows.count, columns: a.features.columns)
      norm.output(a.features.rows(rows), pass.θ, into: x)
      let d = a.hiddenGradient.rows(rows)
      d.fill(0)
      for s in run {
        let (from, own) = (a.alignedGradient.rows(pass.activations.sequences.rows(s)), a.rows(s - run.lowerBound))
        MatrixProduct.multiply(
          x.rows(own), byTransposed: from, into: d.rows(own).columns(1..<1 + from.rows), scratch: scratch)
      }
      Softmax.backward(a.probabilities.rows(rows).columns(0..<positions), d.columns(0..<positions))
    }
    withSamples(pass, layer: 1) { layers[1].backward($0, steps: $1, pass.θ, scratch: $2) }
    withRuns(pass) { a, run in
      let rows = a.rows(run)
      addBiases(1, a, run, scratch: pass.scratch, into: gradients)
      layers[1].backwardInput(
        a.layers[1].gates.rows(rows), pass.θ, scratch: pass.scratch, into: a.hiddenGradient.rows(rows))
    }
    withSamples(pass, layer: 0) { layers[0].backward($0, steps: $1, pass.θ, scratch: $2) }
    withRuns(pass) { a, run in
      var scratch = pass.scratch
      let rows = a.rows(run)
      addBiases(0, a, run, scratch: scratch, into: gradients)
      let dx = scratch.matrix(rows: rows.count, columns: a.features.columns)
      layers[0].backwardInput(a.layers[0].gates.rows(rows), pass.θ, scratch: scratch, into: dx)
      for s in run {
        let from = a.alignedGradient.rows(pass.activations.sequences.rows(s))
        MatrixProduct.multiply(
          a.probabilities.rows(a.rows(s)).columns(1..<1 + from.rows), by: from,
          into: dx.rows(a.rows(s - run.lowerBound)), .extend, scratch: scratch)
      }
      let features = a.features.rows(rows)
      norm.backward(
        dx, normalized: features, inverse: a.inverse.rows(rows), (run.count, a.rows), pass.θ,
        addingTo: gradients[run])
      norm.output(features, pass.θ, into: features)
    }
  }

  private func addBiases(
    _ layer: Int, _ a: Activations, _ run: Range<Int>, scratch: Scratch, into gradients: GradientRows
  ) {
    for s in run {
      layers[layer].backwardBiases(a.layers[layer].gates.rows(a.rows(s)), scratch: scratch, into: gradients[s])
    }
  }

  /// Where backward left what its weights' gradients are products of.
  func weightSources(_ encoder: ModalityEncoder.Activations) -> [WeightSource] {
    guard let a = encoder.alignment else { return [] }
    return layers[0].weightSources(a.layers[0], perSample: a.maximumSteps, input: { a.features }, rows: a.rows)
      + layers[1].weightSources(a.layers[1], perSample: a.maximumSteps, input: { a.layers[0].hidden }, rows: a.rows)
  }

  /// Multiply-adds of a raw step of a sample.
  var multiplyAddsPerStep: Int {
    layers.reduce(2 * positions * norm.gain.count) { $0 + $1.inputWeight.count + $1.recurrentWeight.count }
  }

  /// What a pass keeps, and each of its runs.
  private func withRuns(_ pass: ModalityEncoder.Pass, _ body: (Activations, _ run: Range<Int>) -> Void) {
    guard let a = pass.activations.alignment else { return }
    for run in pass.runs { body(a, run) }
  }

  /// What a sample's place in a list of `LSTM.Steps` takes of scratch.
  private static let floatsPerSample = MemoryLayout<LSTM.Steps>.stride / MemoryLayout<Float>.stride

  /// All samples of a pass, for the recurrence of a layer, T, and the scratch that is left.
  private func withSamples(
    _ pass: ModalityEncoder.Pass, layer: Int, _ body: (UnsafeBufferPointer<LSTM.Steps>, Int, Scratch) -> Void
  ) {
    guard let a = pass.activations.alignment else { return }
    let (own, count) = (a.layers[layer], pass.runs.reduce(0) { $0 + $1.count })
    var scratch = pass.scratch
    let floats = scratch.floats(Self.floatsPerSample * count)
    UnsafeMutableRawPointer(floats).withMemoryRebound(to: LSTM.Steps.self, capacity: count) { list in
      var filled = 0
      for run in pass.runs {
        for s in run {
          let rows = a.rows(s)
          (list + filled).initialize(
            to: LSTM.Steps(
              gates: own.gates.rows(rows), cells: own.cells.rows(rows), hidden: own.hidden.rows(rows),
              hiddenGradient: a.hiddenGradient.rows(rows)))
          filled += 1
        }
      }
      body(UnsafeBufferPointer(start: list, count: filled), a.steps, scratch)
    }
  }
}
