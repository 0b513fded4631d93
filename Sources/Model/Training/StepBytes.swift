import Parallel

/// Bytes that a step moves.
package struct StepBytes: Encodable, Sendable {
  /// Of the gradients of all parameters, as many as of the parameters.
  package let gradients: Int
  /// Of activations and workspaces of this process.
  package let activations: Int
  package let betweenNodes: TrafficBetweenNodes
  /// Live rows, betas, statistics and the like: what all workers need of all samples.
  package let rows: Int

  private enum CodingKeys: String, CodingKey {
    case gradients, activations, rows
    case betweenNodes = "between_nodes"
  }
}

/// Bytes that each step moves between the NUMA nodes of this process, where memory is node-local.
package struct TrafficBetweenNodes: Encodable, Sendable {
  /// Partial sums that workers of other nodes add up.
  package let gradients: Int
  /// New values that go to the replicas of other nodes.
  package let parameters: Int
}

extension TrainingStep {
  /// What a step moves beyond caches, as far as it is known without a machine.
  package var bytes: StepBytes {
    StepBytes(
      gradients: gradientBytes, activations: workspaceBytes, betweenNodes: trafficBetweenNodes,
      rows: exchange.bytes + statistics.bytes)
  }

  /// Bytes and messages that this rank sends in a step.
  package var sent: (bytes: Int, messages: Int) {
    let messages =
      [exchange.forward, exchange.aggregated, statistics.messages, reduction.gatherSquares] + optimizer.gatherParameters
    return (
      messages.reduce(reduction.scatter.sentBytes) { $0 + $1.sentBytes }, messages.reduce(0) { $0 + $1.sends.count }
    )
  }

  /// Of all parameters that are trained.
  private var gradientBytes: Int { model.parameterCount * MemoryLayout<Float>.stride }

  /// Of this rank's workers: activations and scratch space, without what they add gradients in.
  private var workspaceBytes: Int {
    let all = memory.filter {
      switch $0.use {
      case .worker, .group: true
      case .replica, .shared: false
      }
    }
    return all.reduce(0) { $0 + $1.arena.bytes } - gradientNodes * gradientBytes
  }

  /// Nodes of the reduction tree that this rank's groups of workers add gradients into.
  package var gradientNodes: Int { nodesOfGroups.reduce(0, +) }

  private var nodesOfGroups: [Int] {
    weightGradients.map { microBatches in microBatches.reduce(0) { $0 + $1.nodes.count } }
  }

  /// Each worker reads its slice of the gradients' sums of all other nodes, and writes its slice of the parameters to
  /// the replicas that are not its own.
  var trafficBetweenNodes: TrafficBetweenNodes {
    let sums = nodesOfGroups
    let replicas = state.replicas.count
    var (gradients, parameters) = (0, 0)
    for (worker, workspace) in workspaces.enumerated() {
      let floats = reduction.slices.floats(ofWorker: ranks.number(ofWorker: worker))
      gradients += floats * (sums.reduce(0, +) - sums[workspace.group])
      parameters += floats * (replicas - 1)
    }
    let bytes = MemoryLayout<Float>.size
    return TrafficBetweenNodes(gradients: bytes * gradients, parameters: bytes * parameters)
  }
}
