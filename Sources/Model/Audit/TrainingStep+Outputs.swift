import Parallel
import Tensor

// What each worker writes in a stage and others read later. What it reads itself shows in what it writes then.
extension TrainingStep {
  /// Notes what the worker wrote in a stage.
  func note(_ worker: Int, _ stage: Stage, _ x: Inputs, in notes: StepNotes) {
    var parts: [UInt64] = []
    forEachOutput(of: stage, worker, x) { _, output in parts.append(Checksum(of: output).value) }
    notes.add(StepNotes.Note(stage: stage, parts: parts), worker: worker)
  }

  /// The name of a worker's i-th output of a stage.
  func nameOfOutput(_ i: Int, of stage: Stage, _ worker: Int, _ x: Inputs) -> String? {
    var (found, count) = (String?.none, 0)
    forEachOutput(of: stage, worker, x) { name, _ in
      if count == i { found = name() }
      count += 1
    }
    return found
  }

  private typealias Body = (_ name: @autoclosure () -> String, _ output: Matrix) -> Void

  private func forEachOutput(of stage: Stage, _ worker: Int, _ x: Inputs, _ body: Body) {
    let w = workspaces[worker]
    switch stage.phase {
    case .packing:
      state.forEachPacked(packingShares[worker], training: x.training) { weight, floats in
        body("packed \(weight.name)", floats)
      }
    case .keyEncoders, .encodersForward: forEachPlain(w, stage.microBatch, body)
    case .keyLatents: forEachLive(worker, x, "key", exchange.keys, body)
    case .headsForward:
      if x.training { forEachLive(worker, x, "latent", exchange.live, body) }
      forEachScored(worker, x, body)
    case .aggregation: forEachAggregated(worker, x, body)
    case .scores: body("scores", exchange.scores.rows(scoredSamples(worker)))
    case .search, .audit, .communication, .wait: break
    case .packingRows:
      for columns in contrastive.columns(part: worker, parts: team.count) {
        let rows = columns.rows
        body("packed rows \(rows)", columns.transposed.floats(ofPanels: 0..<columns.transposed.panelCount))
        body("packed rows \(rows)", columns.asInner.floats(ofPanels: 0..<columns.asInner.panelCount))
      }
    case .statistics:
      contrastive.forEachStatistic(
        worker: ranks.number(ofWorker: worker), workers: ranks.workerCount, local: worker, of: team.count
      ) { body("sums of the contrastive loss", $0) }
      forEachAggregated(worker, x, body)
    case .anchorFactors:
      let own = slice(of: contrastive.rowCount, part: worker, parts: team.count, alignment: 16)
      for values in [contrastive.anchorFactors, contrastive.rowLosses] {
        body("anchors' factors and losses", Matrix(values + own.lowerBound, rows: 1, columns: own.count))
      }
      body("scores", exchange.scores.rows(scoredSamples(worker)))
    case .contrastiveGradient:
      let gradient = parts[w.group].heads.unitGradient
      body("gradient of the unit latents", gradient.rows(w.share(of: gradient.rows)))
    case .headsBackward: forEachHeadOperand(worker, x, body)
    case .encodersBackward: forEachEncoderOperand(w, stage.microBatch, stage.part, body)
    case .weightGradients:
      weightGradients[w.group][stage.microBatch].forEachResult(segment: stage.part, worker: w.number) {
        parameter, result in
        body("gradient of \(parameter.name)", result)
      }
    case .combining:
      reduction.scatter.forEachCombined(worker: worker, segment: stage.part) { body("sum of gradients", $0) }
    case .allReduce:
      for segment in reduction.slices.segments.indices {
        forEachChunk(worker, segment) { tensor, range, chunk in
          body("gradient of \(tensor.name)", floats(reduction.gradient.origin, range))
          body("squares of \(tensor.name)", floats(reduction.squares.base, chunk..<chunk + 1))
        }
      }
    case .update:
      forEachChunk(worker, stage.part) { tensor, range, _ in
        for values in [state.replicas[0], state.firstMoment, state.secondMoment] {
          body(tensor.name, floats(values.origin, range))
        }
        for values in [state.keyReplicas.first, state.average].compactMap(\.self) {
          body("moving average of \(tensor.name)", floats(values.origin, range))
        }
      }
    case .queueAndPrototypes:
      let c = model.configuration
      for i in slice(of: 2 * c.modalities.count * c.labels, part: worker, parts: team.count) {
        let (m, row) = (i / (2 * c.labels), i % (2 * c.labels))
        body("prototypes of \(c.modalities[m].name)", state.prototypes.values[m].rows(row..<row + 1))
      }
      state.queue.forEachWritten(exchange.live.rows, part: worker, parts: team.count) { body("queue", $0) }
    }
  }

  private func floats(_ base: UnsafeMutablePointer<Float>, _ range: Range<Int>) -> Matrix {
    Matrix(base + range.lowerBound, rows: 1, columns: range.count)
  }

  private func forEachChunk(_ worker: Int, _ segment: Int, _ body: (Parameter, Range<Int>, Int) -> Void) {
    let slices = reduction.slices
    for c in slices.chunks(segment: segment, worker: ranks.number(ofWorker: worker)) {
      body(slices.tensors[slices.chunks[c].tensor], slices.chunks[c].range, c)
    }
  }

