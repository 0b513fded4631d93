import TestSupport
import Testing

@testable import Tensor

struct ScratchTests {
  /// What is taken lies apart, from cache line to cache line; what a callee takes is free again when it returns.
  @Test func isAStack() {
    let memory = TestMatrix(1, 64)
    var scratch = Scratch(memory.matrix)
    let (a, b) = (scratch.matrix(rows: 2, columns: 3), scratch.floats(17))
    #expect(a.base == memory.matrix.base && b == a.base + 16)
    func callee(_ scratch: Scratch) -> UnsafeMutablePointer<Float> {
      var scratch = scratch
      return scratch.floats(16)
    }
    #expect(callee(scratch) == b + 32 && callee(scratch) == b + 32)
    #expect(scratch.floats(16) == b + 32)
  }

  @Test(arguments: [(0, 0), (1, 16), (16, 16), (17, 32)]) func sizesAreWholeLines(_ count: Int, _ size: Int) {
    #expect(Scratch.size(count) == size && Scratch.size(rows: 1, columns: count) == size)
  }
}
