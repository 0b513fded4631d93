import Parallel
import Tensor

/// Everything that training changes: parameters, moments, queue, prototypes, step. A function of (data,
/// configuration, seed) alone.
public final class TrainingState: @unchecked Sendable {
  public let model: CARAT
  /// One copy of the parameters a NUMA node that has workers; equal between steps.
  let replicas: [Parameters]
  /// One momentum copy of the trained parameters a node, where the queue's keys come from one; otherwise none.
  let keyReplicas: [Parameters]
  private let replicaNodes: [Int]
  /// Adam's moments, flat buffers of the trained parameters.
  let firstMoment: Parameters
  let secondMoment: Parameters
  let queue: EmbeddingQueue
  let prototypes: Prototypes
  /// Steps taken.
  public internal(set) var step = 0
  private let arenas: [Arena]

  /// Zeroed state with replicas on the nodes of a placement's workers.
  public init(_ model: CARAT, placement: Placement) throws {
    self.model = model
    replicaNodes = placement.nodes
    let replicaArenas = placement.nodes.map { Arena(placement: .node($0)) }
    let shared = Arena(placement: .interleaved)
    arenas = replicaArenas + [shared]
    replicas = try replicaArenas.map { Parameters(try $0.allocate(model.layout.count)) }
    keyReplicas =
      model.configuration.queueKeys == .live
      ? [] : try replicaArenas.map { Parameters(try $0.allocate(model.trainedCount)) }
    firstMoment = Parameters(try shared.allocate(model.trainedCount))
    secondMoment = Parameters(try shared.allocate(model.trainedCount))
    queue = try EmbeddingQueue(model.configuration, in: shared)
    prototypes = try Prototypes(model.configuration, in: shared)
  }

  /// Initial parameters for a seed, as the released code draws them.
  public func initialize(seed: UInt64) {
    model.initialize(replicas[0], seed: seed)
    restartKeys()
    copyToReplicas()
  }

  /// The parameters nearest to a node.
  func parameters(onNode node: Int) -> Parameters { replicas[replicaNodes.firstIndex(of: node) ?? 0] }

  /// The momentum copy nearest to a node.
  func keyParameters(onNode node: Int) -> Parameters { keyReplicas[replicaNodes.firstIndex(of: node) ?? 0] }

  /// Starts the momentum copy from the parameters themselves.
  func restartKeys() {
    keyReplicas.first?.origin.update(from: replicas[0].origin, count: model.trainedCount)
  }

  /// Any copy of the parameters.
  var parameters: Parameters { replicas[0] }

  /// Spreads the first replica's values, after it was written from outside a step.
  func copyToReplicas() {
    for replica in replicas.dropFirst() {
      replica.origin.update(from: replicas[0].origin, count: model.layout.count)
    }
    for replica in keyReplicas.dropFirst() {
      replica.origin.update(from: keyReplicas[0].origin, count: model.trainedCount)
    }
  }
}
