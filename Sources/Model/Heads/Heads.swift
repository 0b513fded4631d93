import Parallel
import Tensor

/// What follows the encoders: reconstruction, label-wise scores of all levels, aggregation, and the loss terms of all but
/// the contrastive loss.
///
/// Two kinds of rows are dealt: (sample, label), of everything up to the betas, and (sample, modality), of the aggregation,
/// which takes all labels of a sample together. Every row is computed by itself, so that any stretch of them may be one
/// worker's.
struct Heads {
  let reconstruction: Reconstruction
  let scores: LabelScores
  let aggregation: Aggregation
  /// Its stretch of a sample's gradients.
  let sampleStretch: Range<Int>
  /// Of each label, in the cross-entropies.
  private let positiveWeights: [Float]

  init(_ c: ModelConfiguration, in layout: inout ParameterLayout) {
    let first = layout.sampleCount
    reconstruction = Reconstruction(c, in: &layout)
    scores = LabelScores(c, in: &layout)
    aggregation = Aggregation(c, in: &layout)
    sampleStretch = first..<layout.sampleCount
    positiveWeights =
      if case .list(let weights)? = c.positiveWeights { weights } else { Array(repeating: 1, count: c.labels) }
  }

  /// What a group's samples leave for backward, and its gradients.
  struct Activations {
    /// The samples' places in the batch.
    let samples: Range<Int>
    /// Of each modality.
    let reconstruction: [Reconstruction.Rows]
    let reconstructionGradient: [Reconstruction.Rows]
    /// Of each modality, the prototypes' weights [n C, 2].
    let mixWeights: [Matrix]
    let unit: UnitLatents
    /// Gradient of the unit latents, in live order: [n 3 M C, P].
    let unitGradient: Matrix
    let pooled: [PooledScores]
    let aggregation: Aggregation.Rows

    init(_ model: CARATModel, samples: Range<Int>, exchange: Exchange, in arena: Arena) throws {
      let (c, heads) = (model.configuration, model.heads)
      let (n, C, M, perSample) = (samples.count, c.labels, c.modalities.count, c.liveRowsPerSample)
      self.samples = samples
      reconstruction = try heads.reconstruction.modalities.map { try Reconstruction.Rows($0, rows: n * C, in: arena) }
      reconstructionGradient = try heads.reconstruction.modalities.map {
        try Reconstruction.Rows($0, rows: n * C, in: arena)
      }
      mixWeights = try c.modalities.map { _ in try arena.matrix(rows: n * C, columns: 2) }
      unit = UnitLatents(
        live: exchange.live.rows(samples.lowerBound * perSample..<samples.upperBound * perSample),
        inverseLengths: try arena.matrix(rows: 1, columns: n * perSample), modalities: M, labels: C)
      unitGradient = try arena.matrix(rows: n * perSample, columns: c.latentSize)
      pooled = try Reconstruction.Level.allCases.map { _ in
        PooledScores(
          each: try arena.matrix(rows: n * C, columns: M), logits: try arena.matrix(rows: n * C, columns: 1),
          gradient: try arena.matrix(rows: n * C, columns: 1))
      }
      aggregation = try Aggregation.Rows(heads.aggregation, samples: n, in: arena)
    }

    func pooled(_ level: Reconstruction.Level, _ rows: Range<Int>) -> PooledScores {
      let all = pooled[level.rawValue]
      return PooledScores(each: all.each.rows(rows), logits: all.logits.rows(rows), gradient: all.gradient.rows(rows))
    }

    /// plain [n C, D] of a modality, and its gradient.
    func plain(_ modality: Int) -> Matrix { reconstruction[modality].level(.plain) }
    func plainGradient(_ modality: Int) -> Matrix { reconstructionGradient[modality].level(.plain) }
  }

  /// Label-wise scores of one level, rows (sample, label): each modality's [rows, M], their greatest [rows, 1] and its
  /// gradient [rows, 1].
  struct PooledScores {
    let each: Matrix
    let logits: Matrix
    let gradient: Matrix
  }

