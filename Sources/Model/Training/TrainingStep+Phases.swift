import Files
import Parallel
import Tensor

// What the phases of a step do.
extension TrainingStep {
  // MARK: Forward

  /// The worker's samples of the n-th micro-batch through the encoders.
  func encode(_ worker: Int, _ n: Int, _ x: Inputs) {
    let w = workspaces[worker]
    encode(w, worker, n, state.parameters(onNode: w.node), x.dropouts, x)
  }

  /// The same by the momentum copy.
  func encodeKeys(_ worker: Int, _ n: Int, _ x: Inputs) {
    let w = workspaces[worker]
    encode(w, worker, n, state.keyParameters(onNode: w.node), .none, x)
  }

  private func encode(
    _ w: Workspace, _ worker: Int, _ n: Int, _ θ: Parameters, _ dropouts: DropoutSites, _ x: Inputs
  ) {
    let (heads, own) = (parts[w.group].heads, parts[w.group].microBatches[n])
    for (m, encoder) in model.encoders.enumerated() {
      let pass = own.pass(m, worker: w.number, θ, dropouts, scratch: w.scratch)
      span(worker, encoder.forwardName) {
        for run in pass.runs { own.encoders[m].load(x.batch, run: run, modality: m) }
        encoder.forward(pass, into: own.rows(of: heads.plain(m)))
      }
    }
  }

  /// Calls `body` with the worker's rows (sample, label) of what its group has.
  func heads(
    _ worker: Int, _ x: Inputs, keys: Bool = false, _ body: (_ pass: Heads.Pass, _ rows: Range<Int>) -> Void
  ) {
    let w = workspaces[worker]
    let rows = w.share(of: parts[w.group].count * model.configuration.labels)
    if !rows.isEmpty { body(headsPass(w, x, keys: keys), rows) }
  }

  private func headsPass(_ w: Workspace, _ x: Inputs, keys: Bool = false) -> Heads.Pass {
    Heads.Pass(
      configuration: model.configuration, activations: parts[w.group].heads, exchange: exchange, batch: x.batch,
      prototypes: state.prototypes,
      θ: keys ? state.keyParameters(onNode: w.node) : state.parameters(onNode: w.node), training: x.training,
      allLatents: x.training || x.isInspected)
  }

  /// Reconstruction and scores of the worker's rows; live rows and betas go to the exchange buffers.
  func makeLatents(_ worker: Int, _ x: Inputs) {
    heads(worker, x) { pass, rows in
      model.heads.makeLatents(rows, pass)
      model.heads.score(rows, pass)
    }
  }

  /// The rows that will enter the queue, by the momentum copy.
  func makeKeys(_ worker: Int, _ x: Inputs) {
    heads(worker, x, keys: true) { pass, rows in
      model.heads.makeLatents(rows, pass)
      let (unit, first) = (
        pass.activations.unit, pass.activations.samples.lowerBound * pass.configuration.liveRowsPerSample
      )
      for m in 0..<pass.modalities {
        for level in Reconstruction.Level.allCases {
          unit.forEachStretch(of: rows, modality: m, level: level) { _, stretch, _ in
            exchange.keys.rows(stretch.shifted(by: first))
              .copy(from: unit.live.rows(stretch))
          }
        }
      }
    }
  }

  /// The aggregation of the worker's rows (sample, modality): as they are and, in training, shuffled.
  func aggregate(_ worker: Int, _ x: Inputs) {
    let w = workspaces[worker]
    let rows = w.share(of: parts[w.group].count * model.configuration.modalities.count * (x.training ? 2 : 1))
    if !rows.isEmpty { span(worker, "aggregation") { model.heads.aggregate(rows, headsPass(w, x)) } }
  }

  func finishScores(_ worker: Int, _ x: Inputs) {
    let w = workspaces[worker]
    model.heads.finishScores(w.share(of: parts[w.group].count), headsPass(w, x))
  }

  // MARK: The contrastive loss

  /// The worker's share of the exponentials' sums over all pairs of rows, and of the class sums, which are not worth
  /// sending; and of the aggregation, which waits for the same rows.
  func addStatistics(_ worker: Int, _ x: Inputs) {
    contrastive.addStatistics(
      worker: ranks.number(ofWorker: worker), workers: ranks.workerCount, scratch: workspaces[worker].tile)
    contrastive.sumClasses(worker: worker, workers: team.count)
    aggregate(worker, x)
  }

  func gatherStatistics() {
    statistics.pack()
    communicator.exchange(statistics.messages)
    statistics.unpack()
  }

