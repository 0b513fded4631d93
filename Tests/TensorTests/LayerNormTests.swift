import TestSupport
import Testing

@testable import Tensor

struct LayerNormTests {
  struct Fixture {
    let rows: Int, columns: Int
    let x, residual, gain, bias, y, normalized, inverse, weights: TestMatrix

    init(_ rows: Int, _ columns: Int) {
      (self.rows, self.columns) = (rows, columns)
      x = .random(rows, columns, seed: 1)
      residual = .random(rows, columns, seed: 2)
      gain = .random(1, columns, seed: 3)
      bias = .random(1, columns, seed: 4)
      weights = .random(rows, columns, seed: 6)
      y = TestMatrix(rows, columns)
      normalized = TestMatrix(rows, columns)
      inverse = TestMatrix(1, max(rows, 1))
    }

    var affine: LayerNorm.Affine { LayerNorm.Affine(gain: gain.matrix, bias: bias.matrix) }

    func forward() {
      LayerNorm.forward(
        x.matrix, affine, normalized: normalized.matrix, inverseDeviation: inverse.matrix.base, into: y.matrix)
    }

    func forward(_ dropout: Dropout) {
      LayerNorm.forward(
        dense: x.matrix, dropout: dropout, sample: 7, residual: residual.matrix, affine,
        normalized: normalized.matrix, inverseDeviation: inverse.matrix.base, into: y.matrix)
    }
  }

  @Test(arguments: [(1, 1), (3, 7), (2, 16), (4, 20), (2, 256), (0, 8)]) func matchesTheFormula(_ r: Int, _ c: Int) {
    let f = Fixture(r, c)
    f.forward()
    for i in 0..<r {
      let row = (0..<c).map { Double(f.x.matrix[i, $0]) }
      let mean = row.reduce(0, +) / Double(c)
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(c)
      for j in 0..<c {
        let n = (row[j] - mean) / (variance + 1e-12).squareRoot()
        let expected = n * Double(f.gain.matrix[0, j]) + Double(f.bias.matrix[0, j])
        #expect(abs(Double(f.y.matrix[i, j]) - expected) < 1e-5)
      }
    }
  }

  @Test(arguments: [(3, 7), (2, 16), (3, 20), (2, 33)]) func gradients(_ r: Int, _ c: Int) {
    let f = Fixture(r, c)
    f.forward()
    let (dz, dgain, dbias) = (TestMatrix(r, c), TestMatrix(1, c), TestMatrix(1, c))
    LayerNorm.backward(
      f.weights.matrix, normalized: f.normalized.matrix, inverseDeviation: f.inverse.matrix.base, f.affine,
      into: dz.matrix, addingTo: LayerNorm.Affine(gain: dgain.matrix, bias: dbias.matrix))
    let loss = { () -> Double in
      f.forward()
      return weightedSum(f.y.matrix, f.weights.matrix)
    }
    #expect(GradientCheck.of(f.x.matrix, dz.matrix, tolerance: 3e-3, loss: loss).passes)
    #expect(GradientCheck.of(f.gain.matrix, dgain.matrix, tolerance: 1e-3, loss: loss).passes)
    #expect(GradientCheck.of(f.bias.matrix, dbias.matrix, tolerance: 1e-3, loss: loss).passes)
  }

  @Test(arguments: [Float(0), 0.4]) func gradientsBehindDropoutAndResidual(_ probability: Float) {
    let dropout = Dropout(probability: probability, key: RandomKey(seed: 3))
    let f = Fixture(3, 70)
    f.forward(dropout)
    let (r, c) = (f.rows, f.columns)
    let (dz, dx) = (TestMatrix(r, c), TestMatrix(r, c))
    let (dgain, dbias, ddense) = (TestMatrix(1, c), TestMatrix(1, c), TestMatrix(1, c))
    LayerNorm.backward(
      f.weights.matrix, normalized: f.normalized.matrix, inverseDeviation: f.inverse.matrix.base, f.affine,
      into: dz.matrix, dense: dx.matrix, dropout: dropout, sample: 7,
      addingTo: LayerNorm.Affine(gain: dgain.matrix, bias: dbias.matrix), denseBias: ddense.matrix.base)
    let loss = { () -> Double in
      f.forward(dropout)
      return weightedSum(f.y.matrix, f.weights.matrix)
    }
    #expect(GradientCheck.of(f.residual.matrix, dz.matrix, tolerance: 3e-3, loss: loss).passes)
    #expect(GradientCheck.of(f.x.matrix, dx.matrix, tolerance: 3e-3, loss: loss).passes)
    for j in 0..<c {
      #expect(abs(ddense.matrix[0, j] - (0..<r).reduce(Float(0)) { $0 + dx.matrix[$1, j] }) < 1e-5)
    }
    #expect(GradientCheck.of(f.gain.matrix, dgain.matrix, tolerance: 1e-3, loss: loss).passes)
  }

  @Test func outputIsForwardsBitForBit() {
    let f = Fixture(5, 50)
    f.forward()
    let again = TestMatrix(5, 50)
    LayerNorm.output(normalized: f.normalized.matrix, f.affine, into: again.matrix)
    #expect(again.values == f.y.values)
  }
}
