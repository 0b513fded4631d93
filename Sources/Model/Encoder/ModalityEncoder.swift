import Parallel
import Tensor

/// One modality's encoder: embeddings, transformer layers, label-wise attention; before them, where the configuration
/// says so, the soft alignment of an unaligned sequence.
///
/// A worker takes its runs of samples through it layer by layer, so that a layer's weights stay in cache. Backward gives
/// the gradients of activations, and what is made sample by sample; the weights' follow from what it leaves, by
/// `weightSources`.
struct ModalityEncoder {
  let alignment: SoftAlignment?
  let embeddings: Embeddings
  let layers: [TransformerLayer]
  let attention: LabelAttention
  let modality: Int
  /// Its stretch of a sample's gradients.
  let sampleStretch: Range<Int>
  /// What a sample costs, and rows of one at full length.
  let cost: Cost
  private let mostRows: Int
  /// What its passes are called on a timeline.
  let forwardName: String
  let backwardName: String

  init(_ c: ModelConfiguration, modality: Int, in layout: inout ParameterLayout) {
    self.modality = modality
    forwardName = c.modalities[modality].name + " encoder forward"
    backwardName = c.modalities[modality].name + " encoder backward"
    let first = layout.sampleCount
    var alignment: SoftAlignment?
    if let length = c.modalities[modality].alignedSteps {
      alignment = SoftAlignment(c, modality: modality, length: length, in: &layout)
    }
    self.alignment = alignment
    embeddings = Embeddings(c, modality: modality, in: &layout)
    layers = (0..<c.modalities[modality].layers).map {
      TransformerLayer(c, modality: modality, index: $0, in: &layout)
    }
    attention = LabelAttention(c, modality: modality, in: &layout)
    sampleStretch = first..<layout.sampleCount
    mostRows = c.modalities[modality].encodedSteps
    cost = Cost(
      perRow: layers.reduce(embeddings.words.weight.count) { $0 + $1.multiplyAdds },
      perPair: 2 * layers.count * c.hiddenSize, perRawStep: alignment?.multiplyAddsPerStep ?? 0)
  }

  /// What backward needs of some samples.
  struct Activations {
    private let table: SequenceTable
    let alignment: SoftAlignment.Activations?
    let embeddings: Embeddings.Activations
    let layers: [TransformerLayer.Activations]
    let gradients: Gradients
    /// Label-wise attention's weights, [C, R].
    let probabilities: Matrix
    /// The current layer's rows in forward; in backward their gradient, and at last that of the embeddings' linear map's
    /// output: [R, D].
    private let hiddenRows: Matrix

    /// - Parameters:
    ///   - samples: how many there is room for.
    ///   - gradients: what backward leaves besides.
    init(_ c: ModelConfiguration, modality: Int, samples: Int, gradients: Gradients, in arena: Arena) throws {
      let m = c.modalities[modality]
      let rows = samples * m.encodedSteps
      table = try SequenceTable(capacity: samples, in: arena)
      alignment = try m.alignedSteps.map {
        try SoftAlignment.Activations(m, length: $0, samples: samples, in: arena)
      }
      embeddings = try Embeddings.Activations(rows: rows, features: m.features, hidden: c.hiddenSize, in: arena)
      layers = try (0..<m.layers).map { _ in
        try TransformerLayer.Activations(
          rows: rows, hidden: c.hiddenSize, feedForward: c.feedForwardSize,
          inTurn: c.takesLayersInTurn, in: arena)
      }
      self.gradients = gradients
      probabilities = try arena.matrix(rows: c.labels, columns: rows)
      hiddenRows = try arena.matrix(rows: rows, columns: c.hiddenSize)
    }

    /// Those of other samples in the same memory: what is made of the ones overwrites what is kept of the others.
    init(sharing other: Activations, samples: Range<Int>, in arena: Arena) throws {
      table = try SequenceTable(capacity: samples.count, firstPlace: samples.lowerBound, in: arena)
      alignment = other.alignment.map(SoftAlignment.Activations.init(sharing:))
      (embeddings, layers, gradients) = (other.embeddings, other.layers, other.gradients)
      (probabilities, hiddenRows) = (other.probabilities, other.hiddenRows)
    }

    /// All samples of the current batch.
    var sequences: Sequences { table.sequences }
    var hidden: Matrix { hiddenRows.rows(0..<sequences.rowCount) }