  func finishStatistics(_ worker: Int, _ x: Inputs) {
    contrastive.finishStatistics(worker: worker, workers: team.count)
    finishScores(worker, x)
  }

  /// Gradient of the contrastive loss for the worker's live rows.
  func contrastiveGradient(_ worker: Int) {
    let w = workspaces[worker]
    let part = parts[w.group]
    let own = w.share(of: part.heads.unitGradient.rows)
    let first = part.samples.lowerBound * model.configuration.liveRowsPerSample
    contrastive.backward(
      own.shifted(by: first), weight: model.configuration.weights[.contrastive],
      worker: worker, scratch: w.tile, into: part.heads.unitGradient.rows(own))
  }

  // MARK: Backward

  /// The heads' own gradients of the worker's samples of the n-th micro-batch.
  func addHeadGradients(_ worker: Int, _ n: Int, _ x: Inputs) {
    let w = workspaces[worker]
    let part = parts[w.group]
    let own = part.microBatches[n]
    for run in own.headRuns(worker: w.number) {
      model.heads.addSampleGradients(own.inGroup(run), headsPass(w, x), to: part.gradients)
    }
  }

  /// The gradients of activations of the worker's samples of the n-th micro-batch, and the samples' own gradients.
  func encodersBackward(_ worker: Int, _ n: Int, _ turn: BackwardTurn, _ x: Inputs) {
    let w = workspaces[worker]
    let (part, θ) = (parts[w.group], state.parameters(onNode: w.node))
    let own = part.microBatches[n]
    for m in turn.encoders {
      let pass = own.pass(m, worker: w.number, θ, x.dropouts, scratch: w.scratch)
      span(worker, model.encoders[m].backwardName) {
        model.encoders[m].backward(
          pass, own.rows(of: part.heads.plainGradient(m)), layers: turn.layers, into: part.gradients[own.samples])
      }
    }
  }

  /// The worker's tiles of a segment's gradients, over its group's samples of the n-th micro-batch.
  func computeWeightGradients(_ worker: Int, _ n: Int, _ segment: Int, _ x: Inputs) {
    let w = workspaces[worker]
    // Messages move on only when someone asks for them.
    let exchanges = worker == 0 && ranks.size > 1 && overlapsExchange && x.probe == nil
    weightGradients[w.group][n].compute(
      segment: segment, worker: w.number, scratch: w.scratch, inspect: x.probe?.inspection,
      progress: { if exchanges { communicator.progress() } })
  }

  /// Starts to exchange the gradients of a segment with the other ranks, if there are any: they travel while the next
  /// segment is computed.
  func send(_ worker: Int, _ segment: Int, _ x: Inputs) {
    if ranks.size == 1 { return }
    phase(worker, .combining, part: segment, x) { reduction.scatter.combine(worker: worker, segment: segment) }
    if worker == 0 && overlapsExchange { reduction.scatter.start(segment: segment) }
  }

  /// Waits for the segments that are still on their way.
  func finishExchange() {
    if !overlapsExchange {
      for segment in reduction.slices.segments.indices { reduction.scatter.start(segment: segment) }
    }
    communicator.finish()
  }

  // MARK: Update

  /// The worker's slice of the summed gradients; one worker also sums the loss.
  func reduce(_ worker: Int, _ x: Inputs) {
    precondition(!FaultInjection.isDue(.bug), "a bug that was asked for, on worker \(worker)")
    reduction.reduce(worker: worker)
    if worker == 0 {
      result = StepResult(
        exchange, contrastive: contrastive.value, model.configuration.weights, rate: x.rate)
    }
  }

  /// Whether loss and gradients are: known to every worker after the all-reduce.
  var isFinite: Bool { result?.loss.isFinite ?? false && reduction.squaredNorm.isFinite }

  /// What other ranks updated reaches all replicas. Live rows, or the momentum copy's, enter the queue in batch order;
  /// prototypes move sample by sample in batch order.
  func remember(_ worker: Int, _ x: Inputs) {
    optimizer.spreadReceived(worker: worker)
    let c = model.configuration
    let (M, C) = (c.modalities.count, c.labels)
    state.queue.enqueue(
      c.queueKeys == .live ? exchange.live : exchange.keys, exchange.liveClasses, part: worker, parts: team.count)
    for i in slice(of: 2 * M * C, part: worker, parts: team.count) {
      let (m, sign, label) = (i / (2 * C), i / C % 2, i % C)
      state.prototypes.update(
        modality: m, sign: sign, label: label, labels: x.batch.labels, momentum: c.prototypeMomentum
      ) { sample in
        exchange.live.row((sample * 3 * M + m) * C + label)
      }
    }
  }
}
