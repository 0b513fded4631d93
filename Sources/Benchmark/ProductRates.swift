import Model
import Parallel
import Tensor

/// How fast each kind of a step's matrix products is by itself, in its own shape and with the packing that belongs to it:
/// operations per second of one worker, while all multiply.
struct ProductRates {
  private let c: ModelConfiguration
  private let rates: MachineRates
  /// Rows that are multiplied together.
  private let rows: Int

  /// - Parameter samples: whose rows are multiplied together.
  init(_ c: ModelConfiguration, samples: Int, rates: MachineRates) {
    self.c = c
    self.rates = rates
    rows = samples * c.longestSequence
  }

  /// Nil for a kind that the model does not have.
  func rate(_ kind: ProductKind) -> Double? {
    let (D, P, T) = (c.hiddenSize, c.latentSize, c.longestSequence)
    let (h, wide, columns) = (D / c.heads, 3 * D, ContrastiveLoss.tileColumns)
    let tile = ContrastiveLoss.tileRows
    switch kind {
    case .forward:
      return measure(2 * rows * D * wide) { scratch in
        let (x, y) = (scratch.matrix(rows: rows, columns: D), scratch.matrix(rows: rows, columns: wide))
        let w = PackedMatrix(inner: D, columns: wide, in: &scratch)
        return { MatrixProduct.multiply(x, by: w, into: y) }
      }
    case .inputGradients:
      return measure(2 * rows * D * wide) { scratch in
        let (dy, dx) = (scratch.matrix(rows: rows, columns: wide), scratch.matrix(rows: rows, columns: D))
        let w = PackedMatrix(inner: wide, columns: D, in: &scratch)
        return { MatrixProduct.multiply(dy, by: w, into: dx) }
      }
    case .weightGradients:
      return measure(2 * rows * D * wide) { scratch in
        let (dy, x) = (scratch.matrix(rows: rows, columns: wide), scratch.matrix(rows: rows, columns: D))
        let dw = scratch.matrix(rows: wide, columns: D)
        let rest = scratch
        return { MatrixProduct.multiply(transposed: dy, by: x, into: dw, scratch: rest) }
      }
    case .attention:
      return measure(4 * T * T * h) { scratch in
        let qkv = scratch.matrix(rows: T, columns: wide)
        let (s, context) = (scratch.matrix(rows: T, columns: T), scratch.matrix(rows: T, columns: D))
        let rest = scratch
        return {
          MatrixProduct.multiply(qkv.columns(0..<h), byTransposed: qkv.columns(D..<D + h), into: s, scratch: rest)
          MatrixProduct.multiply(s, by: qkv.columns(2 * D..<2 * D + h), into: context.columns(0..<h), scratch: rest)
        }
      }
    case .contrastive:
      return measure(4 * tile * columns * P) { scratch in
        let (f, x) = (scratch.matrix(rows: tile, columns: P), scratch.matrix(rows: tile, columns: columns))
        let d = scratch.matrix(rows: tile, columns: P)
        let transposed = PackedMatrix(inner: P, columns: columns, in: &scratch)
        let inner = PackedMatrix(inner: columns, columns: P, in: &scratch)
        return {
          MatrixProduct.multiply(f, by: transposed, into: x)
          MatrixProduct.multiply(x, by: inner, into: d, .add)
        }
      }
    case .recurrence:
      guard let H = c.modalities.compactMap(\.alignedSteps).max().map({ $0 + 1 }) else { return nil }
      return measure(4 * 8 * H * H * T) { scratch in
        let padded = LSTM.paddedSize(H)
        let weights = LSTM.RecurrentWeights(
          forward: scratch.matrix(rows: 4 * H, columns: H),
          into: scratch.floats(LSTM.RecurrentWeights.capacity(units: H)))
        let bias = scratch.floats(4 * padded)
        let samples = (0..<4).map { _ in
          LSTM.Steps(
            gates: scratch.matrix(rows: T, columns: 4 * padded), cells: scratch.matrix(rows: T, columns: padded),
            hidden: scratch.matrix(rows: T, columns: padded), hiddenGradient: scratch.matrix(rows: T, columns: padded))
        }
        return { samples.withUnsafeBufferPointer { LSTM.forward($0, steps: T, weights, bias: bias) } }
      }
    }
  }

  /// - Parameters:
  ///   - operations: of one call.
  ///   - prepare: takes memory, whose values are small normal numbers, and gives what is to be called.
  private func measure(_ operations: Int, _ prepare: @escaping (inout Scratch) -> () -> Void) -> Double {
    // About 20 ms per worker.
    let repeats = max(1, 2_000_000_000 / max(operations, 1))
    let perRow = 8 * c.hiddenSize + 2 * c.longestSequence
    let products = 2 * MatrixProduct.transposedScratch(inner: rows, rows: 3 * c.hiddenSize, columns: c.hiddenSize)
    let recurrence =
      c.modalities.compactMap(\.alignedSteps).max().map { 64 * ($0 + 32) * (c.longestSequence + $0 + 32) } ?? 0
    let fixed = 16 * c.hiddenSize * c.hiddenSize + 3 * ContrastiveLoss.scratchCapacity + (1 << 20)
    let size = rows * perRow + products + recurrence + fixed
    return rates.each(operations: Double(operations), repeats: repeats, scratch: size, prepare)
  }
}
