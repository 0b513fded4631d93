import Foundation
import TestSupport
import Testing

@testable import Tensor

struct VectorTests {
  @Test func exponentialIsWithinOneInTenMillion() {
    var worst = 0.0
    for i in 0..<200_000 {
      let x = Float(i) / 200_000 * 174 - 87
      let expected = exp(Double(x))
      worst = max(worst, abs(Double(exponential(Floats(repeating: x))[3]) - expected) / expected)
    }
    #expect(worst < 1.5e-7)
  }

  @Test func exponentialIsClamped() {
    #expect(exponential(Floats(repeating: -1e30))[0] == exponential(Floats(repeating: -87))[0])
    #expect(exponential(Floats(repeating: 1e30))[0] == exponential(Floats(repeating: 88))[0])
  }

  @Test func errorFunctionIsAccurate() {
    var worst = 0.0
    for i in 0..<200_000 {
      let x = Float(i) / 200_000 * 12 - 6
      worst = max(worst, abs(Double(errorFunction(Floats(repeating: x))[7]) - erf(Double(x))))
    }
    #expect(worst < 4e-7)
  }

  @Test func squareRootIsWithinOneUnit() {
    for i in 0..<100_000 {
      let x = Float(exp(Double(i) / 100_000 * 130 - 65))
      let (root, expected) = (squareRoot(Floats(repeating: x))[5], x.squareRoot())
      #expect(abs(root - expected) <= expected.ulp)
    }
    #expect(squareRoot(Floats(repeating: 0))[0] == 0)
    #expect(squareRoot(Floats(repeating: 1e-38))[0] == 0)
  }

  @Test(arguments: [0, 1, 15, 16, 17, 31, 48, 50]) func partialVectorsTouchNothingBehind(_ count: Int) {
    let x = TestMatrix(1, count + 16)
    x.matrix.fill(7)
    forEachVector(count) { i, lanes in
      store(load(x.matrix.base + i, lanes: lanes) + Floats(repeating: 1), x.matrix.base + i, lanes: lanes)
    }
    #expect(x.values.prefix(count).allSatisfy { $0 == 8 })
    #expect(x.values.dropFirst(count).allSatisfy { $0 == 7 })
  }
}
