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

  /// Floats of scratch for samples of T steps.
  static func scratchSize(steps T: Int, headSize: Int) -> Int {
    let products = max(
      PackedMatrix.capacity(inner: headSize, columns: T), PackedMatrix.capacity(inner: T, columns: headSize),
      MatrixProduct.transposedScratch(inner: T, rows: T, columns: headSize))
    return 3 * Scratch.size(T * Softmax.paddedStride(T)) + 2 * Scratch.size(T * headSize) + 2 * Scratch.size(T)
      + Scratch.size(products)
  }

  /// qkv [R, 3D] → context [R, D].
  func forward(
    _ qkv: Matrix, _ sequences: Sequences, _ dropout: Dropout, scratch: Scratch, into context: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      var scratch = scratch
      let scores = square(&scratch, rows.count)
      let inverseSums = scratch.floats(rows.count)
      for h in 0..<heads {
        let (q, k, v) = headParts(qkv.rows(rows), h)
        let c = head(context.rows(rows), h)
        MatrixProduct.multiply(q, byTransposed: k, into: scores, scratch: scratch)
        mask(scores, from: sequences.length(s))
        Softmax.exponentials(
          scores, scale: scale, dropped: scores, inverseSums: inverseSums, dropout: dropout, sample: sequences.place(s),
          firstRow: h * rows.count)
        MatrixProduct.multiply(scores, by: v, into: c, scratch: scratch)
        scaleRows(c, by: inverseSums, into: c)
      }
    }
  }

  /// From dcontext [R, D] and the context that forward made, dqkv in the place of qkv [R, 3D].
  ///
  /// With e = exp(S − max), E = Σ e a row and dc' = dcontext / E: dV = (e f)ᵀ dc', and
  /// dS = e f (dc' Vᵀ) − e (dcontext · context) / E.
  func backward(
    _ dcontext: Matrix, context: Matrix, _ qkv: Matrix, _ sequences: Sequences, _ dropout: Dropout, scratch: Scratch
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      var scratch = scratch
      let e = square(&scratch, rows.count)
      let dropped = dropout.isActive ? square(&scratch, rows.count) : e
      let ds = square(&scratch, rows.count)
      let scaled = scratch.matrix(rows: rows.count, columns: headSize)
      let dq = scratch.matrix(rows: rows.count, columns: headSize)
      let (inverseSums, shares) = (scratch.floats(rows.count), scratch.floats(rows.count))
      for h in 0..<heads {
        let (q, k, v) = headParts(qkv.rows(rows), h)
        let (c, dc) = (head(context.rows(rows), h), head(dcontext.rows(rows), h))
        MatrixProduct.multiply(q, byTransposed: k, into: e, scratch: scratch)
        mask(e, from: sequences.length(s))
        Softmax.exponentials(
          e, scale: scale, dropped: dropped, inverseSums: inverseSums, dropout: dropout, sample: sequences.place(s),
          firstRow: h * rows.count)
        scaleRows(dc, by: inverseSums, into: scaled)
        for t in 0..<rows.count { shares[t] = dot(scaled.row(t), c.row(t), count: headSize) }
        MatrixProduct.multiply(scaled, byTransposed: v, into: ds, scratch: scratch)
        MatrixProduct.multiply(transposed: dropped, by: scaled, into: v, scratch: scratch)
        Softmax.backward(exponentials: e, dropped: dropped, shares: shares, scale: scale, ds)
        MatrixProduct.multiply(ds, by: k, into: dq, scratch: scratch)
        MatrixProduct.multiply(transposed: ds, by: q, into: k, scratch: scratch)
        q.copy(from: dq)
      }
    }
  }

  /// Adds −10000 to the scores of keys that are padding; scores are scaled later.
  private func mask(_ scores: Matrix, from length: Int) {
    if length == scores.columns { return }
    for t in 0..<scores.rows {
      let row = scores.row(t)
      for key in length..<scores.columns { row[key] -= 10000 / scale }
    }
  }

  /// [T, T] with padded rows.
  private func square(_ scratch: inout Scratch, _ T: Int) -> Matrix {
    scratch.matrix(rows: T, columns: Softmax.paddedStride(T)).columns(0..<T)
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
