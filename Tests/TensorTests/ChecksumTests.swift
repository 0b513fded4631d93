import TestSupport
import Testing

@testable import Tensor

struct ChecksumTests {
  static func sum(_ x: Matrix) -> UInt64 {
    var sum = Checksum()
    sum.add(x)
    return sum.value
  }

  /// Each single bit counts, wherever it is.
  @Test(arguments: [(1, 1), (1, 16), (3, 37), (5, 64)]) func everyBitCounts(_ rows: Int, _ columns: Int) {
    let owner = TestMatrix.random(rows, columns, seed: 3)
    let x = owner.matrix
    let whole = Self.sum(x)
    for i in 0..<rows {
      for j in 0..<columns {
        for bit in 0..<32 {
          let before = x[i, j]
          x[i, j] = Float(bitPattern: before.bitPattern ^ 1 << UInt32(bit))
          #expect(Self.sum(x) != whole, "bit \(bit) of [\(i), \(j)]")
          x[i, j] = before
        }
      }
    }
    #expect(Self.sum(x) == whole)
  }

  @Test func orderCounts() {
    let owner = TestMatrix.random(2, 40, seed: 4)
    let x = owner.matrix
    let whole = Self.sum(x)
    (x[0, 3], x[0, 19]) = (x[0, 19], x[0, 3])
    #expect(Self.sum(x) != whole)
  }
}
