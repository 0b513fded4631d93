import Parallel
import Tensor

/// Where backward left what the gradient of a parameter W [outputs, inputs] is made of, for all samples of a group.
struct WeightSource: Sendable {
  /// dW = dYᵀ X over the rows of some samples, [R, outputs] and [R, inputs], in one piece or several, in order.
  typealias Pieces = @Sendable (_ samples: Range<Int>, _ body: (_ dy: Matrix, _ x: Matrix) -> Void) -> Void
  /// The rows of some samples' steps, and where each sample's are among them.
  typealias Steps = @Sendable (_ samples: Range<Int>) -> (rows: Matrix, sequences: Sequences)

  private enum Kind: Sendable {
    case product(Pieces)
    case positions(Steps)
  }

  let parameter: Parameter
  /// The rows of W that it is about.
  let outputs: Range<Int>
  /// Rows of a sample at full length.
  let perSample: Int
  private let kind: Kind

  /// A factor of matrix products.
  init(_ parameter: Parameter, outputs: Range<Int>? = nil, perSample: Int, _ pieces: @escaping Pieces) {
    (self.parameter, self.outputs, self.perSample) = (parameter, outputs ?? 0..<parameter.rows, perSample)
    kind = .product(pieces)
  }

  /// A row a time step, added to each sample's.
  init(positions parameter: Parameter, _ steps: @escaping Steps) {
    (self.parameter, outputs, perSample, kind) = (parameter, 0..<parameter.rows, 1, .positions(steps))
  }

  /// The same for samples that are numbered from another one on.
  func numbered(from first: Int) -> WeightSource {
    switch kind {
    case .product(let pieces):
      WeightSource(parameter, outputs: outputs, perSample: perSample) { pieces($0.shifted(by: first), $1) }
    case .positions(let steps): WeightSource(positions: parameter) { steps($0.shifted(by: first)) }
    }
  }

  /// Rows of all pieces of some samples; for what is no product, as many as cost the same.
  func rowCount(_ samples: Range<Int>) -> Int {
    switch kind {
    case .positions: return samples.count
    case .product(let pieces):
      var count = 0
      pieces(samples) { dy, _ in count += dy.rows }
      return count
    }
  }

  /// Calls `body` with what the gradient is made of, of some samples.
  func forEachOperand(of samples: Range<Int>, _ body: (Matrix) -> Void) {
    switch kind {
    case .product(let pieces):
      pieces(samples) { dy, x in
        body(dy)
        body(x)
      }
    case .positions(let steps): body(steps(samples).rows)
    }
  }

  /// A tile's value of a block of samples: one chain of additions over its rows.
  func leaf(_ samples: Range<Int>, _ tile: WeightTile, into target: Matrix, scratch: Scratch) {
    switch kind {
    case .product(let pieces):
      var isFirst = true
      pieces(samples) { dy, x in
        MatrixProduct.multiply(
          transposed: dy.columns(columns(tile)), by: x.columns(tile.inputs), into: target,
          isFirst ? .replace : .extend, scratch: scratch)
        isFirst = false
      }
    case .positions(let steps):
      target.fill(0)
      let (rows, sequences) = steps(samples)
      for s in 0..<sequences.count {
        let own = rows.rows(sequences.rows(s))
        let steps = tile.outputs.clamped(to: 0..<own.rows)
        add(own.rows(steps).columns(tile.inputs), to: target.rows(0..<steps.count))
      }
    }
  }

  /// Adds a tile's value of a block of samples to `target`, as it is computed.
  ///
  /// - Returns: whether that could be done: not for sums of several pieces or of long chains.
  func addLeaf(_ samples: Range<Int>, _ tile: WeightTile, to target: Matrix, scratch: Scratch) -> Bool {
    guard case .product(let pieces) = kind else { return false }
    var (count, rows) = (0, 0)
    pieces(samples) { dy, _ in (count, rows) = (count + 1, dy.rows) }
    guard count == 1, MatrixProduct.canAdd(inner: rows) else { return false }
    pieces(samples) { dy, x in
      MatrixProduct.multiply(
        transposed: dy.columns(columns(tile)), by: x.columns(tile.inputs), into: target, .add, scratch: scratch)
    }
    return true
  }

  /// A tile's outputs as columns of dY, which has those of this source only.
  private func columns(_ tile: WeightTile) -> Range<Int> {
    tile.outputs.lowerBound - outputs.lowerBound..<tile.outputs.upperBound - outputs.lowerBound
  }
}

/// A part of a parameter's gradient that one worker computes: rows and columns of W.
struct WeightTile {
  let source: Int
  let outputs: Range<Int>
  let inputs: Range<Int>

  /// Tiles of nearly equal size, at most so many rows and columns each.
  static func cut(_ source: WeightSource, number: Int, outputs: Int, inputs: Int) -> [WeightTile] {
    func cut(_ range: Range<Int>, _ edge: Int, alignment: Int) -> [Range<Int>] {
      let parts = max((range.count + edge - 1) / edge, 1)
      return (0..<parts).map { part in
        slice(of: range.count, part: part, parts: parts, alignment: range.count >= alignment * parts ? alignment : 1)
          .shifted(by: range.lowerBound)
      }
    }
    // Columns in whole vectors, as far as there are some.
    return cut(source.outputs, outputs, alignment: 4).flatMap { rows in
      cut(0..<source.parameter.columns, inputs, alignment: 32).map {
        WeightTile(source: number, outputs: rows, inputs: $0)
      }
    }
  }
}