  /// What a pass through the heads takes.
  struct Pass {
    let configuration: ModelConfiguration
    let activations: Activations
    let exchange: Exchange
    let batch: Batch
    let prototypes: Prototypes
    let θ: Parameters
    let training: Bool
    /// Whether alpha and beta get latents, as in training.
    let allLatents: Bool

    var labels: Int { configuration.labels }
    var modalities: Int { configuration.modalities.count }
    /// Elements of a mean over the batch, of so many a sample.
    func batchElements(_ perSample: Int) -> Float { Float(exchange.batchSize * perSample) }
    /// The place in the batch and the label of a row (sample, label).
    func place(_ row: Int) -> (sample: Int, label: Int) {
      (activations.samples.lowerBound + row / labels, row % labels)
    }
  }

  /// Floats of its own gradients of a sample.
  var sampleCount: Int { sampleStretch.count }

  // MARK: Rows (sample, label)

  /// Latents, reconstructions, alphas, betas and unit latents of some rows.
  func makeLatents(_ rows: Range<Int>, _ pass: Pass) {
    let a = pass.activations
    reconstruction.forward(
      a.reconstruction, rows, pass.θ, prototypes: pass.prototypes, training: pass.training, allLatents: pass.allLatents,
      mixWeights: a.mixWeights, unit: a.unit)
  }

  /// Scores of some rows' levels; their betas, to the exchange buffers; in training their loss terms and the gradients of
  /// their logits.
  func score(_ rows: Range<Int>, _ pass: Pass) {
    let (a, exchange, D) = (pass.activations, pass.exchange, pass.configuration.hiddenSize)
    for level in Reconstruction.Level.allCases where pass.training || level == .beta {
      let pooled = a.pooled(level, rows)
      for m in 0..<pass.modalities {
        scores.forward(
          a.reconstruction[m].rows(rows).level(level), first: rows.lowerBound, modality: m, pass.θ,
          into: pooled.each)
      }
      scores.pool(pooled.each, into: pooled.logits)
    }
    for row in rows {
      let (sample, label) = pass.place(row)
      for m in 0..<pass.modalities {
        let beta = a.reconstruction[m].rows(row..<row + 1).level(.beta)
        (exchange.betas.row(sample * pass.modalities + m) + label * D).update(from: beta.base, count: D)
      }
      if pass.training { addLossTerms(row, sample, label, pass) }
    }
  }

  /// Cross-entropies and squared distances of a row, the classes of its latents, and its logits' gradients.
  private func addLossTerms(_ row: Int, _ sample: Int, _ label: Int, _ pass: Pass) {
    let (a, exchange, c) = (pass.activations, pass.exchange, pass.configuration)
    let y = pass.batch.labels[sample, label]
    exchange.classify(sample: sample, label: label, isPositive: y >= 0.5, modalities: pass.modalities)
    let elements = pass.batchElements(pass.labels)
    for level in Reconstruction.Level.allCases {
      let (pooled, term) = (a.pooled(level, row..<row + 1), level.crossEntropy)
      let x = pooled.logits[0, 0]
      let w = positiveWeights[label]
      exchange.setTerm(
        term, sample: sample, part: label, binaryCrossEntropy(logit: x, target: y, positiveWeight: w) / elements)
      pooled.gradient[0, 0] =
        c.weights[term] / elements * binaryCrossEntropyGradient(logit: x, target: y, positiveWeight: w)
      // At the plain level, reconstructions' distances.
      var distance: Float = 0
      for m in 0..<pass.modalities {
        let own = a.reconstruction[m].rows(row..<row + 1)
        let v = level == .plain ? own.reconstructed : own.level(level)
        distance += squaredDistance(v.base, own.level(.plain).base, count: v.columns)
      }
      exchange.setTerm(
        level.distance, sample: sample, part: label, distance / (elements * Float(c.hiddenSize)))
    }
  }

