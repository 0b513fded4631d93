import Parallel
import TestSupport
import Testing

@Suite struct CommunicatorTests {
  static let sizes = [1, 2, 3, 5, 7]

  @Test(arguments: sizes) func gathersReachEveryRank(size: Int) throws {
    for (count, alignment) in [(0, 1), (1, 1), (100, 1), (1003, 16)] {
      let whole = (0..<count).map(Float.init)
      let parts = (0..<size).map { slice(of: count, part: $0, parts: size, alignment: alignment) }
      let results = try ThreadRanks.run(size) { communicator in
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1))
        defer { buffer.deallocate() }
        buffer.initialize(repeating: -1, count: count)
        for i in parts[communicator.rank] { buffer[i] = whole[i] }
        var messages = Messages()
        messages.gather(buffer, parts: parts, rank: communicator.rank)
        #expect(messages.sentBytes == 4 * parts[communicator.rank].count * (size - 1))
        communicator.exchange(messages)
        return Array(UnsafeBufferPointer(start: buffer, count: count))
      }
      #expect(results == Array(repeating: whole, count: size))
    }
  }

  @Test(arguments: sizes) func valuesAndTextsOfAllRanksInOrder(size: Int) throws {
    let results = try ThreadRanks.run(size) { communicator in
      communicator.barrier()
      let numbers = communicator.gather(10 * communicator.rank)
      let texts = communicator.gather(String(repeating: "ä", count: communicator.rank))
      return (numbers, texts, communicator.agree(on: communicator.rank + 5))
    }
    for (numbers, texts, agreed) in results {
      #expect(numbers == (0..<size).map { 10 * $0 })
      #expect(texts == (0..<size).map { String(repeating: "ä", count: $0) })
      #expect(agreed == 5)
    }
  }

  @Test func workersAreNumberedThroughAllRanks() throws {
    let counts = [2, 1, 3]
    let all = try ThreadRanks.run(3) { Ranks($0, groups: [counts[$0.rank]]) }
    for (rank, ranks) in all.enumerated() {
      #expect(ranks.workers == [0..<2, 2..<3, 3..<6])
      #expect(ranks.workerCount == 6 && ranks.size == 3 && ranks.rank == rank)
      #expect(ranks.number(ofWorker: 0) == ranks.own.lowerBound)
      let runs = ranks.parts { slice(of: 11, part: $0, parts: 6) }
      #expect(runs[0].lowerBound == 0 && runs[2].upperBound == 11)
      #expect(runs[0].upperBound == runs[1].lowerBound && runs[1].upperBound == runs[2].lowerBound)
    }
  }
}
