import Tensor

/// Multi-head self-attention of each sample over its own time steps, given queries, keys and values.
///
/// Head by head: S = Q Kᵀ / √(D/H), P = softmax(S), P̃ = dropout(P), context = P̃ V. Neither S nor P is kept:
/// backward computes them again, one head of one sample at a time, in cache. Rows of [T, T] matrices are padded to
/// whole vectors; softmax's division by its sums happens on rows of D/H columns instead of T.
struct SelfAttention {
  let hidden: Int
  let heads: Int
  var headSize: Int { hidden / heads }
  private var scale: Float { 1 / Float(headSize).squareRoot() }

  /// Floats of a scratch slot for one head of a sample of T steps.
  static func scratchCapacity(steps T: Int, headSize: Int) -> Int {
    max(T * Softmax.paddedStride(T), T * headSize + 2 * T)
  }

  /// qkv [R, 3D] → context [R, D]. Scratch: slots 0 and 1.
  func forward(
    _ qkv: Matrix, _ sequences: Sequences, firstSample: Int, _ dropout: Dropout, scratch: Scratch, into context: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      let scores = square(scratch, 0, rows.count)
      let inverseSums = scratch.matrix(1, rows: 1, columns: rows.count).base
      for h in 0..<heads {
        let (q, k, v) = headParts(qkv.rows(rows), h)
        let c = head(context.rows(rows), h)
        MatrixProduct.multiply(q, byTransposed: k, into: scores, scale: scale)
        mask(scores, from: sequences.length(s))
        Softmax.exponentials(
          scores, dropped: scores, inverseSums: inverseSums, dropout: dropout, sample: firstSample + s,
          firstRow: h * rows.count)
        MatrixProduct.multiply(scores, by: v, into: c)
        scaleRows(c, by: inverseSums, into: c)
      }
    }
  }

  /// dqkv [R, 3D] from dcontext [R, D] and the context that forward made. Scratch: slots 0 to 3.
  ///
  /// With e = exp(S − max), E = Σ e a row and dc' = dcontext / E: dV = (e f)ᵀ dc', and
  /// dS = e f (dc' Vᵀ) − e (dcontext · context) / E.
  func backward(
    _ dcontext: Matrix, context: Matrix, _ qkv: Matrix, _ sequences: Sequences, firstSample: Int, _ dropout: Dropout,
    scratch: Scratch, into dqkv: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      let e = square(scratch, 0, rows.count)
      let dropped = dropout.isActive ? square(scratch, 1, rows.count) : e
      let ds = square(scratch, 2, rows.count)
      let small = scratch.matrix(3, rows: rows.count, columns: headSize + 2)
      let scaled = Matrix(small.base, rows: rows.count, columns: headSize)
      let inverseSums = small.base + scaled.count
      let shares = inverseSums + rows.count
      for h in 0..<heads {
        let (q, k, v) = headParts(qkv.rows(rows), h)
        let (dq, dk, dv) = headParts(dqkv.rows(rows), h)
        let (c, dc) = (head(context.rows(rows), h), head(dcontext.rows(rows), h))
        MatrixProduct.multiply(q, byTransposed: k, into: e, scale: scale)
        mask(e, from: sequences.length(s))
        Softmax.exponentials(
          e, dropped: dropped, inverseSums: inverseSums, dropout: dropout, sample: firstSample + s,
          firstRow: h * rows.count)
        scaleRows(dc, by: inverseSums, into: scaled)
        for t in 0..<rows.count { shares[t] = dot(scaled.row(t), c.row(t), count: headSize) }
        MatrixProduct.multiply(dropped, transposed: true, by: scaled, into: dv)
        MatrixProduct.multiply(scaled, byTransposed: v, into: ds)
        Softmax.backward(exponentials: e, dropped: dropped, shares: shares, ds)
        MatrixProduct.multiply(ds, by: k, into: dq, scale: scale)
        MatrixProduct.multiply(ds, transposed: true, by: q, into: dk, scale: scale)
      }
    }
  }

  /// Adds −10000 to the scores of keys that are padding.
  private func mask(_ scores: Matrix, from length: Int) {
    if length == scores.columns { return }
    for t in 0..<scores.rows {
      let row = scores.row(t)
      for key in length..<scores.columns { row[key] -= 10000 }
    }
  }

  /// A slot as [T, T] with padded rows.
  private func square(_ scratch: Scratch, _ slot: Int, _ T: Int) -> Matrix {
    scratch.matrix(slot, rows: T, columns: Softmax.paddedStride(T)).columns(0..<T)
  }

  private func head(_ x: Matrix, _ h: Int) -> Matrix { x.columns(h * headSize..<(h + 1) * headSize) }

  /// Query, key and value of a head, [T, D/H] each, within rows of 3D.
  private func headParts(_ x: Matrix, _ h: Int) -> (Matrix, Matrix, Matrix) {
    (
      head(x.columns(0..<hidden), h), head(x.columns(hidden..<2 * hidden), h),
      head(x.columns(2 * hidden..<3 * hidden), h)
    )
  }
}
