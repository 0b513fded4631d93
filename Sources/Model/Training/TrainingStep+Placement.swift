import Logging
import Parallel

/// Bytes that each step moves between the NUMA nodes of this process, where memory is node-local.
public struct TrafficBetweenNodes: Encodable, Sendable {
  /// Partial sums that workers of other nodes add up.
  public let gradients: Int
  /// New values that go to the replicas of other nodes.
  public let parameters: Int
}

extension TrainingStep {
  /// Each worker reads its slice of the gradients' sums of all other nodes, and writes its slice of the parameters to
  /// the replicas that are not its own.
  var trafficBetweenNodes: TrafficBetweenNodes {
    let sums = weightGradients.map(\.nodes.count)
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

  /// Asks the kernel where the memory of steps is, after a step has touched it, and logs one line: what is not as
  /// planned is a warning.
  @discardableResult
  func checkPlacement() -> PlacementCheck {
    let check = PlacementCheck(memory, placement: team.placement)
    Logger(label: "carat.placement").log(level: check.elsewhere > 0 ? .warning : .info, "\(check)")
    return check
  }
}
