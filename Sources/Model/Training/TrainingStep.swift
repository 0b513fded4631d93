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
  private let packingShares: [TrainingState.PackingShare]
  /// What steps use, the state included.
  public let memory: [MemoryRegion]
  private let seed: UInt64

  // The running step's inputs, set before the team starts on it.
  private(set) var batch: Batch!
  private(set) var dropouts = DropoutSites.none
  private(set) var training = true
  private(set) var rate: Float = 0
  /// The loss, once all shards have gone forward.
  var result: StepResult?
  /// Looks for the first value that is not finite, in a step that is repeated for it.
  private(set) var probe: NonFiniteProbe?

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
          scratch: Scratch(try arena.matrix(rows: 1, columns: CARAT.scratchSize(c, samples: samples))),
          tile: try arena.matrix(rows: 1, columns: ContrastiveLoss.scratchCapacity), node: node))
      gradients.append(
        try TreeAccumulator(
          tree: tree, run: run, count: model.trainedCount, maxGroup: model.largestGroup, arena: arena))
    }
    optimizer = try BertAdam(
      configuration, state: state, tree: tree, ranks: ranks, runs: runs, nodes: gradients.flatMap(\.nodes),
      arenas: arenas, shared: shared)
    (self.workspaces, self.gradients) = (workspaces, gradients)
    packingShares = state.packingShares(workersOnNodes: workspaces.map(\.node))
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
    phase(worker, "packing") { state.pack(packingShares[worker], training: true) }
    if model.configuration.queueKeys == .momentum && probe == nil { phase(worker, "keys") { forwardKeys(worker) } }
    phase(worker, "forward") { forward(worker) }
    exchange(worker, "gather rows") { communicator.exchange(exchange.forward) }
    phase(worker, "packing") { contrastive.pack(part: worker, parts: team.count) }
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
    team.run { [self] worker in
      state.pack(packingShares[worker], training: false)
      team.barrier()
      forward(worker)
    }
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
  var communicator: any Communicator { team.ranks.communicator }
}
