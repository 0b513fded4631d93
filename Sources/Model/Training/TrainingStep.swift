import Parallel
import Tensor

/// One training step of a batch, as phases on the worker team with barriers between them.
///
/// A batch is cut into shards of fixed size; the work on a shard does not depend on who does it, sums over shards
/// follow a fixed tree, and draws are keyed by the sample. So the result is the same bits for any number of workers, on
/// however many ranks: between phases worker 0 exchanges with the other ranks what the next phase needs of them.
public final class TrainingStep: @unchecked Sendable {
  let model: CARAT
  let state: TrainingState
  let plan: ShardPlan
  let team: WorkerTeam
  let exchange: Exchange
  let contrastive: ContrastiveLoss
  let statistics: StatisticsExchange
  let optimizer: BertAdam
  let gradients: [TreeAccumulator]
  let workspaces: [Workspace]
  /// What steps use, the state included.
  public let memory: [MemoryRegion]
  private let seed: UInt64

  // The running step's inputs, set before the team starts on it.
  private(set) var batch: Batch!
  private(set) var dropouts = DropoutSites.none
  private(set) var training = true
  private(set) var rate: Float = 0
  /// The loss, once all shards have gone forward.
  private var result: StepResult?
  /// Looks for the first value that is not finite, in a step that is repeated for it.
  private var probe: NonFiniteProbe?

  /// Whether gradients travel to the other ranks while backward goes on, or all after it: results are the same.
  public var overlapsExchange = true

  /// Where the workers' time is recorded, if anywhere.
  public var timeline: Timeline?

  /// What belongs to one worker alone, on its node.
  struct Workspace {
    let shards: [Shard]
    let scratch: Scratch
    /// One tile of similarities.
    let tile: Matrix
    let node: Int
  }

  /// Plans all memory that steps use; nothing is allocated later.
  ///
  /// - Throws: `MemoryError` if there is not enough.
  public init(
    _ state: TrainingState, optimizer configuration: OptimizerConfiguration, plan: ShardPlan, team: WorkerTeam,
    seed: UInt64
  ) throws {
    let model = state.model
    let c = model.configuration
    self.model = model
    self.state = state
    self.plan = plan
    self.team = team
    self.seed = seed
    let shared = Arena(placement: team.placement.sharedMemory)
    let ranks = team.ranks
    precondition(plan.workers == ranks.workerCount, "a plan for \(plan.workers) of \(ranks.workerCount) workers")
    let runs = ranks.parts(plan.shards(ofWorker:))
    let exchange = try Exchange(
      c, batchSize: plan.batchSize, parts: runs.map(plan.samples(ofShards:)), rank: ranks.rank, in: shared)
    self.exchange = exchange
    contrastive = try ContrastiveLoss(
      c, live: exchange.live, liveClasses: exchange.liveClasses, queue: state.queue, workers: team.count, in: shared)
    statistics = try StatisticsExchange(contrastive, ranks: ranks, in: shared)
    let tree = ReductionTree(shards: plan.shards)
    var (arenas, workspaces, gradients) = ([Arena](), [Workspace](), [TreeAccumulator]())
    for worker in 0..<team.count {
      let node = team.placement.workers[worker].node
      let arena = Arena(placement: team.placement.memory(ofWorker: worker))
      let samples = plan.shardSize
      let run = plan.shards(ofWorker: ranks.number(ofWorker: worker))
      arenas.append(arena)
      workspaces.append(
        Workspace(
          shards: try run.map {
            try Shard(model, index: $0, samples: plan.samples(ofShard: $0), exchange: exchange, in: arena)
          },
          scratch: try Scratch(capacities: Encoder.scratchCapacities(c, samples: samples), in: arena),
          tile: try arena.matrix(rows: 1, columns: ContrastiveLoss.scratchCapacity), node: node))
      gradients.append(
        try TreeAccumulator(
          tree: tree, run: run, count: model.trainedCount, maxGroup: model.largestGroup, arena: arena))
    }
    optimizer = try BertAdam(
      configuration, state: state, tree: tree, ranks: ranks, runs: runs, nodes: gradients.flatMap(\.nodes),
      arenas: arenas, shared: shared)
    (self.workspaces, self.gradients) = (workspaces, gradients)
    memory =
      state.memory + [MemoryRegion("exchange buffers", .shared, shared)]
      + arenas.enumerated().map { MemoryRegion("worker \($0)", .worker($0), $1) }
  }