    /// Takes the lengths of some samples, by their places in the batch.
    func begin(_ batch: Batch, _ places: Range<Int>, modality: Int) {
      table.removeAll()
      for place in places {
        let (length, rows) = batch.encodedSteps(sample: place, modality: modality)
        table.append(length: length, rows: rows)
      }
      alignment?.begin(samples: places.count, steps: batch.steps(modality: modality))
    }

    /// Takes a run's features out of the batch.
    func load(_ batch: Batch, run: Range<Int>, modality: Int) {
      for s in run {
        let raw = alignment.map { $0.features.rows($0.rows(s)) } ?? embeddings.features.rows(sequences.rows(s))
        batch.copyFeatures(sample: sequences.place(s), modality: modality, into: raw)
      }
    }
  }

  /// What backward leaves of each layer, besides what lies over activations.
  struct Gradients {
    let layers: [TransformerLayer.Gradients]

    /// In memory that it takes from a stack, for so many samples; layers that are taken in turn leave theirs in one place.
    init(_ c: ModelConfiguration, modality: Int, samples: Int, in memory: inout Scratch) {
      let m = c.modalities[modality]
      let first = memory
      layers = (0..<m.layers).map { _ in
        if c.takesLayersInTurn { memory = first }
        return TransformerLayer.Gradients(
          rows: samples * m.encodedSteps, hidden: c.hiddenSize, feedForward: c.feedForwardSize,
          inTurn: c.takesLayersInTurn, in: &memory)
      }
    }

    /// Floats that it takes.
    static func size(_ c: ModelConfiguration, modality: Int, samples: Int) -> Int {
      let m = c.modalities[modality]
      return (c.takesLayersInTurn ? min(m.layers, 1) : m.layers)
        * TransformerLayer.Gradients.size(
          rows: samples * m.encodedSteps, hidden: c.hiddenSize, feedForward: c.feedForwardSize,
          inTurn: c.takesLayersInTurn)
    }
  }

  /// Floats of scratch for passes of `samples` in runs of at most `run`, of any modality.
  static func scratchSize(_ c: ModelConfiguration, run: Int, samples: Int) -> Int {
    c.modalities.map { m in
      let (steps, rows) = (m.encodedSteps, run * m.encodedSteps)
      let layer = TransformerLayer.scratchSize(
        rows: rows, hidden: c.hiddenSize, feedForward: c.feedForwardSize, heads: c.heads, steps: steps,
        inTurn: c.takesLayersInTurn)
      return max(
        layer, LabelAttention.scratchSize(steps: steps, hidden: c.hiddenSize, labels: c.labels),
        Scratch.size(rows: rows, columns: m.features), SoftAlignment.scratchSize(m, run: run, samples: samples))
    }.max() ?? 0
  }

  /// A worker's samples in a pass through an encoder.
  struct Pass {
    /// What it makes of all samples of a group.
    let activations: Activations
    /// The worker's runs of samples.
    let runs: UnsafeBufferPointer<Range<Int>>
    let θ: Parameters
    let dropouts: DropoutSites
    let scratch: Scratch
  }

  /// One run's rows in a pass.
  private struct Run {
    let sequences: Sequences
    let rows: Range<Int>
    let hidden: Matrix

    init(_ pass: Pass, _ run: Range<Int>) {
      let all = pass.activations.sequences
      (sequences, rows) = (all[run], all.rows(run))
      hidden = pass.activations.hidden.rows(rows)
    }
  }

  /// plain [n C, D] of a pass's samples, in its rows of that of all samples, from the raw features in the activations.
  func forward(_ pass: Pass, into plain: Matrix) {
    let (a, θ, dropouts, scratch) = (pass.activations, pass.θ, pass.dropouts, pass.scratch)
    alignment?.forward(pass)
    for run in pass.runs {
      let x = Run(pass, run)
      embeddings.forward(
        a.embeddings.rows(x.rows), x.sequences, θ, dropouts, scratch: scratch, into: x.hidden)
    }
    for l in layers.indices {
      for run in pass.runs {
        let x = Run(pass, run)
        layers[l].forward(x.hidden, a.layers[l].rows(x.rows), x.sequences, θ, dropouts, scratch: scratch)
      }
    }
    for run in pass.runs {
      let x = Run(pass, run)
      attention.forward(
        x.hidden, probabilities: a.probabilities.columns(x.rows), x.sequences, θ, scratch: scratch,
        into: plain.rows(rows(ofLabels: run)))
    }
  }

