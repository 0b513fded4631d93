import Parallel

/// What a communicator has to do, whatever carries its messages: threads of a test, or MPI between processes. Every rank calls
/// the same functions.
package enum CommunicatorChecks {
  /// Every check that fails, in words; of which those of other ranks are not told.
  package static func failures(_ communicator: any Communicator) throws -> [String] {
    var failures = try gathers(communicator) + values(communicator) + unfinished(communicator)
    for leaves in [1, 3, 8, 13] {
      for workers in [1, 3] { failures += try sumParts(communicator, leaves: leaves, workers: workers).failures }
    }
    return failures.map { "rank \(communicator.rank) of \(communicator.size): \($0)" }
  }

  /// Buffers of which each rank has a part, perhaps an empty one; the longest is more than MPI sends without being asked.
  private static func gathers(_ communicator: any Communicator) throws -> [String] {
    var failures: [String] = []
    let (rank, size) = (communicator.rank, communicator.size)
    for (count, alignment) in [(0, 1), (1, 1), (100, 1), (1003, 16), (3_000_001, 16)] {
      let parts = (0..<size).map { slice(of: count, part: $0, parts: size, alignment: alignment) }
      for isForAll in [true, false] {
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1))
        defer { buffer.deallocate() }
        buffer.initialize(repeating: -1, count: count)
        for i in parts[rank] { buffer[i] = Float(i) }
        var messages = Messages()
        if isForAll {
          messages.gather(buffer, parts: parts, rank: rank)
        } else {
          messages.gatherAtFirst(buffer, parts: parts, rank: rank)
        }
        let receivers = isForAll ? size - 1 : rank == 0 ? 0 : 1
        if messages.sentBytes != 4 * parts[rank].count * receivers {
          failures.append("\(messages.sentBytes) bytes sent")
        }
        communicator.exchange(messages)
        let known = isForAll || rank == 0 ? 0..<count : parts[rank]
        let wrong = (0..<count).first { buffer[$0] != (known.contains($0) ? Float($0) : -1) }
        if let wrong {
          failures.append("element \(wrong) of a gather of \(count), for all \(isForAll): \(buffer[wrong])")
        }
      }
    }
    return failures
  }

  /// Values and texts of all ranks in their order.
  private static func values(_ communicator: any Communicator) -> [String] {
    communicator.barrier()
    let size = communicator.size
    let numbers = communicator.gather(10 * communicator.rank)
    let texts = communicator.gather(String(repeating: "ä", count: communicator.rank))
    let agreed = communicator.agree(on: communicator.rank + 5)
    let (next, before) = ((communicator.rank + 1) % size, (communicator.rank + size - 1) % size)
    let passed = communicator.pass([Int](repeating: next, count: 3 * next), to: next, from: before)
    return (numbers == (0..<size).map { 10 * $0 } ? [] : ["numbers \(numbers)"])
      + (texts == (0..<size).map { String(repeating: "ä", count: $0) } ? [] : ["texts \(texts)"])
      + (agreed == 5 ? [] : ["agreed on \(agreed)"])
      + (passed == [Int](repeating: communicator.rank, count: 3 * communicator.rank) ? [] : ["was passed \(passed)"])
  }

  /// Several exchanges that were started before one is done, between the same ranks: each gets its own.
  private static func unfinished(_ communicator: any Communicator) -> [String] {
    let (rank, size) = (communicator.rank, communicator.size)
    var failures: [String] = []
    let (exchanges, count) = (5, 40_000)
    let buffer = UnsafeMutablePointer<Int32>.allocate(capacity: exchanges * size * count)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: -1, count: exchanges * size * count)
    func value(_ exchange: Int, _ rank: Int, _ i: Int) -> Int32 { Int32((exchange * size + rank) * count + i) }
    for exchange in 0..<exchanges {
      let own = buffer + exchange * size * count
      for i in 0..<count { own[rank * count + i] = value(exchange, rank, i) }
      var messages = Messages()
      messages.gather(own, parts: (0..<size).map { $0 * count..<($0 + 1) * count }, rank: rank)
      communicator.start(messages)
      communicator.progress()
    }
    communicator.finish()
    for exchange in 0..<exchanges {
      for peer in 0..<size {
        let part = buffer + (exchange * size + peer) * count
        if let i = (0..<count).first(where: { part[$0] != value(exchange, peer, $0) }) {
          failures.append("element \(i) of rank \(peer) in exchange \(exchange): \(part[i])")
        }
      }
    }
    return failures
  }

  /// Numbers in a buffer of `sumParts`.
  package static let floats = 1003

  /// A rank's parts of a sum over all ranks have the bits of the whole tree.
  ///
  /// - Parameters:
  ///   - leaves: of all ranks.
  ///   - workers: of each.
  /// - Returns: how many elements were written, and what was wrong.
  package static func sumParts(
    _ communicator: any Communicator, leaves leafCount: Int, workers: Int
  ) throws -> (written: Int, failures: [String]) {
    let segments = [0..<130, 130..<777, 777..<floats]
    let tree = ReductionTree(leaves: leafCount)
    let all = communicator.size * workers
    let runs = (0..<all).map { slice(of: leafCount, part: $0, parts: all) }
    let ranks = Ranks(communicator, groups: [Int](repeating: 1, count: workers))
    let arena = Arena(placement: .anywhere)
    let nodes = try Leaves(leaves: leafCount, count: floats, seed: 7).nodes(
      tree, runs: Array(runs[ranks.own]), in: arena)
    let parts = segments.map { segment in
      ranks.parts { worker in
        let own = slice(of: segment.count, part: worker, parts: ranks.workerCount)
        return segment.lowerBound + own.lowerBound..<segment.lowerBound + own.upperBound
      }
    }
    let reduction = try ReduceScatter(
      tree: tree, ranks: ranks, runs: ranks.parts { runs[$0] }, nodes: nodes, segments: segments, parts: parts,
      arenas: (0..<workers).map { _ in arena }, shared: arena)
    var (written, failures) = (0, [String]())
    // Twice: the second time everything is stale. Segments in another order than they lie.
    for seed in [7, 8] as [UInt64] {
      let leaves = Leaves(leaves: leafCount, count: floats, seed: seed)
      for segment in [2, 0, 1] {
        for node in nodes {
          let sum = leaves.sum(over: node.leaves)
          for i in segments[segment] { node.base[i] = sum[i] }
        }
        for worker in 0..<workers { reduction.combine(worker: worker, segment: segment) }
        reduction.start(segment: segment)
      }
      communicator.finish()
      let total = leaves.total
      written = 0
      for segment in segments.indices {
        let part = parts[segment][communicator.rank]
        for worker in 0..<workers {
          let share = slice(of: part.count, part: worker, parts: workers)
          reduction.reduce(
            worker: worker, segment: segment,
            slice: part.lowerBound + share.lowerBound..<part.lowerBound + share.upperBound)
        }
        for i in part {
          written += 1
          if reduction.sum[i].bitPattern != total[i].bitPattern {
            failures.append("element \(i) of the sum of \(leafCount) leaves by \(workers) workers: \(reduction.sum[i])")
          }
        }
      }
    }
    return (written, failures)
  }
}
