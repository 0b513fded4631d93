import TestSupport
import Testing

@testable import Tensor

struct ChecksumTests {
  static func sum(_ x: Matrix) -> UInt64 {
    Checksum(of: x).value
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

  @Test func everyBitOfNumbersCounts() {
    let numbers: [UInt64] = [1, 0, 1 << 63, 77]
    let whole = Checksum.sum(of: numbers)
    for i in numbers.indices {
      for bit in 0..<64 {
        var other = numbers
        other[i] ^= 1 << UInt64(bit)
        #expect(Checksum.sum(of: other) != whole, "bit \(bit) of \(i)")
      }
    }
  }

  @Test func orderCounts() {
    let owner = TestMatrix.random(2, 40, seed: 4)
    let x = owner.matrix
    let whole = Self.sum(x)
    (x[0, 3], x[0, 19]) = (x[0, 19], x[0, 3])
    #expect(Self.sum(x) != whole)
  }
}