  /// Trains on a full batch. Where the loss or a gradient is not finite, the state stays as it was.
  ///
  /// - Parameters:
  ///   - batch: B samples, its shuffle drawn.
  ///   - dropout: whether dropout is on; replays of recorded steps turn it off.
  /// - Returns: the loss terms, unweighted, and their weighted sum.
  @discardableResult
  public func train(on batch: Batch, dropout: Bool = true) -> StepResult {
    prepare(batch, dropout)
    team.run { [self] worker in perform(worker) }
    guard var result else { preconditionFailure("a step without a result") }
    result.isFinite = isFinite
    if result.isFinite {
      state.queue.advance(by: exchange.live.rows)
      state.step += 1
      state.hasAllMoments = ranks.size == 1
    }
    return result
  }

  /// Repeats a step that was not finite as far as its gradients and tells the first tensor, in the order of
  /// computation, with a value that is not; changes nothing.
  public func findNonFinite(in batch: Batch, dropout: Bool = true) -> NonFinite {
    prepare(batch, dropout)
    let probe = NonFiniteProbe(shards: plan.shards)
    self.probe = probe
    defer { self.probe = nil }
    team.run { [self] worker in perform(worker) }
    return probe.first(self)
  }

  /// A step's phases, on one worker; with a probe as far as the gradients.
  private func perform(_ worker: Int) {
    if model.configuration.queueKeys == .momentum && probe == nil { phase(worker, "keys") { forwardKeys(worker) } }
    phase(worker, "forward") { forward(worker) }
    exchange(worker, "gather rows") { communicator.exchange(exchange.forward) }
    phase(worker, "contrastive statistics") { contrastiveStatistics(worker) }
    exchange(worker, "gather statistics") { gatherStatistics() }
    phase(worker, "anchor factors") { contrastive.finishStatistics(worker: worker, workers: team.count) }
    phase(worker, "contrastive gradient") { contrastiveGradient(worker) }
    phase(worker, "shuffled aggregation") { shuffledAggregation(worker) }
    exchange(worker, "gather shuffled gradients") { communicator.exchange(exchange.shuffled) }
    if let probe { phase(worker, "look") { for shard in workspaces[worker].shards { look(at: shard, probe) } } }
    phase(worker, "backward") { backward(worker) }
    exchange(worker, "exchange gradients") { exchangeGradients() }
    if probe != nil { return }
    phase(worker, "all-reduce") { reduce(worker) }
    exchange(worker, "gather norms") { communicator.exchange(optimizer.exchanges.squares) }
    phase(worker, "update") { if isFinite { optimizer.update(worker: worker, rate: rate) } }
    exchange(worker, "gather parameters") { communicator.exchange(optimizer.exchanges.parameters) }
    phase(worker, "queue and prototypes") { if isFinite { remember(worker) } }
  }

  private func prepare(_ batch: Batch, _ dropout: Bool) {
    // A shuffle draws from the batch's capacity.
    precondition(
      batch.count == plan.batchSize && batch.capacity == plan.batchSize,
      "a batch of \(batch.count) samples with room for \(batch.capacity), planned for \(plan.batchSize)")
    self.batch = batch
    training = true
    dropouts =
      dropout ? DropoutSites(rate: model.configuration.dropout, seed: seed, step: state.step) : .none
    rate = optimizer.configuration.rate(atStep: state.step)
  }

  /// Scores [B, C] of a batch in evaluation mode, valid until the next step.
  public func evaluate(_ batch: Batch) -> Matrix {
    precondition(batch.count <= plan.batchSize, "a batch of \(batch.count) samples, planned for \(plan.batchSize)")
    self.batch = batch
    training = false
    dropouts = .none
    team.run { [self] worker in forward(worker) }
    communicator.exchange(exchange.evaluated)
    return exchange.scores.rows(0..<batch.count)
  }

  /// The scores [B, C] that the last step's forward pass gave.
  public var scores: Matrix { exchange.scores }

  /// Gives rank 0 the moments of all ranks, for checkpoints and digests; all ranks have to call it.
  public func gatherMoments() {
    communicator.exchange(optimizer.exchanges.moments)
    state.hasAllMoments = ranks.rank == 0
  }

  /// Gives every rank the gradients of all parameters of the last step; all ranks have to call it.
  func gatherGradients() { communicator.exchange(optimizer.exchanges.gradients) }

