import Foundation
import Parallel
import Tensor

/// Everything that training changes: parameters, moments, queue, prototypes, step. A function of (data,
/// configuration, seed) alone.
package final class TrainingState: @unchecked Sendable {
  // Proof of Sendable: changed between steps by one thread, within one as its phases settle.

  package let model: CARATModel
  /// Copies of the parameters, where the placement wants them; equal between steps.
  let replicas: [Parameters]
  /// As many momentum copies of the trained parameters, where the queue's keys come from one; otherwise none.
  let keyReplicas: [Parameters]
  /// The moving average of the trained parameters, if there is one.
  let average: Parameters?
  private let replicaNodes: [Int]
  /// Adam's moments, flat buffers of the trained parameters.
  let firstMoment: Parameters
  let secondMoment: Parameters
  let queue: EmbeddingQueue
  let prototypes: Prototypes
  /// Whether this rank has the moments of all parameters; of several ranks, each updates its own parts only.
  var hasAllMoments = true
  /// Steps taken.
  package internal(set) var step = 0
  /// What it is made of.
  package let memory: [MemoryRegion]

  /// Zeroed state where a placement wants it.
  ///
  /// - Parameter averages: whether with a moving average of the parameters.
  package init(_ model: CARATModel, placement: Placement, averages: Bool = false) throws {
    self.model = model
    replicaNodes = placement.replicaNodes
    let replicaArenas = placement.replicas.map(Arena.init)
    let moments = Arena(placement: placement.sharedMemory)
    let past = Arena(placement: placement.sharedMemory)
    let averaged = averages ? Arena(placement: placement.sharedMemory) : nil
    memory =
      replicaArenas.enumerated().map { MemoryRegion("parameters, replica \($0)", .replica, $1) }
      + [
        MemoryRegion("the optimiser's moments", .shared, moments),
        MemoryRegion("queue and prototypes", .shared, past),
      ] + (averaged.map { [MemoryRegion("averaged parameters", .shared, $0)] } ?? [])
    let packedCount = model.layout.packedCount
    replicas = try replicaArenas.map {
      Parameters(try $0.allocate(model.layout.count), packed: try $0.allocate(packedCount))
    }
    keyReplicas =
      model.configuration.queueKeys == .live
      ? []
      : try replicaArenas.map {
        Parameters(try $0.allocate(model.trainedCount), packed: try $0.allocate(packedCount))
      }
    average = try averaged.map { Parameters(try $0.allocate(model.trainedCount)) }
    firstMoment = Parameters(try moments.allocate(model.trainedCount))
    secondMoment = Parameters(try moments.allocate(model.trainedCount))
    queue = try EmbeddingQueue(model.configuration, in: past)
    prototypes = try Prototypes(model.configuration, in: past)
  }

  /// Initial parameters for a seed, as the released code draws them.
  package func initialize(seed: UInt64) {
    model.initialize(replicas[0], seed: seed)
    restartCopies()
    copyToReplicas()
  }

  /// The parameters nearest to a node.
  func parameters(onNode node: Int) -> Parameters { replicas[replicaNodes.firstIndex(of: node) ?? 0] }

  /// The momentum copy nearest to a node.
  func keyParameters(onNode node: Int) -> Parameters { keyReplicas[replicaNodes.firstIndex(of: node) ?? 0] }

  /// A worker's part of the packing of the copies nearest to it.
  struct PackingShare {
    fileprivate let replica: Int
    fileprivate let part: Int
    fileprivate let parts: Int
  }

  /// Each worker's share, who shares a copy with those whose nodes are nearest to it too.
  func packingShares(workersOnNodes nodes: [Int]) -> [PackingShare] {
    let replicas = nodes.map { replicaNodes.firstIndex(of: $0) ?? 0 }
    return replicas.enumerated().map { worker, replica in
      PackingShare(
        replica: replica, part: replicas[..<worker].count { $0 == replica }, parts: replicas.count { $0 == replica })
    }
  }

  /// Packs a share of the copies for the products that read them.
  ///
  /// - Parameter training: whether for a step's products; an evaluation needs those of its forward pass.
  func pack(_ share: PackingShare, training: Bool) {
    replicas[share.replica].pack(model.layout, part: share.part, parts: share.parts, backward: training)
    if training && !keyReplicas.isEmpty {
      keyReplicas[share.replica].pack(model.layout, part: share.part, parts: share.parts, backward: false)
    }
  }

  /// Calls `body` with what `pack` fills of a share.
  func forEachPacked(_ share: PackingShare, training: Bool, _ body: (_ weight: Parameter, _ floats: Matrix) -> Void) {
    func visit(_ copies: [Parameters], backward: Bool) {
      if copies.isEmpty { return }
      copies[share.replica].forEachPacked(model.layout, part: share.part, parts: share.parts, backward: backward) {
        weight, packed, panels, _ in body(weight, packed.floats(ofPanels: panels))
      }
    }
    visit(replicas, backward: training)
    if training { visit(keyReplicas, backward: false) }
  }

  /// Ends a step that changed the state on all workers.
  ///
  /// - Parameters:
  ///   - rows: live rows that entered the queue.
  ///   - hasAllMoments: whether this rank has them.
  func commit(rows: Int, hasAllMoments: Bool) {
    queue.advance(by: rows)
    step += 1
    self.hasAllMoments = hasAllMoments
  }

  /// Starts the momentum copy and the average from the parameters themselves.
  func restartCopies() {
    for copy in [keyReplicas.first, average].compactMap(\.self) {
      copy.origin.update(from: replicas[0].origin, count: model.trainedCount)
    }
  }

  /// Puts the averaged parameters in the place of the parameters while `body` is at it.
  ///
  /// - Parameter isOn: whether to do that at all.
  func withAverage<R>(_ isOn: Bool = true, _ body: () throws -> R) rethrows -> R {
    guard isOn else { return try body() }
    exchangeAverage()
    defer { exchangeAverage() }
    return try body()
  }

  private func exchangeAverage() {
    guard let average else { preconditionFailure("a state without averaged parameters") }
    for i in 0..<model.trainedCount { swap(&average.origin[i], &replicas[0].origin[i]) }
    copyToReplicas()
  }

  /// Any copy of the parameters.
  var parameters: Parameters { replicas[0] }

  /// Whether all replicas have the same bits, as they should between steps.
  var replicasAreEqual: Bool {
    func agree(_ copies: [Parameters], _ count: Int) -> Bool {
      copies.dropFirst().allSatisfy { memcmp($0.origin, copies[0].origin, count * MemoryLayout<Float>.stride) == 0 }
    }
    return agree(replicas, model.layout.count) && agree(keyReplicas, model.trainedCount)
  }

  /// Gives all ranks the parameters and prototypes of rank 0: what an evaluation needs.
  func shareWeights(_ communicator: any Communicator) {
    var messages = Messages()
    for tensor in [Matrix(replicas[0].origin, rows: 1, columns: model.layout.count)] + prototypes.values {
      let parts = (0..<communicator.size).map { 0..<($0 == 0 ? tensor.count : 0) }
      messages.gather(tensor.base, parts: parts, rank: communicator.rank)
    }
    communicator.exchange(messages)
    copyToReplicas()
  }

  /// Spreads the first replica's values, after it was written from outside a step.
  func copyToReplicas() {
    for replica in replicas.dropFirst() {
      replica.origin.update(from: replicas[0].origin, count: model.layout.count)
    }
    for replica in keyReplicas.dropFirst() {
      replica.origin.update(from: keyReplicas[0].origin, count: model.trainedCount)
    }
  }

  /// Random unit rows of random classes, as after some steps.
  package func fillQueue(seed: UInt64) {
    let key = RandomKey(seed: seed)
    let rows = queue.rows
    key.fillNormal(rows.base, count: rows.count, stream: 1 << 20, deviation: 1)
    var lengths = [Float](repeating: 0, count: rows.rows)
    UnitLength.forward(rows, into: rows, inverseLength: &lengths)
    for i in 0..<rows.rows {
      queue.classes[i] = Int32(key.words(1 << 21, UInt32(i)).0 % UInt32(model.configuration.contrastiveClasses))
    }
  }
}
