import Parallel
import TestSupport
import Testing

@Suite struct BatchDivisionTests {
  @Test(arguments: [1, 3, 4, 5, 16, 63, 64, 65, 256], [[1], [2, 2], [1, 3], [32, 32, 32, 32], [5, 1, 7]])
  func groupsHaveWholeBlocksInOrder(batchSize: Int, groups: [Int]) {
    let samples = BatchDivision(batchSize: batchSize, groups: groups).samples
    #expect(samples.count == groups.count)
    #expect(samples.flatMap { Array($0) } == Array(0..<batchSize))
    for range in samples {
      #expect(range.lowerBound % BatchDivision.blockSize == 0 || range.lowerBound == batchSize)
    }
    // Within a block of its share of the workers.
    let workers = groups.reduce(0, +)
    for (range, count) in zip(samples, groups) {
      #expect(abs(Double(range.count) - Double(batchSize * count) / Double(workers)) <= 5)
    }
  }

  @Test func equalNodesHaveSubtrees() {
    let samples = BatchDivision(batchSize: 64, groups: [64, 64, 64, 64]).samples
    let tree = ReductionTree(leaves: 64)
    #expect(samples.allSatisfy { tree.maximalNodes(in: $0) == [$0] })
  }

  @Test func moreGroupsThanBlocks() {
    let samples = BatchDivision(batchSize: 7, groups: [Int](repeating: 1, count: 5)).samples
    #expect(samples.count { !$0.isEmpty } == 2 && samples.flatMap { Array($0) } == Array(0..<7))
  }
}

@Suite struct DealTests {
  /// Longest first to the least loaded: every task once, nobody much above what cannot be avoided; again after refilling.
  @Test(arguments: [1, 2, 7, 64, 128]) func everyTaskOnceAndBalanced(workers: Int) {
    let deal = Deal(workers: workers, capacity: 300)
    for count in [0, 1, 5, 192, 300] {
      deal.removeAll()
      let costs = (0..<count).map { 1 + ($0 * 7919) % 97 }
      for cost in costs { deal.add(cost: cost) }
      let most = deal.deal()
      let dealt = (0..<workers).map { Array(deal.tasks(ofWorker: $0)) }
      #expect(dealt.flatMap { $0 }.sorted() == Array(0..<count))
      #expect(dealt.allSatisfy { $0 == $0.sorted() })
      let loads = dealt.map { $0.reduce(0) { $0 + costs[$1] } }
      #expect(most == loads.max() ?? 0)
      let ideal = max(Double(costs.reduce(0, +)) / Double(workers), Double(costs.max() ?? 0))
      #expect(Double(most) <= ideal * 4 / 3 + 1)
    }
  }

  /// The paper's batch on 64 workers: each gets one sample of six layers and two of four.
  @Test func paperOn64Workers() {
    let deal = Deal(workers: 64, capacity: 192)
    for cost in [6, 4, 4] { for _ in 0..<64 { deal.add(cost: cost) } }
    #expect(deal.deal() == 14)
  }
}

@Suite struct TurnsTests {
  /// One worker at a time, in their order, and what each took is kept by phase.
  @Test(.timeLimit(.minutes(1))) func strictOrder() {
    let (workers, turns) = (5, Turns(5))
    let order = TestMatrix(1, 32)
    let team = WorkerTeam(placement: Placement(emulatedNodes: 1, workers: workers, on: .current()))
    turns.begin()
    turns.alone("alone") {}
    // Nobody else touches it within a turn.
    let next = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    next.initialize(to: 0)
    defer { next.deallocate() }
    nonisolated(unsafe) let count = next
    let list = order.matrix
    team.run { worker in
      for name in ["first", "second"] {
        turns.take(worker, name) {
          list[0, count.pointee] = Float(worker)
          count.pointee += 1
        }
        team.barrier()
      }
    }
    #expect(turns.phases.map(\.name) == ["alone", "first", "second"])
    #expect(turns.phases.map(\.seconds.count) == [1, workers, workers])
    #expect(Array(order.values.prefix(10)) == (0..<10).map { Float($0 % workers) })
  }
}
