import Testing

@testable import Model
@testable import Tensor

struct EmbeddingQueueTests {
  /// A ring in plain Swift: what each row holds after rows were pushed one by one.
  struct Ring {
    var rows: [[Float]]
    var classes: [Int32]
    var pointer = 0

    init(_ capacity: Int) {
      rows = Array(repeating: [0, 0, 0, 0], count: capacity)
      classes = Array(repeating: -1, count: capacity)
    }

    mutating func push(_ row: [Float], _ k: Int32) {
      if rows.isEmpty { return }
      (rows[pointer], classes[pointer]) = (row, k)
      pointer = (pointer + 1) % rows.count
    }
  }

  @Test(arguments: [0, 1, 5, 7, 16, 40], [1, 2, 3, 5, 16])
  func takesRowsInOrder(_ capacity: Int, _ workers: Int) throws {
    let queue = try EmbeddingQueue(tinyConfiguration(queue: capacity), in: testArena)
    var ring = Ring(capacity)
    #expect(queue.capacity == capacity && (0..<capacity).allSatisfy { queue.classes[$0] == -1 })
    for (step, count) in [3, 7, 1, 16, 6].enumerated() {
      let live = try random(count, 4, seed: UInt64(step + 1))
      let classes = (0..<count).map { Int32(100 * step + $0) }
      // Whatever the order in which the workers come.
      for w in (0..<workers).reversed() { queue.enqueue(live, classes, part: w, parts: workers) }
      queue.advance(by: count)
      for i in 0..<count { ring.push(values(live.rows(i..<i + 1)), classes[i]) }
      #expect(queue.pointer == ring.pointer)
      #expect((0..<capacity).map { queue.classes[$0] } == ring.classes)
      #expect((0..<capacity).map { values(queue.rows.rows($0..<$0 + 1)) } == ring.rows)
    }
  }

  @Test func restoresThePointer() throws {
    let queue = try EmbeddingQueue(tinyConfiguration(queue: 5), in: testArena)
    queue.restore(pointer: 4)
    queue.enqueue(try random(2, 4, seed: 1), [8, 9], part: 0, parts: 1)
    #expect((0..<5).map { queue.classes[$0] } == [9, -1, -1, -1, 8])
    let empty = try EmbeddingQueue(tinyConfiguration(queue: 0), in: testArena)
    empty.restore(pointer: 0)
    empty.advance(by: 3)
    #expect(empty.pointer == 0)
  }
}
