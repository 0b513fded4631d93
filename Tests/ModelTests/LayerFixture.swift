import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

/// Memory of all tests, so that no view outlives it.
let testArena = Arena(placement: .anywhere)

/// A zeroed matrix.
func zeros(_ rows: Int, _ columns: Int) throws -> Matrix { try testArena.matrix(rows: rows, columns: columns) }

/// Scratch of just so many floats.
func scratch(_ count: Int) throws -> Scratch { Scratch(try zeros(1, count)) }

/// Parameters with room for packed weights, which `pack` fills.
func packable(_ layout: ParameterLayout, _ values: Matrix) throws -> Parameters {
  Parameters(values.base, packed: try testArena.allocate(layout.packedCount))
}

/// A matrix of normal values that depend on the seed alone.
func random(_ rows: Int, _ columns: Int, seed: UInt64, deviation: Float = 1) throws -> Matrix {
  let x = try zeros(rows, columns)
  RandomKey(seed: seed).fillNormal(x.base, count: x.count, stream: 0, deviation: deviation)
  return x
}

/// The elements of a view row by row, contiguous or not.
func values(_ x: Matrix) -> [Float] { (0..<x.rows).flatMap { i in (0..<x.columns).map { x[i, $0] } } }

func bits(_ x: [Float]) -> [UInt32] { x.map(\.bitPattern) }

/// The largest |a − b|, relative to the largest |b|.
func relativeDifference(_ a: [Float], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let worst = zip(a, b).reduce(0.0) { max($0, abs(Double($1.0) - $1.1)) }
  return zip(a, b).allSatisfy { $0.0.isFinite && $0.1.isFinite }
    ? worst / max(b.reduce(0) { max($0, abs($1)) }, 1e-30) : .infinity
}

/// A layer with random parameters, and a buffer for their gradients that holds NaN, so that stale values show.
struct LayerFixture<Layer> {
  let layer: Layer
  let layout: ParameterLayout
  let θ: Parameters
  let gradient: Parameters
  /// Gradients sample by sample, of up to eight; 0 to begin with.
  let bySample: GradientRows

  init(seed: UInt64 = 11, deviation: Float = 0.5, _ make: (inout ParameterLayout) -> Layer) throws {
    var layout = ParameterLayout()
    layer = make(&layout)
    self.layout = layout
    let memory = try random(1, layout.count, seed: seed, deviation: deviation)
    θ = try packable(layout, memory)
    θ.pack(layout)
    let stale = try zeros(1, layout.count)
    stale.fill(.nan)
    gradient = Parameters(stale.base)
    bySample = GradientRows(values: try zeros(8, layout.sampleCount))
  }

  /// Makes the gradients of all parameters of what backward left of some samples, as if they were one block.
  func gather(_ sources: [WeightSource], samples: Int) throws {
    for source in sources {
      for tile in WeightTile.cut(source, number: 0, outputs: 3, inputs: 4) {
        let (rows, columns) = (tile.outputs.count, tile.inputs.count)
        source.leaf(
          0..<samples, tile, into: gradient[source.parameter].rows(tile.outputs).columns(tile.inputs),
          scratch: try scratch(MatrixProduct.transposedScratch(inner: 64, rows: rows, columns: columns)))
      }
    }
    for p in layout.parameters where p.sampleOffset != nil {
      gradient[p].fill(0)
      for s in 0..<samples { add(bySample[s][p], to: gradient[p]) }
    }
  }

  /// Compares the gradients of all parameters with finite differences.
  func compare(_ check: inout GradientCheck, atMost limit: Int = .max, loss: () -> Double) {
    for p in layout.parameters {
      check.compare(p.name, θ[p], gradient[p], atMost: limit) {
        θ.pack(layout)
        return loss()
      }
    }
    θ.pack(layout)
  }
}

extension SequenceTable {
  convenience init(_ lengths: [Int], firstPlace: Int = 0) throws {
    try self.init(capacity: lengths.count, firstPlace: firstPlace, in: testArena)
    for length in lengths { append(length: length) }
  }
}
