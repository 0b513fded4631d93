import Parallel
import Tensor

// What follows the encoders within a shard: scores and loss terms of every level, and the way back to `plain`.
extension TrainingStep {
  private var C: Int { model.configuration.labels }
  private var M: Int { model.configuration.modalities.count }

  /// Scores of all levels, aggregation and, in training, the shard's share of the loss terms and the gradients of
  /// its logits.
  func fuse(_ shard: Shard, _ θ: Parameters) {
    let rows = shard.reconstruction
    for level in Reconstruction.Level.allCases where training || level == .beta {
      let pooled = shard.pooled(level)
      for m in 0..<M { model.scores.forward(rows[m].level(level), modality: m, θ, into: pooled.each) }
      model.scores.pool(pooled.each, into: pooled.logits)
    }
    let aggregate = shard.aggregation.plain(shard.count * M)
    let betas = exchange.betas.rows(shard.first * M..<(shard.first + shard.count) * M)
    for b in 0..<shard.count {
      for m in 0..<M {
        Matrix(betas.row(b * M + m), rows: C, columns: model.configuration.hiddenSize)
          .copy(from: rows[m].level(.beta).rows(b * C..<(b + 1) * C))
      }
    }
    aggregate.x.input.copy(from: betas)
    model.aggregation.mlp.forward(aggregate.x, θ)

    let betaLogits = shard.pooled(.beta).logits
    for b in 0..<shard.count {
      for c in 0..<C {
        var mean: Float = 0
        for m in 0..<M { mean += sigmoid(aggregate.x.output[b * M + m, c]) }
        exchange.scores[shard.first + b, c] = (mean / Float(M) + sigmoid(betaLogits[b, c])) / 2
      }
    }
    if training { addLossTerms(shard, rows, aggregate) }
  }

  /// Cross-entropies and squared distances of the shard's samples, and the logits' gradients.
  private func addLossTerms(
    _ shard: Shard, _ rows: [Reconstruction.Rows], _ aggregate: (x: MLP.Rows, d: MLP.Rows)
  ) {
    let weights = model.configuration.weights
    let labels = batch.labels.rows(shard.first..<shard.first + shard.count)
    for b in 0..<shard.count {
      exchange.classify(sample: shard.first + b, labels: labels.row(b), modalities: M, count: C)
    }
    for level in Reconstruction.Level.allCases {
      let (pooled, term) = (shard.pooled(level), level.crossEntropy)
      crossEntropy(
        pooled.logits, target: { labels[$0, $1] }, weight: weights[term], gradient: pooled.gradient, term, shard)
      squaredDistances(level, rows, shard)
    }
    crossEntropy(
      aggregate.x.output, target: { labels[$0 / M, $1] }, weight: weights[.aggregateBCE],
      gradient: aggregate.d.output, .aggregateBCE, shard)
  }

  /// Each sample's share of the mean squared distance between plain vectors and a level's: alphas, betas, and, at the
  /// plain level, reconstructions.
  private func squaredDistances(_ level: Reconstruction.Level, _ rows: [Reconstruction.Rows], _ shard: Shard) {
    for b in 0..<shard.count {
      var sum: Float = 0
      for x in rows {
        let (plain, v) = (x.level(.plain), level == .plain ? x.reconstructed : x.level(level))
        sum += squaredDistance(v.row(b * C), plain.row(b * C), count: C * v.columns)
      }
      exchange.terms[shard.first + b, level.distance.index] =
        sum / Float(plan.batchSize * C * model.configuration.hiddenSize)
    }
  }

  /// Each sample's share of a mean cross-entropy, and its gradient times the term's weight. Rows of `logits` belong to
  /// samples in equal runs.
  private func crossEntropy(
    _ logits: Matrix, target: (_ row: Int, _ label: Int) -> Float, weight: Float, gradient: Matrix, _ term: LossTerm,
    _ shard: Shard
  ) {
    let rowsPerSample = logits.rows / max(shard.count, 1)
    let elements = Float(plan.batchSize * rowsPerSample * C)
    for b in 0..<shard.count {
      var sum: Float = 0
      for r in b * rowsPerSample..<(b + 1) * rowsPerSample {
        for c in 0..<C {
          let (x, y) = (logits[r, c], target(r, c))
          sum += binaryCrossEntropy(logit: x, target: y)
          gradient[r, c] = weight / elements * (sigmoid(x) - y)
        }
      }
      exchange.terms[shard.first + b, term.index] = sum / elements
    }
  }