  private func forEachPlain(_ w: Workspace, _ n: Int, _ body: Body) {
    let (part, C) = (parts[w.group], model.configuration.labels)
    let own = part.microBatches[n]
    for (m, modality) in model.configuration.modalities.enumerated() {
      for run in own.runs(ofWorker: w.number, modality: m) {
        body(
          "plain vectors of \(modality.name)",
          own.rows(of: part.heads.plain(m)).rows(run.lowerBound * C..<run.upperBound * C))
      }
    }
  }

  /// The worker's rows of what is in live order.
  private func forEachLive(_ worker: Int, _ x: Inputs, _ name: String, _ rows: Matrix, _ body: Body) {
    heads(worker, x) { pass, own in
      let unit = pass.activations.unit
      let first = pass.activations.samples.lowerBound * pass.configuration.liveRowsPerSample
      for m in 0..<pass.modalities {
        for level in Reconstruction.Level.allCases {
          unit.forEachStretch(of: own, modality: m, level: level) { _, stretch, _ in
            body(
              "\(level) \(name)s of \(pass.configuration.modalities[m].name)", rows.rows(stretch.shifted(by: first)))
          }
        }
      }
    }
  }

  private func forEachScored(_ worker: Int, _ x: Inputs, _ body: Body) {
    heads(worker, x) { pass, own in
      let D = pass.configuration.hiddenSize
      body("scores of betas", pass.activations.pooled(.beta, own).logits)
      for row in own {
        let (sample, label) = pass.place(row)
        for m in 0..<pass.modalities {
          body(
            "beta vectors of \(pass.configuration.modalities[m].name)",
            exchange.betas.rows(sample * pass.modalities + m..<sample * pass.modalities + m + 1)
              .columns(label * D..<(label + 1) * D))
        }
        for level in Reconstruction.Level.allCases where x.training {
          for term in [level.crossEntropy, level.distance] {
            body("loss term \(term.rawValue)", exchange.parts(of: term, sample: sample).columns(label..<label + 1))
          }
        }
      }
    }
  }

  /// The worker's samples of the batch whose scores it makes.
  private func scoredSamples(_ worker: Int) -> Range<Int> {
    let w = workspaces[worker]
    return w.share(of: parts[w.group].count).shifted(by: parts[w.group].samples.lowerBound)
  }

  private func forEachAggregated(_ worker: Int, _ x: Inputs, _ body: Body) {
    let w = workspaces[worker]
    let (part, M) = (parts[w.group], model.configuration.modalities.count)
    let half = part.count * M
    let first = part.samples.lowerBound * M
    for row in w.share(of: x.training ? 2 * half : half) {
      for values in [part.heads.aggregation.x, part.heads.aggregation.d].prefix(x.training ? 2 : 1).map({
        $0.rows(row..<row + 1)
      }) {
        for matrix in [values.input, values.hidden, values.output] { body("aggregation", matrix) }
      }
      if !x.training { continue }
      let place = first + (row < half ? row : row - half)
      if row >= half { body("gradient of shuffled betas", exchange.shuffledGradient.rows(place..<place + 1)) }
      let term = row < half ? LossTerm.aggregateBCE : .shuffledBCE
      body(
        "loss term \(term.rawValue)", exchange.parts(of: term, sample: place / M).columns(place % M..<place % M + 1))
    }
  }

  /// What the heads' own gradients and their weights' are made of.
  private func forEachHeadOperand(_ worker: Int, _ x: Inputs, _ body: Body) {
    heads(worker, x) { pass, own in
      for (m, modality) in pass.configuration.modalities.enumerated() {
        for all in [pass.activations.reconstruction[m], pass.activations.reconstructionGradient[m]] {
          let rows = all.rows(own)
          for map in rows.projections + rows.decodings + rows.fusions {
            for matrix in [map.input, map.hidden, map.output] { body("reconstruction of \(modality.name)", matrix) }
          }
        }
      }
    }
  }

  /// What the encoders' weights' gradients are made of, and gradients that are made sample by sample.
  private func forEachEncoderOperand(_ w: Workspace, _ n: Int, _ number: Int, _ body: Body) {
    let (own, turn) = (parts[w.group].microBatches[n], model.turns[number])
    let gradients = parts[w.group].gradients[own.samples]
    if number == 0 {
      for run in own.headRuns(worker: w.number) {
        body("the heads' gradients", gradients[run].values.columns(model.heads.sampleStretch))
      }
    }
    for m in turn.encoders {
      let name = model.configuration.modalities[m].name
      for run in own.runs(ofWorker: w.number, modality: m) {
        body("gradients of \(name)'s samples", gradients[run].values.columns(model.encoders[m].sampleStretch))
        for source in own.encoderSources[m]
        where turn.segments.contains(where: { model.segments[$0].contains(source.parameter.offset) }) {
          source.forEachOperand(of: run) { body("what the gradient of \(source.parameter.name) is made of", $0) }
        }
      }
    }
  }
}
