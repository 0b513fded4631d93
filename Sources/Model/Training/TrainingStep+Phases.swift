import Parallel
import Tensor

// What the phases of a step do.
extension TrainingStep {
  /// Encoder, reconstruction and fusion of the worker's shards; live rows and betas go to the exchange buffers.
  func forward(_ worker: Int) {
    let w = workspaces[worker]
    let θ = state.parameters(onNode: w.node)
    makeLatents(worker, θ, dropouts)
    span(worker, "fusion forward") {
      for shard in w.shards where shard.count > 0 { fuse(shard, θ) }
    }
  }

  /// What the momentum copy makes of the worker's shards: the rows that will enter the queue.
  func forwardKeys(_ worker: Int) {
    let w = workspaces[worker]
    makeLatents(worker, state.keyParameters(onNode: w.node), .none)
    for shard in w.shards { exchange.keys.rows(shard.liveRows).copy(from: exchange.live.rows(shard.liveRows)) }
  }

  /// Encoders and reconstruction of the worker's shards with some parameters, up to the unit latents.
  private func makeLatents(_ worker: Int, _ θ: Parameters, _ dropouts: DropoutSites) {
    let w = workspaces[worker]
    for shard in w.shards { shard.load(batch) }
    for encoder in model.encoders {
      span(worker, encoder.forwardName) { encoder.forward(w.shards[...], θ, dropouts, scratch: w.scratch) }
    }
    span(worker, "reconstruction forward") {
      for shard in w.shards where shard.count > 0 {
        model.reconstruction.forward(
          shard.reconstruction, θ, prototypes: state.prototypes, training: training, mixWeights: shard.mixWeights,
          unit: shard.unit)
      }
    }
  }

  /// The worker's share of the exponentials' sums over all pairs of rows, and of the class sums, which are not worth
  /// sending.
  func contrastiveStatistics(_ worker: Int) {
    contrastive.addStatistics(
      worker: ranks.number(ofWorker: worker), workers: ranks.workerCount, scratch: workspaces[worker].tile)
    contrastive.sumClasses(worker: worker, workers: team.count)
  }

  func gatherStatistics() {
    statistics.pack()
    communicator.exchange(statistics.messages)
    statistics.unpack()
  }

  /// Gradient of the contrastive loss for the live rows of the worker's shards.
  func contrastiveGradient(_ worker: Int) {
    for shard in workspaces[worker].shards {
      contrastive.backward(
        shard.liveRows, weight: model.configuration.weights[.contrastive], worker: worker,
        scratch: workspaces[worker].tile, into: shard.unitGradient)
    }
  }

  /// Backward of the worker's shards; weight gradients go into the reduction tree.
  func backward(_ worker: Int) {
    let w = workspaces[worker]
    let θ = state.parameters(onNode: w.node)
    var tree = tree(ofWorker: worker, probe)
    if worker == 0 && ranks.size > 1 && overlapsExchange && probe == nil {
      // Messages move on only when someone asks for them: after every shard's share of a layer.
      tree.inspect = { [communicator] _, _, _ in communicator.progress() }
    }
    span(worker, "reconstruction and fusion backward") {
      for shard in w.shards { backwardHeads(shard, θ) }
      addHeadGradients(w.shards, scratch: w.scratch, into: tree)
    }
    send(worker, segment: model.encoders.count)
    for encoder in model.encoders {
      span(worker, encoder.backwardName) {
        encoder.backward(w.shards[...], θ, dropouts, scratch: w.scratch, into: tree)
      }
      send(worker, segment: encoder.modality)
    }
  }

  /// Starts to exchange the gradients of a segment of parameters with the other ranks, if there are any, once all
  /// workers have finished it: they travel while backward goes on.
  private func send(_ worker: Int, segment: Int) {
    if ranks.size == 1 { return }
    team.barrier()
    optimizer.reduction.combine(worker: worker, segment: segment)
    team.barrier()
    if worker == 0 && overlapsExchange { optimizer.reduction.start(segment: segment) }
  }

  /// Waits for the segments that are still on their way.
  func exchangeGradients() {
    if !overlapsExchange {
      for segment in optimizer.slices.segments.indices { optimizer.reduction.start(segment: segment) }
    }
    communicator.finish()
  }

  /// The worker's slice of the summed gradients; one worker also sums the loss.
  func reduce(_ worker: Int) {
    precondition(!FaultInjection.isDue(.bug), "a bug that was asked for, on worker \(worker)")
    optimizer.reduce(worker: worker)
    if worker == 0 {
      result = StepResult(exchange, contrastive: contrastive.value, model.configuration.weights, rate: rate)
    }
  }

  /// Whether loss and gradients are: known to every worker after the all-reduce.
  var isFinite: Bool { result?.loss.isFinite ?? false && optimizer.squaredNorm.isFinite }

  /// What other ranks updated reaches all replicas. Live rows, or the momentum copy's, enter the queue in batch order;
  /// prototypes move sample by sample in batch order.
  func remember(_ worker: Int) {
    optimizer.spreadReceived(worker: worker)
    let c = model.configuration
    let (M, C) = (c.modalities.count, c.labels)
    state.queue.enqueue(
      c.queueKeys == .live ? exchange.live : exchange.keys, exchange.liveClasses, part: worker, parts: team.count)
    for i in slice(of: 2 * M * C, part: worker, parts: team.count, alignment: 1) {
      let (m, sign, label) = (i / (2 * C), i / C % 2, i % C)
      state.prototypes.update(
        modality: m, sign: sign, label: label, labels: batch.labels, momentum: c.prototypeMomentum
      ) { sample in
        exchange.live.row((sample * 3 * M + m) * C + label)
      }
    }
  }
}

extension TreeAccumulator {
  /// Lets `body` write one shard's gradients of a group of parameters, then adds them into the tree.
  func withLeaf(_ shard: Int, _ group: Range<Int>, _ body: (Parameters) -> Void) {
    let leaf = leaf(shard, group)
    body(Parameters(leaf, from: group.lowerBound))
    inspect?(shard, group, leaf)
    merge(shard, group)
  }
}
