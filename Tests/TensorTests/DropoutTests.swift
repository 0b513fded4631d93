import TestSupport
import Testing

@testable import Tensor

struct DropoutTests {
  @Test(arguments: [1, 15, 16, 60, 64, 65, 250, 256]) func keepsTheRightShareAndScales(_ columns: Int) {
    let rows = 200_000 / columns
    let (x, y) = (TestMatrix(rows, columns), TestMatrix(rows, columns))
    x.matrix.fill(1)
    let dropout = Dropout(probability: 0.3, key: RandomKey(seed: 4))
    dropout.apply(x.matrix, into: y.matrix, sample: 2)
    let kept = y.values.filter { $0 != 0 }
    #expect(kept.allSatisfy { $0 == dropout.scale })
    #expect(abs(dropout.scale - 1 / 0.7) < 1e-4)
    #expect(abs(Double(kept.count) / Double(rows * columns) - 0.7) < 0.005)
  }

  /// A row's mask is the same wherever the row is computed.
  @Test func masksFollowSampleAndRow() {
    let dropout = Dropout(probability: 0.5, key: RandomKey(seed: 4))
    let x = TestMatrix(10, 100)
    x.matrix.fill(1)
    let (whole, part, other) = (TestMatrix(10, 100), TestMatrix(4, 100), TestMatrix(10, 100))
    dropout.apply(x.matrix, into: whole.matrix, sample: 3)
    dropout.apply(x.matrix.rows(6..<10), into: part.matrix, sample: 3, firstRow: 6)
    dropout.apply(x.matrix, into: other.matrix, sample: 4)
    #expect(Array(whole.values[600...]) == part.values)
    #expect(whole.values != other.values)
    #expect(whole.values[0..<100] != whole.values[100..<200])
  }

  @Test func noneIsTheIdentity() {
    let x = TestMatrix.random(3, 70, seed: 1)
    let y = TestMatrix(3, 70)
    Dropout.none.apply(x.matrix, into: y.matrix, sample: 0)
    #expect(x.values == y.values)
  }
}
