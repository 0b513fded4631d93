import ArgumentParser
import Files
import Model
import Parallel

struct ShowTopology: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "topology",
    abstract: "Show this machine's NUMA nodes, and where a run's workers and memory will go, and why.",
    discussion: """
      The plan is that of `train run` or `train bench` with the same options. A run itself looks up where its memory \
      is after the first step: see the placement event of its metrics.jsonl, or --verbose.
      """)

  @OptionGroup(title: "Sizes of a batch") var sizes: BatchOptions

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions
  @OptionGroup(title: "Model and loss") var model: ModelOptions

  private struct Node: Encodable {
    let id: Int
    let cpus: [Int]
    let totalMebibytes: Int
    let freeMebibytes: Int
    /// To all nodes in order, where the firmware tells; 10 is the node itself.
    let distances: [Int]

    private enum CodingKeys: String, CodingKey {
      case id, cpus, distances
      case totalMebibytes = "total_mib"
      case freeMebibytes = "free_mib"
    }
  }

  private struct Report: Encodable {
    /// Whether the kernel tells nodes that can be used.
    let numa: Bool
    /// Why not, if not.
    let absence: String?
    let nodes: [Node]
    let allowedCPUs: [Int]
    /// Of these the hardware threads of each physical core.
    let cores: [[Int]]
    /// CPUs' time that a control group grants, in CPUs.
    let limit: Double?
    let allowedMemoryNodes: [Int]
    let plan: PlacementPlan

    private enum CodingKeys: String, CodingKey {
      case numa, absence, nodes, plan, cores
      case limit = "cpu_limit"
      case allowedCPUs = "allowed_cpus"
      case allowedMemoryNodes = "allowed_memory_nodes"
    }
  }

  func run() throws {
    let settings = try sizes.settings(model)
    let team = try workers.makeTeam()
    let topology = team.placement.topology
    let found = NUMA.nodes()
    let report = Report(
      numa: topology.hasNUMA, absence: topology.absence,
      nodes: found.map { node in
        Node(
          id: node.id, cpus: node.cpus, totalMebibytes: node.totalBytes >> 20, freeMebibytes: node.freeBytes >> 20,
          distances: found.compactMap { NUMA.distance(from: node.id, to: $0.id) })
      }, allowedCPUs: topology.cpus, cores: topology.nodes.flatMap(\.cores), limit: ProcessorLimit.current(),
      allowedMemoryNodes: NUMA.allowedMemoryNodes(),
      plan: try PlacementPlan(settings, team: team))
    if json { return try printJSON(report) }
    for line in machine(report) + report.plan.lines(settings) { try say(line) }
  }

  private func machine(_ report: Report) -> [String] {
    let (threads, cores) = (report.allowedCPUs.count, report.cores.count)
    let cpus =
      "CPUs \(Placement.ranges(report.allowedCPUs)), \(threads) hardware thread\(threads == 1 ? "" : "s") of "
      + "\(cores) physical core\(cores == 1 ? "" : "s")"
      + (report.limit.map { ", the time of \(fixed($0, 2)) CPUs (a limit of its control group)," } ?? "")
    if let absence = report.absence {
      return ["no NUMA: \(absence); \(NUMA.physicalBytes >> 20) MiB; this process may use \(cpus)"]
    }
    return report.nodes.map { node in
      "node \(node.id): CPUs \(Placement.ranges(node.cpus)), \(node.freeMebibytes) of \(node.totalMebibytes) MiB free"
        + (node.distances.isEmpty ? "" : ", distances \(node.distances.map(String.init).joined(separator: " "))")
    } + ["this process may use \(cpus) and memory of nodes \(Placement.ranges(report.allowedMemoryNodes))"]
  }
}

extension PlacementPlan {
  /// A line for each worker and each part of the memory.
  func lines(_ settings: RunConfiguration) -> [String] {
    let head =
      "plan: --workers \(workers.count) --numa \(policy.rawValue), batch \(settings.batchSize)\(settings.inMicroBatches), "
      + "queue \(settings.model.queueSize): \(fixed(totalMebibytes, 1)) MiB"
    return [head]
      + workers.map { worker in
        "  worker \(worker.worker): CPU \(Placement.ranges(worker.cpus)) of node \(worker.node), one of those for "
          + "\(worker.groupSamples) sample\(worker.groupSamples == 1 ? "" : "s")"
      }
      + memory.map { part in
        "  \(fixed(part.mebibytes, 1)) MiB \(part.placement): \(part.name) (\(part.reason))"
      }
      + (traffic.gradients == 0
        ? []
        : [
          "  each step moves \(fixed(Double(traffic.gradients) / 0x1p20, 1)) MiB of gradients and "
            + "\(fixed(Double(traffic.parameters) / 0x1p20, 1)) MiB of new parameters between nodes"
        ])
  }
}
