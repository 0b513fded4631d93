import Model
import Parallel
import Tensor

/// Times the all-reduce of a model's gradients over all ranks (exchange of nodes, additions in the tree's order, gather
/// of the sums), and the MPI library's own sum of as many bytes beside it, in turn.
package struct CollectiveBenchmark: Codable, Sendable {
  package let ranks: Int
  package let workers: Int
  package let bytes: Int
  /// Bytes that rank 0 sends.
  package let sentBytes: Int
  package let repeats: Int
  /// Fastest and median.
  package let seconds: [Double]
  package let librarySeconds: [Double]
  /// The fastest over the library's fastest.
  package let ratio: Double

  private enum CodingKeys: String, CodingKey {
    case ranks, workers, bytes, repeats, seconds, ratio
    case sentBytes = "sent_bytes"
    case librarySeconds = "library_seconds"
  }

  /// All ranks have to do it; times are rank 0's.
  package init(_ settings: RunConfiguration, repeats: Int, team: WorkerTeam) throws {
    let (ranks, count) = (team.ranks, CARATModel(settings.model).trainedCount)
    let communicator = ranks.communicator
    let tree = ReductionTree(leaves: settings.batchSize)
    let division = BatchDivision(batchSize: settings.batchSize, groups: ranks.groups.flatMap(\.self))
    let shared = Arena(placement: team.placement.sharedMemory)
    let arenas = (0..<team.count).map { Arena(placement: team.placement.memory(ofWorker: $0)) }
    let nodes = try ranks.ofGroups(division.samples, rank: ranks.rank).enumerated().flatMap { group, samples in
      try tree.maximalNodes(in: samples).map {
        TreeNode(leaves: $0, base: try arenas[team.placement.groups[group].lowerBound].allocate(count))
      }
    }
    let runs = (0..<ranks.size).map { rank -> Range<Int> in
      let own = ranks.ofGroups(division.samples, rank: rank)
      return (own.first?.lowerBound ?? 0)..<(own.last?.upperBound ?? 0)
    }
    @Sendable func part(_ worker: Int) -> Range<Int> {
      slice(of: count, part: worker, parts: ranks.workerCount, alignment: 16)
    }
    let parts = ranks.parts(part)
    let reduction = try ReduceScatter(
      tree: tree, ranks: ranks, runs: runs, nodes: nodes, segments: [0..<count],
      parts: [parts], arenas: arenas, shared: shared)
    var gather = Messages()
    gather.gather(reduction.sum, parts: parts, rank: ranks.rank)
    let values = try shared.allocate(count)

    func time(_ body: () -> Void) -> Double {
      communicator.barrier()
      let start = ContinuousClock.now
      body()
      communicator.barrier()
      return (ContinuousClock.now - start).seconds
    }
    let sums = gather
    func allReduce() {
      team.run { worker in
        reduction.combine(worker: worker, segment: 0)
        team.barrier()
        if worker == 0 {
          reduction.start(segment: 0)
          communicator.finish()
        }
        team.barrier()
        reduction.reduce(worker: worker, segment: 0, slice: part(ranks.number(ofWorker: worker)))
        team.barrier()
        if worker == 0 { communicator.exchange(sums) }
      }
    }
    var (own, library) = ([Double](), [Double]())
    for k in 0..<repeats + 2 {
      let seconds = (time(allReduce), time { Launcher.sumByLibrary(values, count: count) })
      // The first ones touch memory.
      if k >= 2 {
        own.append(seconds.0)
        library.append(seconds.1)
      }
    }
    (own, library) = (own.sorted(), library.sorted())
    self.ranks = ranks.size
    workers = ranks.workerCount
    bytes = count * MemoryLayout<Float>.stride
    sentBytes = reduction.sentBytes + gather.sentBytes
    self.repeats = repeats
    seconds = [own[0], own[own.count / 2]]
    librarySeconds = [library[0], library[library.count / 2]]
    ratio = own[0] / max(library[0], 1e-12)
  }
}
