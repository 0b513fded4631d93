import Parallel

/// What of a training step goes where, how large it is, and why: known when memory is planned, before it is touched.
package struct PlacementPlan: Encodable, Sendable {
  package struct Worker: Encodable, Sendable {
    package let worker: Int
    package let node: Int
    /// What its thread is held to: one CPU, or its node's where workers are more than CPUs.
    package let cpus: [Int]
    /// How many of a batch's samples its group of workers has: those of its node.
    package let groupSamples: Int

    private enum CodingKeys: String, CodingKey {
      case worker, node, cpus
      case groupSamples = "group_samples"
    }
  }

  package struct Part: Encodable, Sendable {
    package let name: String
    package let placement: String
    package let mebibytes: Double
    package let reason: String

    private enum CodingKeys: String, CodingKey {
      case name, placement
      case mebibytes = "mib"
      case reason = "why"
    }
  }

  /// What was asked for, and what can be had.
  package let requested: MemoryPolicy
  package let policy: MemoryPolicy
  package let workers: [Worker]
  package let isOversubscribed: Bool
  package let memory: [Part]
  package let totalMebibytes: Double
  package let traffic: TrafficBetweenNodes

  private enum CodingKeys: String, CodingKey {
    case requested, workers, memory
    case policy = "numa"
    case isOversubscribed = "oversubscribed"
    case totalMebibytes = "total_mib"
    case traffic = "step_bytes_between_nodes"
  }

  package init(_ step: TrainingStep) {
    let placement = step.team.placement
    requested = placement.policy
    policy = placement.effectivePolicy
    workers = placement.workers.indices.map {
      Worker(
        worker: $0, node: placement.workers[$0].node, cpus: placement.affinity(ofWorker: $0),
        groupSamples: step.parts[step.workspaces[$0].group].samples.count)
    }
    isOversubscribed = placement.isOversubscribed
    memory = step.memory.map {
      Part(
        name: $0.name, placement: $0.arena.placement.description, mebibytes: Double($0.arena.bytes) / 0x1p20,
        reason: $0.reason(placement))
    }
    totalMebibytes = memory.reduce(0) { $0 + $1.mebibytes }
    traffic = step.trafficBetweenNodes
  }

  /// Plans the training steps of some settings.
  ///
  /// - Throws: `MemoryShortage` and `MemoryError` where memory is short.
  package init(_ settings: RunConfiguration, team: WorkerTeam) throws {
    try settings.requireMemory()
    let step = try MemoryNeed.checking {
      try TrainingStep(
        TrainingState(CARATModel(settings.model), placement: team.placement), settings, team: team)
    }
    self.init(step)
  }
}