  /// Gradients of some rows from the loss to `plain`.
  func backward(_ rows: Range<Int>, _ pass: Pass) {
    let (a, c, θ) = (pass.activations, pass.configuration, pass.θ)
    let mseScale = 2 / (pass.batchElements(pass.labels) * Float(c.hiddenSize))
    let alphaScale = mseScale * c.weights[.alphaMSE]
    let betaScale = mseScale * c.weights[.betaMSE]
    let reconstructionScale = mseScale * c.weights[.reconstructionMSE]

    /// target += scale (a − b)
    func addDifference(_ a: Matrix, _ b: Matrix, _ scale: Float, to target: Matrix) {
      if scale == 0 { return }
      add(a, scale: scale, to: target)
      add(b, scale: -scale, to: target)
    }
    reconstruction.backward(
      a.reconstruction, a.reconstructionGradient, rows, θ, prototypes: pass.prototypes, mixWeights: a.mixWeights,
      unit: a.unit, dunit: a.unitGradient,
      extra: { level, m, target in
        let pooled = a.pooled(level, rows)
        scores.backwardInput(
          pooled.gradient, scores: pooled.each, first: rows.lowerBound, modality: m, θ, addingTo: target)
        let x = a.reconstruction[m].rows(rows)
        let plain = x.level(.plain)
        switch level {
        case .plain:
          addDifference(plain, x.reconstructed, reconstructionScale, to: target)
          addDifference(plain, x.level(.alpha), alphaScale, to: target)
          addDifference(plain, x.level(.beta), betaScale, to: target)
        case .alpha:
          addDifference(x.level(.alpha), plain, alphaScale, to: target)
        case .beta:
          addDifference(x.level(.beta), plain, betaScale, to: target)
          addAggregateGradients(rows, modality: m, pass, to: target)
        }
      },
      extraReconstructed: { m, target in
        let x = a.reconstruction[m].rows(rows)
        addDifference(x.reconstructed, x.level(.plain), reconstructionScale, to: target)
      })
  }

  /// What the aggregation of the betas, as they are and shuffled, adds to one modality's beta gradients [rows, D].
  private func addAggregateGradients(_ rows: Range<Int>, modality m: Int, _ pass: Pass, to target: Matrix) {
    let (daggregate, D) = (pass.activations.aggregation.d.input, target.columns)
    for row in rows {
      let ((sample, label), own) = (pass.place(row), target.row(row - rows.lowerBound))
      let place = (sample - pass.activations.samples.lowerBound) * pass.modalities + m
      add(daggregate.row(place) + label * D, to: own, count: D)
      pass.batch.shuffle.addGradient(
        pass.exchange.shuffledGradient, sample: sample, modality: m, label: label, to: own)
    }
  }

  // MARK: Rows (sample, modality)

  /// The aggregation of some rows, and in training its loss terms and the gradients of its inputs.
  ///
  /// - Parameter rows: of 2 n M; the first half are the betas as they are, the others those that the shuffle puts there.
  func aggregate(_ rows: Range<Int>, _ pass: Pass) {
    let (a, exchange, M) = (pass.activations, pass.exchange, pass.modalities)
    let (first, half) = (a.samples.lowerBound * M, a.samples.count * M)
    let (x, d) = (a.aggregation.x.rows(rows), a.aggregation.d.rows(rows))
    for row in rows {
      let input = a.aggregation.x.input.rows(row..<row + 1)
      if row < half {
        input.copy(from: exchange.betas.rows(first + row..<first + row + 1))
      } else {
        pass.batch.shuffle.gather(exchange.betas, firstRow: first + row - half, into: input)
      }
    }
    aggregation.mlp.forward(x, pass.θ)
    guard pass.training else { return }
    let elements = pass.batchElements(M * pass.labels)
    for row in rows {
      let (shuffled, place) = (row >= half, first + (row < half ? row : row - half))
      let term = shuffled ? LossTerm.shuffledBCE : .aggregateBCE
      let (logits, gradient) = (a.aggregation.x.output.row(row), a.aggregation.d.output.row(row))
      var sum: Float = 0
      for c in 0..<pass.labels {
        let y = shuffled ? pass.batch.shuffle.label(row: place, c, pass.batch.labels) : pass.batch.labels[place / M, c]
        let w = positiveWeights[c]
        sum += binaryCrossEntropy(logit: logits[c], target: y, positiveWeight: w)
        gradient[c] =
          pass.configuration.weights[term] / elements
          * binaryCrossEntropyGradient(logit: logits[c], target: y, positiveWeight: w)
      }
      exchange.setTerm(term, sample: place / M, part: place % M, sum / elements)
    }
    aggregation.mlp.backwardInput(x, d, pass.θ)
    for row in rows where row >= half {
      let place = first + row - half
      exchange.shuffledGradient.rows(place..<place + 1).copy(from: a.aggregation.d.input.rows(row..<row + 1))
    }
  }