  /// The shuffled betas' way through the aggregation MLP and back to their own gradients.
  func shuffledAggregation(_ worker: Int) {
    let w = workspaces[worker]
    let θ = state.parameters(onNode: w.node)
    for shard in w.shards {
      let (x, d) = shard.aggregation.shuffled(shard.count * M)
      let first = shard.first * M
      batch.shuffle.gather(exchange.betas, firstRow: first, into: x.input)
      model.aggregation.mlp.forward(x, θ)
      crossEntropy(
        x.output, target: { batch.shuffle.label(row: first + $0, $1, batch.labels) },
        weight: model.configuration.weights[.shuffledBCE], gradient: d.output, .shuffledBCE, shard)
      model.aggregation.mlp.backwardInput(x, d, θ)
      exchange.shuffledGradient.rows(first..<first + shard.count * M).copy(from: d.input)
    }
  }

  /// Backward from the loss to `plain` of one shard.
  func backwardHeads(_ shard: Shard, _ θ: Parameters) {
    let c = model.configuration
    let (x, d) = (shard.reconstruction, shard.reconstructionGradient)
    let aggregate = shard.aggregation.plain(shard.count * M)
    model.aggregation.mlp.backwardInput(aggregate.x, aggregate.d, θ)
    let mseScale = 2 / Float(plan.batchSize * C * c.hiddenSize)
    let alphaScale = mseScale * c.weights[.alphaMSE]
    let betaScale = mseScale * c.weights[.betaMSE]
    let reconstructionScale = mseScale * c.weights[.reconstructionMSE]

    /// target += scale (a − b)
    func addDifference(_ a: Matrix, _ b: Matrix, _ scale: Float, to target: Matrix) {
      if scale == 0 { return }
      add(a, scale: scale, to: target)
      add(b, scale: -scale, to: target)
    }
    model.reconstruction.backward(
      x, d, θ, prototypes: state.prototypes, mixWeights: shard.mixWeights, unit: shard.unit,
      dunit: shard.unitGradient,
      extra: { level, m, target in
        let pooled = shard.pooled(level)
        model.scores.backwardInput(pooled.gradient, scores: pooled.each, modality: m, θ, addingTo: target)
        let plain = x[m].level(.plain)
        switch level {
        case .plain:
          addDifference(plain, x[m].reconstructed, reconstructionScale, to: target)
          addDifference(plain, x[m].level(.alpha), alphaScale, to: target)
          addDifference(plain, x[m].level(.beta), betaScale, to: target)
        case .alpha:
          addDifference(x[m].level(.alpha), plain, alphaScale, to: target)
        case .beta:
          addDifference(x[m].level(.beta), plain, betaScale, to: target)
          addAggregateGradients(shard, aggregate.d.input, modality: m, to: target)
        }
      },
      extraReconstructed: { m, target in
        addDifference(x[m].reconstructed, x[m].level(.plain), reconstructionScale, to: target)
      })
  }

  /// The parameters' gradients of all that follows the encoders, group by group.
  func addHeadGradients(_ shards: [Shard], scratch: Scratch, into tree: TreeAccumulator) {
    for (m, net) in model.reconstruction.modalities.enumerated() {
      for shard in shards {
        tree.withLeaf(shard.index, net.group) { gradient in
          net.backwardParameters(
            shard.reconstruction[m], shard.reconstructionGradient[m], scratch: scratch, into: gradient)
        }
      }
    }
    for shard in shards {
      tree.withLeaf(shard.index, model.scores.group) { gradient in
        gradient.zero(model.scores.weights)
        for m in 0..<M {
          for level in Reconstruction.Level.allCases {
            let pooled = shard.pooled(level)
            model.scores.backwardWeight(
              shard.reconstruction[m].level(level), pooled.gradient, scores: pooled.each, modality: m,
              addingTo: gradient)
          }
        }
      }
    }
    for shard in shards {
      tree.withLeaf(shard.index, model.aggregation.group) { gradient in
        model.aggregation.mlp.backwardParameters(
          shard.aggregation.x, shard.aggregation.d, scratch: scratch, into: gradient)
      }
    }
  }

  /// What the aggregation of the betas, as they are and shuffled, adds to one modality's beta gradients [n C, D].
  private func addAggregateGradients(_ shard: Shard, _ daggregate: Matrix, modality m: Int, to target: Matrix) {
    let D = target.columns
    for b in 0..<shard.count {
      for c in 0..<C {
        let row = target.row(b * C + c)
        add(daggregate.row(b * M + m) + c * D, to: row, count: D)
        batch.shuffle.addGradient(
          exchange.shuffledGradient, sample: shard.first + b, modality: m, label: c, to: row)
      }
    }
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