  /// Those of a batch's samples, by their numbers in a source, that this rank's shards have: only their features are
  /// read here.
  func own<Numbers: RandomAccessCollection>(_ numbers: Numbers) -> Numbers.SubSequence {
    let places = plan.samples(ofShards: ranks.parts(plan.shards(ofWorker:))[ranks.rank])
    return numbers.dropFirst(places.lowerBound).prefix(places.count)
  }

  var ranks: Ranks { team.ranks }
  private var communicator: any Communicator { team.ranks.communicator }

  // MARK: Phases

  /// What one phase does on this worker, then the barrier that ends it.
  private func phase(_ worker: Int, _ name: String, _ body: () -> Void) {
    span(worker, name, body)
    span(worker, "wait", team.barrier)
  }

  /// What worker 0 does with the other ranks, if there are any, while the others wait.
  private func exchange(_ worker: Int, _ name: String, _ body: () -> Void) {
    if ranks.size > 1 { phase(worker, name) { if worker == 0 { body() } } }
  }

  /// Records a stretch of a worker's time if someone wants to see it.
  func span(_ worker: Int, _ name: String, _ body: () -> Void) {
    guard let timeline else { return body() }
    let start = Timeline.now()
    body()
    timeline.record(worker, name, from: start, to: Timeline.now())
  }

  /// Encoder, reconstruction and fusion of the worker's shards; live rows and betas go to the exchange buffers.
  private func forward(_ worker: Int) {
    let w = workspaces[worker]
    let θ = state.parameters(onNode: w.node)
    makeLatents(worker, θ, dropouts)
    span(worker, "fusion forward") {
      for shard in w.shards where shard.count > 0 { fuse(shard, θ) }
    }
  }

  /// What the momentum copy makes of the worker's shards: the rows that will enter the queue.
  private func forwardKeys(_ worker: Int) {
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
  private func contrastiveStatistics(_ worker: Int) {
    contrastive.addStatistics(
      worker: ranks.number(ofWorker: worker), workers: ranks.workerCount, scratch: workspaces[worker].tile)
    contrastive.sumClasses(worker: worker, workers: team.count)
  }

  private func gatherStatistics() {
    statistics.pack()
    communicator.exchange(statistics.messages)
    statistics.unpack()
  }

  /// Gradient of the contrastive loss for the live rows of the worker's shards.
  private func contrastiveGradient(_ worker: Int) {
    for shard in workspaces[worker].shards {
      contrastive.backward(
        shard.liveRows, weight: model.configuration.weights[.contrastive], worker: worker,
        scratch: workspaces[worker].tile, into: shard.unitGradient)
    }
  }

  /// Backward of the worker's shards; weight gradients go into the reduction tree.
  private func backward(_ worker: Int) {
    let w = workspaces[worker]
    let θ = state.parameters(onNode: w.node)
    var tree = tree(ofWorker: worker, probe)
    if worker == 0 && ranks.size > 1 && overlapsExchange && probe == nil {
      // Messages move on only when someone asks for them: after every shard's share of a layer.
      tree.inspect = { [communicator] _, _, _ in communicator.progress() }
    }
    span(worker, "reconstruction and fusion backward") {
      for shard in w.shards { backwardHeads(shard, θ) }
      addHeadGradients(w.shards, into: tree)
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
  private func exchangeGradients() {
    if !overlapsExchange {
      for segment in optimizer.slices.segments.indices { optimizer.reduction.start(segment: segment) }
    }
    communicator.finish()
  }

  /// The worker's slice of the summed gradients; one worker also sums the loss.
  private func reduce(_ worker: Int) {
    precondition(!FaultInjection.isDue(.bug), "a bug that was asked for, on worker \(worker)")
    optimizer.reduce(worker: worker)
    if worker == 0 {
      result = StepResult(exchange, contrastive: contrastive.value, model.configuration.weights, rate: rate)
    }
  }

  /// Whether loss and gradients are: known to every worker after the all-reduce.
  private var isFinite: Bool { result?.loss.isFinite ?? false && optimizer.squaredNorm.isFinite }

  /// What other ranks updated reaches all replicas. Live rows, or the momentum copy's, enter the queue in batch order;
  /// prototypes move sample by sample in batch order.
  private func remember(_ worker: Int) {
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