  /// From dplain [n C, D], of all samples, what the weights' gradients of the pass's samples are products of, and each
  /// sample's own gradients, of all samples too.
  ///
  /// - Parameter some: layers that go backward now, in one of several calls, the last layers first; with the last one goes
  ///   what follows it, with the first what is before it. Nil for all.
  func backward(_ pass: Pass, _ dplain: Matrix, layers some: Range<Int>? = nil, into gradients: GradientRows) {
    let (a, θ, dropouts, scratch) = (pass.activations, pass.θ, pass.dropouts, pass.scratch)
    let some = some ?? layers.indices
    for run in pass.runs where some.upperBound == layers.count {
      let x = Run(pass, run)
      gradients[run].zero(sampleStretch)
      attention.backward(
        dplain.rows(rows(ofLabels: run)), hidden: x.hidden, probabilities: a.probabilities.columns(x.rows), x.sequences,
        θ, scratch: scratch, into: gradients[run])
    }
    for l in some.reversed() {
      let layer = layers[l]
      for run in pass.runs {
        let x = Run(pass, run)
        let own = a.layers[l].rows(x.rows)
        let g = a.gradients.layers[l].rows(x.rows)
        if let input = g.input {
          if l == 0 {
            embeddings.output(a.embeddings.rows(x.rows), x.sequences, θ, dropouts, into: input)
          } else {
            layers[l - 1].output(a.layers[l - 1].rows(x.rows), θ, into: input)
          }
        }
        layer.backward(
          x.hidden, own, g, x.sequences, θ, dropouts, scratch: scratch, addingTo: gradients[run])
        // The next layer's input, of which its weights' gradients are products.
        if g.input == nil && l + 1 < layers.count { layer.output(own, θ, into: own.normalized) }
      }
    }
    if some.lowerBound > 0 { return }
    for run in pass.runs {
      let x = Run(pass, run)
      embeddings.backward(
        x.hidden, a.embeddings.rows(x.rows), x.sequences, θ, dropouts, scratch: scratch,
        aligned: a.alignment?.alignedGradient.rows(x.rows), addingTo: gradients[run])
    }
    alignment?.backward(pass, into: gradients)
  }

  private func rows(ofLabels run: Range<Int>) -> Range<Int> {
    run.lowerBound * attention.weight.rows..<run.upperBound * attention.weight.rows
  }

  /// Where backward left what its weights' gradients are products of.
  func weightSources(_ a: Activations) -> [WeightSource] {
    var sources = alignment?.weightSources(a) ?? []
    func add(
      _ linear: Linear, _ dy: @escaping @Sendable () -> Matrix, _ x: @escaping @Sendable () -> Matrix
    ) {
      sources.append(
        WeightSource(linear.weight, perSample: mostRows) { samples, body in
          let rows = a.sequences.rows(samples)
          body(dy().rows(rows), x().rows(rows))
        })
    }
    add(embeddings.words, { a.hidden }, { a.embeddings.features })
    sources.append(
      WeightSource(positions: embeddings.positions) { (a.hidden.rows(a.sequences.rows($0)), a.sequences[$0]) })
    for (l, layer) in layers.enumerated() {
      let (own, g) = (a.layers[l], a.gradients.layers[l])
      let input = g.input ?? (l == 0 ? a.embeddings.normalized : a.layers[l - 1].normalized)
      add(layer.projections, { layer.queriesKeysValues(own, g) }, { input })
      add(layer.attentionOutput, { g.attentionDense }, { own.context })
      add(layer.intermediate, { own.up }, { own.attended })
      add(layer.output, { g.outputDense }, { g.activated })
    }
    return sources
  }

  /// Multiply-adds of a sample, by which samples are dealt.
  struct Cost {
    /// Of weights.
    let perRow: Int
    /// Of attention.
    let perPair: Int
    /// Of a soft alignment.
    let perRawStep: Int

    /// Attention's products run at half the speed of the others.
    func callAsFunction(rows: Int, rawSteps: Int) -> Int {
      rows * perRow + 2 * rows * rows * perPair + rawSteps * perRawStep
    }
  }
}

extension TransformerLayer {
  /// Of its weights, a row.
  fileprivate var multiplyAdds: Int {
    [projections, attentionOutput, intermediate, output].reduce(0) { $0 + $1.weight.count }
  }
}