  /// Scores [C] of some samples: the mean of the greatest beta's and the average aggregate's.
  func finishScores(_ samples: Range<Int>, _ pass: Pass) {
    let (a, M) = (pass.activations, pass.modalities)
    for b in samples {
      for c in 0..<pass.labels {
        var mean: Float = 0
        for m in 0..<M { mean += sigmoid(a.aggregation.x.output[b * M + m, c]) }
        let beta = a.pooled[Reconstruction.Level.beta.rawValue].logits[b * pass.labels + c, 0]
        pass.exchange.scores[a.samples.lowerBound + b, c] = (mean / Float(M) + sigmoid(beta)) / 2
      }
    }
  }

  // MARK: Parameters

  /// Some samples' own gradients of what is no factor of a product.
  func addSampleGradients(_ samples: Range<Int>, _ pass: Pass, to gradients: GradientRows) {
    let (a, C, M) = (pass.activations, pass.labels, pass.modalities)
    for b in samples {
      let (gradient, rows) = (gradients[b], b * C..<(b + 1) * C)
      gradients[b..<b + 1].zero(sampleStretch)
      for m in 0..<M {
        let (net, d) = (reconstruction.modalities[m], a.reconstructionGradient[m].rows(rows))
        for level in Reconstruction.Level.allCases { net.project.addBiases(d.projecting(level), to: gradient) }
        net.decode.addBiases(d.reconstructing, to: gradient)
        net.decode.addBiases(d.decodingPrototypes, to: gradient)
        for level in Reconstruction.Level.reconstructed { net.fuse.addBiases(d.fusing(level), to: gradient) }
        for level in Reconstruction.Level.allCases {
          let pooled = a.pooled(level, rows)
          scores.backwardWeight(
            a.reconstruction[m].rows(rows).level(level), pooled.gradient, scores: pooled.each, modality: m,
            addingTo: gradient)
        }
      }
      for block in 0..<2 {
        aggregation.mlp.addBiases(a.aggregation.d.block(block, of: 2).rows(b * M..<(b + 1) * M), to: gradient)
      }
    }
  }

  /// Where backward left what the weights' gradients are made of.
  func weightSources(_ a: Activations) -> [WeightSource] {
    let C = a.unit.labels
    let maps = zip(reconstruction.modalities, zip(a.reconstruction, a.reconstructionGradient)).flatMap { net, rows in
      let (x, d) = rows
      return net.project.weightSources(x.projections, d.projections, perSample: C)
        + net.decode.weightSources(x.decodings, d.decodings, perSample: C)
        + net.fuse.weightSources(x.fusions, d.fusions, perSample: C)
    }
    let (x, d) = (a.aggregation.x, a.aggregation.d)
    return maps
      + aggregation.mlp.weightSources(
        (0..<2).map { x.block($0, of: 2) }, (0..<2).map { d.block($0, of: 2) }, perSample: a.unit.modalities)
  }
}

extension Reconstruction.Level {
  /// The term that scores a level.
  var crossEntropy: LossTerm {
    switch self {
    case .plain: .plainBCE
    case .alpha: .alphaBCE
    case .beta: .betaBCE
    }
  }

  /// The term that keeps reconstructions, alphas or betas near the plain vectors.
  var distance: LossTerm {
    switch self {
    case .plain: .reconstructionMSE
    case .alpha: .alphaMSE
    case .beta: .betaMSE
    }
  }
}
