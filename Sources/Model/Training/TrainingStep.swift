import Parallel
import Tensor

/// One training step of a batch, as phases on the worker team with barriers between them.
///
/// Three rules make the result the same bits for any number of workers, on however many ranks: an element of a product is
/// one chain of additions, whoever computes it beside which others; sums over samples follow one tree over blocks of the
/// batch; draws are keyed by the sample. Everything else, who does what, is dealt out by what it costs. Between phases
/// worker 0 exchanges with the other ranks what the next phase needs of them.
package final class TrainingStep: @unchecked Sendable {
  // Proof of Sendable: `result` is written by worker 0 in a phase and read after its barrier; the rest is constant, or set
  // between steps; of shared memory each phase has one writer a row, and barriers lie between phases.

  let model: CARATModel
  package let state: TrainingState
  package let team: WorkerTeam
  /// The ranks, of which this process is one: as a rule its own, in an audit also the next.
  let ranks: Ranks
  let exchange: Exchange
  let contrastive: ContrastiveLoss
  let statistics: StatisticsExchange
  let reduction: GradientReduction
  let optimizer: BertAdam
  /// The samples of each group of this rank's workers.
  let parts: [BatchPart]
  /// Of each group, of each of its micro-batches.
  let weightGradients: [[WeightGradients]]
  let workspaces: [Workspace]
  let packingShares: [TrainingState.PackingShare]
  /// What steps use, without the state.
  let buffers: [MemoryRegion]
  /// What steps use, the state included.
  package var memory: [MemoryRegion] { state.memory + buffers }
  private let seed: UInt64
  /// Samples of a batch, B.
  package let batchSize: Int
  /// In how many runs each group's samples go through the encoders, one after the other.
  package let microBatches: Range<Int>

  /// The loss of the running step, once all samples have gone forward.
  var result: StepResult?

  /// Whether gradients travel to the other ranks while others are computed, or all after it: results are the same.
  package var overlapsExchange = true

  /// The workers' time, added up by phase.
  let times: PhaseTimes
  /// Where each stretch of it is recorded, if anywhere.
  package var timeline: Timeline?
  /// Lets one worker at a time work within a phase, to see what many would do on few cores; nil as a rule.
  package var turns: Turns?

  /// What belongs to one worker alone, on its node.
  struct Workspace {
    let scratch: Scratch
    /// One tile of similarities.
    let tile: Matrix
    let node: Int
    /// Its group's number on this rank, its own number in it, and how many it has.
    let group: Int
    let number: Int
    let count: Int

    /// Its part of what is dealt out in its group in equal parts.
    func share(of count: Int) -> Range<Int> { slice(of: count, part: number, parts: self.count) }
  }

  /// What a step takes.
  struct Inputs {
    let batch: Batch
    let dropouts: DropoutSites
    let training: Bool
    /// Whether an evaluation makes what it does not need for scores.
    var isInspected = false
    /// The learning rate.
    let rate: Float
    /// Looks for the first value that is not finite, in a step that is repeated for it.
    let probe: NonFiniteProbe?
    /// Gets checksums of what the stages write, in a step that is audited.
    var notes: StepNotes?
  }

  /// - Parameters:
  ///   - ranks: those of the team, or the same with this process as another.
  ///   - times: where the workers' time is added up.
  private init(
    _ state: TrainingState, optimizer configuration: OptimizerConfiguration, batchSize: Int, microBatches: Int,
    team: WorkerTeam, ranks: Ranks, times: PhaseTimes, seed: UInt64
  ) throws {
    let model = state.model
    let (c, placement) = (model.configuration, team.placement)
    (self.ranks, self.times) = (ranks, times)
    self.model = model
    self.state = state
    self.team = team
    self.seed = seed
    self.batchSize = batchSize
    self.microBatches = 0..<microBatches
    let division = BatchDivision(batchSize: batchSize, groups: ranks.groups.flatMap(\.self))
    let runs = (0..<ranks.size).map { rank -> Range<Int> in
      let own = ranks.ofGroups(division.samples, rank: rank)
      return (own.first?.lowerBound ?? 0)..<(own.last?.upperBound ?? 0)
    }
    let shared = Arena(placement: placement.sharedMemory)
    let exchange = try Exchange(c, batchSize: batchSize, parts: runs, rank: ranks.rank, in: shared)
    self.exchange = exchange
    contrastive = try ContrastiveLoss(
      c, live: exchange.live, liveClasses: exchange.liveClasses, queue: state.queue, workers: team.count, in: shared)
    statistics = try StatisticsExchange(contrastive, ranks: ranks, in: shared)

    let tree = ReductionTree(leaves: batchSize)
    let own = (0..<team.count).map { Arena(placement: placement.memory(ofWorker: $0)) }
    let slices = GradientSlices(model, ranks: ranks)
    var (workspaces, parts, weightGradients) = ([Workspace](), [BatchPart](), [[WeightGradients]]())
    var groupArenas: [Arena] = []
    for (group, samples) in ranks.ofGroups(division.samples, rank: ranks.rank).enumerated() {
      let (workers, arena) = (placement.groups[group], Arena(placement: placement.memory(ofGroup: group)))
      let part = try BatchPart(
        model, samples: samples, microBatches: microBatches, workers: workers.count, exchange: exchange, in: arena)
      parts.append(part)
      weightGradients.append(
        try part.microBatches.map {
          try WeightGradients(
            model, samples: $0.places, tree: tree, sources: $0.weightSources, gradients: part.gradients[$0.samples],
            segments: slices.segments.indices.map(slices.range(ofSegment:)), workers: own[workers], in: arena)
        })
      groupArenas.append(arena)
      let scratch = model.scratchSize(batchSize: batchSize)
      for (number, worker) in workers.enumerated() {
        workspaces.append(
          Workspace(
            scratch: Scratch(try own[worker].matrix(rows: 1, columns: scratch)),
            tile: try own[worker].matrix(rows: 1, columns: ContrastiveLoss.scratchCapacity),
            node: placement.workers[worker].node, group: group, number: number, count: workers.count))
      }
    }
    (self.workspaces, self.parts, self.weightGradients) = (workspaces, parts, weightGradients)
    reduction = try GradientReduction(
      slices, tree: tree, ranks: ranks, runs: runs, nodes: weightGradients.flatMap(\.self).flatMap(\.nodes),
      arenas: own, shared: shared)
    optimizer = try BertAdam(configuration, state: state, reduction: reduction, arenas: own)
    packingShares = state.packingShares(workersOnNodes: workspaces.map(\.node))
    buffers =
      [MemoryRegion("exchange buffers", .shared, shared)]
      + groupArenas.enumerated().filter { $1.bytes > 0 }.map { group, arena in
        let node = placement.workers[placement.groups[group].lowerBound].node
        return MemoryRegion(groupArenas.count == 1 ? "activations" : "activations, node \(node)", .group(group), arena)
      }
      + own.enumerated().map { MemoryRegion("worker \($0)", .worker($0), $1) }
  }

  /// Plans all memory that steps use; nothing is allocated later.
  ///
  /// - Parameter microBatches: in how many runs a batch's samples go through the encoders: the more, the less memory, the
  ///   same bits.
  /// - Throws: `MemoryError` if there is not enough.
  package convenience init(
    _ state: TrainingState, optimizer configuration: OptimizerConfiguration, batchSize: Int,
    microBatches: Int = 1, team: WorkerTeam, seed: UInt64
  ) throws {
    try self.init(
      state, optimizer: configuration, batchSize: batchSize, microBatches: microBatches, team: team, ranks: team.ranks,
      times: PhaseTimes(workers: team.count), seed: seed)
  }

  /// Plans the state and the steps of a run.
  convenience init(_ settings: RunConfiguration, dataset: Dataset, team: WorkerTeam) throws {
    var model = settings.model
    model.positiveWeights = model.positiveWeights?.resolved(for: dataset.train)
    let state = try TrainingState(
      CARATModel(model), placement: team.placement, averages: settings.optimizer.averageDecay != nil)
    try self.init(state, settings, team: team)
  }

  /// Plans the steps of a run.
  package convenience init(_ state: TrainingState, _ settings: RunConfiguration, team: WorkerTeam) throws {
    try self.init(
      state, optimizer: settings.optimizer, batchSize: settings.batchSize, microBatches: settings.microBatches ?? 1,
      team: team, seed: settings.seed)
  }

  /// Plans the same steps, but as the next rank computes them, on the same state; nil where the team has no workers for that.
  convenience init?(nextTo step: TrainingStep) throws {
    guard let next = step.ranks.next else { return nil }
    try self.init(
      step.state, optimizer: step.optimizer.configuration, batchSize: step.batchSize,
      microBatches: step.microBatches.count,
      team: step.team, ranks: next, times: step.times, seed: step.seed)
  }

  /// Trains on a full batch. Where the loss or a gradient is not finite, the state stays as it was.
  ///
  /// - Parameters:
  ///   - batch: B samples, its shuffle drawn.
  ///   - dropout: whether dropout is on; replays of recorded steps turn it off.
  ///   - notes: gets checksums of what the whole step writes.
  /// - Returns: the loss terms, unweighted, and their weighted sum.
  @discardableResult
  package func train(on batch: Batch, dropout: Bool = true, notes: StepNotes? = nil) -> StepResult {
    var inputs = inputs(batch, dropout)
    inputs.notes = notes
    let x = inputs
    team.run { [self] worker in
      computeGradients(worker, x)
      update(worker, x)
    }
    return finish()
  }

  /// The first part of `train`: computes the gradients of a batch, and changes nothing of the state.
  ///
  /// - Parameter notes: gets checksums of what is written.
  /// - Returns: what it took.
  func computeGradients(on batch: Batch, notes: StepNotes) -> Inputs {
    var inputs = inputs(batch, true)
    inputs.notes = notes
    let x = inputs
    team.run { [self] worker in computeGradients(worker, x) }
    return x
  }

  /// The rest of `train`: applies the gradients that were computed last.
  func applyGradients(of inputs: Inputs) -> StepResult {
    var inputs = inputs
    inputs.notes = nil
    let x = inputs
    team.run { [self] worker in update(worker, x) }
    return finish()
  }

  private func finish() -> StepResult {
    guard var result else { preconditionFailure("a step without a result") }
    result.isFinite = isFinite
    if result.isFinite { state.commit(rows: exchange.live.rows, hasAllMoments: ranks.size == 1) }
    return result
  }

  /// Repeats a step that was not finite as far as its gradients and tells the first tensor, in the order of
  /// computation, with a value that is not; changes nothing.
  package func findNonFinite(in batch: Batch, dropout: Bool = true) -> NonFinite {
    let probe = NonFiniteProbe()
    let inputs = inputs(batch, dropout, probe)
    team.run { [self] worker in computeGradients(worker, inputs) }
    return probe.first(self, batch)
  }

  private func inputs(_ batch: Batch, _ dropout: Bool, _ probe: NonFiniteProbe? = nil) -> Inputs {
    // A shuffle draws from the batch's capacity.
    precondition(
      batch.count == batchSize && batch.capacity == batchSize,
      "a batch of \(batch.count) samples with room for \(batch.capacity), planned for \(batchSize)")
    turns?.begin()
    if let turns { turns.alone("dealing") { deal(batch) } } else { deal(batch) }
    let dropouts = dropout ? DropoutSites(rate: model.configuration.dropout, seed: seed, step: state.step) : .none
    return Inputs(
      batch: batch, dropouts: dropouts, training: true, rate: optimizer.configuration.rate(atStep: state.step),
      probe: probe)
  }

  /// Deals the batch's tasks to the workers.
  private func deal(_ batch: Batch) {
    for part in parts { part.begin(batch) }
    for gradients in weightGradients.flatMap(\.self) { gradients.deal() }
  }

  /// A step's phases up to the sum of the gradients, on one worker; with a probe as far as the gradients. It changes nothing of
  /// the state and may be repeated.
  func computeGradients(_ worker: Int, _ x: Inputs) {
    phase(worker, .packing, x) { state.pack(packingShares[worker], training: true) }
    if model.configuration.queueKeys == .momentum && x.probe == nil {
      for n in microBatches { phase(worker, .keyEncoders, microBatch: n, x) { encodeKeys(worker, n, x) } }
      phase(worker, .keyLatents, x) { makeKeys(worker, x) }
    }
    for n in microBatches { encodersForward(worker, n, x) }
    phase(worker, .headsForward, x) { makeLatents(worker, x) }
    communicate(worker, "gather rows") { communicator.exchange(exchange.forward) }
    phase(worker, .packingRows, x) { contrastive.pack(part: worker, parts: team.count) }
    phase(worker, .statistics, x) { addStatistics(worker, x) }
    communicate(worker, "gather statistics") { gatherStatistics() }
    phase(worker, .anchorFactors, x) { finishStatistics(worker, x) }
    phase(worker, .contrastiveGradient, x) { contrastiveGradient(worker) }
    communicate(worker, "gather aggregates") { communicator.exchange(exchange.aggregated) }
    if let probe = x.probe { phase(worker, .search, x) { searchHeads(worker, probe) } }
    phase(worker, .headsBackward, x) { heads(worker, x) { model.heads.backward($1, $0) } }
    for n in microBatches.reversed() {
      // What the last one's forward pass left is still there.
      if n + 1 < microBatches.upperBound { encodersForward(worker, n, x) }
      backward(worker, n, x)
    }
    communicate(worker, "exchange gradients") { finishExchange() }
    if x.probe != nil { return }
    phase(worker, .allReduce, x) { reduce(worker, x) }
    communicate(worker, "gather norms") { communicator.exchange(reduction.gatherSquares) }
  }

  /// Forward through the encoders, of one micro-batch.
  private func encodersForward(_ worker: Int, _ n: Int, _ x: Inputs) {
    phase(worker, .encodersForward, microBatch: n, x) { encode(worker, n, x) }
    if let probe = x.probe { phase(worker, .search, x) { searchEncoders(worker, n, probe) } }
  }

  /// Backward of one micro-batch, and its gradients; with those of the first, which goes last, they are ready.
  private func backward(_ worker: Int, _ n: Int, _ x: Inputs) {
    for (number, turn) in model.turns.enumerated() {
      phase(worker, .encodersBackward, microBatch: n, part: number, x) {
        if number == 0 { addHeadGradients(worker, n, x) }
        encodersBackward(worker, n, turn, x)
      }
      for segment in reduction.slices.segments.count == 1 ? [0] : turn.segments {
        phase(worker, .weightGradients, microBatch: n, part: segment, x) {
          computeWeightGradients(worker, n, segment, x)
        }
        if n == 0 { send(worker, segment, x) }
      }
    }
  }

  /// The phases that change the state, on one worker, if the gradients are finite.
  private func update(_ worker: Int, _ x: Inputs) {
    if isFinite { optimizer.prepare(worker: worker) }
    for segment in reduction.slices.segments.indices {
      phase(worker, .update, part: segment, x) {
        if isFinite { optimizer.update(segment: segment, worker: worker, rate: x.rate) }
      }
      communicate(worker, "send parameters") { communicator.start(optimizer.gatherParameters[segment]) }
    }
    communicate(worker, "gather parameters") { communicator.finish() }
    phase(worker, .queueAndPrototypes, x) { if isFinite { remember(worker, x) } }
  }

  /// Scores [B, C] of a batch in evaluation mode, valid until the next step.
  ///
  /// - Parameters:
  ///   - inspects: whether latents of all levels are made too, for `inspected`.
  ///   - notes: gets checksums of what is written.
  package func evaluate(_ batch: Batch, inspects: Bool = false, notes: StepNotes? = nil) -> Matrix {
    precondition(batch.count <= batchSize, "a batch of \(batch.count) samples, planned for \(batchSize)")
    precondition(!inspects || microBatches.count == 1, "attention of \(microBatches.count) micro-batches is not kept")
    for part in parts { part.begin(batch) }
    let x = Inputs(
      batch: batch, dropouts: .none, training: false, isInspected: inspects, rate: 0, probe: nil, notes: notes)
    times.pausing {
      team.run { [self] worker in
        phase(worker, .packing, x) { state.pack(packingShares[worker], training: false) }
        for n in microBatches { encodersForward(worker, n, x) }
        phase(worker, .headsForward, x) { makeLatents(worker, x) }
        phase(worker, .aggregation, x) { aggregate(worker, x) }
        phase(worker, .scores, x) { finishScores(worker, x) }
      }
    }
    communicator.exchange(exchange.evaluated)
    return exchange.scores.rows(0..<batch.count)
  }

  /// The scores [B, C] that the last step's forward pass gave.
  package var scores: Matrix { exchange.scores }

  /// Gives rank 0 the moments of all ranks, for checkpoints and digests; all ranks have to call it.
  package func gatherMoments() {
    communicator.exchange(optimizer.gatherMoments)
    state.hasAllMoments = ranks.rank == 0
  }

  /// Gives every rank the moments of its own parts after a step that each took as the rank `shift` after its own; all ranks have
  /// to call it.
  func bringHomeMoments(shift: Int) {
    let (rank, size) = (ranks.rank, ranks.size)
    if shift > 0 {
      communicator.exchange(
        optimizer.bringHomeMoments(to: (rank + shift) % size, from: (rank + size - shift) % size))
    }
  }

  /// Gives every rank the gradients of all parameters of the last step; all ranks have to call it.
  func gatherGradients() { communicator.exchange(reduction.gatherGradients) }

  /// Those of a batch's samples, by their numbers in a source, that this rank has: only their features are read here.
  func own<Numbers: RandomAccessCollection>(_ numbers: Numbers) -> Numbers.SubSequence {
    let places = (parts.first?.samples.lowerBound ?? 0)..<(parts.last?.samples.upperBound ?? 0)
    return numbers.dropFirst(places.lowerBound).prefix(places.count)
  }

  var communicator: any Communicator { ranks.communicator }
}
