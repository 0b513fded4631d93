import Tensor

/// Multi-head self-attention of each sample over its own time steps, given queries, keys and values.
///
/// Head by head: S = Q Kᵀ / √(D/H), P = softmax(S), P̃ = dropout(P), context = P̃ V. Neither S nor P is kept:
/// backward computes them again, one head of one sample at a time, in cache.
struct SelfAttention {
  let hidden: Int
  let heads: Int
  var headSize: Int { hidden / heads }
  private var scale: Float { 1 / Float(headSize).squareRoot() }

  /// qkv [R, 3D] → context [R, D]. Scratch: [T, T].
  func forward(
    _ qkv: Matrix, _ sequences: Sequences, firstSample: Int, _ dropout: Dropout, scratch: Scratch, into context: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      let scores = scratch.matrix(0, rows: rows.count, columns: rows.count)
      for h in 0..<heads {
        let (q, k, v) = headParts(qkv.rows(rows), h)
        MatrixProduct.multiply(q, byTransposed: k, into: scores, scale: scale)
        Softmax.forward(
          scores, dropped: scores, dropout: dropout, sample: firstSample + s, firstRow: h * rows.count)
        MatrixProduct.multiply(scores, by: v, into: head(context.rows(rows), h))
      }
    }
  }

  /// dqkv [R, 3D] from dcontext [R, D]. Scratch: three of [T, T].
  func backward(
    _ dcontext: Matrix, _ qkv: Matrix, _ sequences: Sequences, firstSample: Int, _ dropout: Dropout,
    scratch: Scratch, into dqkv: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      let p = scratch.matrix(0, rows: rows.count, columns: rows.count)
      let dropped = dropout.isActive ? scratch.matrix(1, rows: rows.count, columns: rows.count) : p
      let ds = scratch.matrix(2, rows: rows.count, columns: rows.count)
      for h in 0..<heads {
        let (q, k, v) = headParts(qkv.rows(rows), h)
        let (dq, dk, dv) = headParts(dqkv.rows(rows), h)
        let dc = head(dcontext.rows(rows), h)
        MatrixProduct.multiply(q, byTransposed: k, into: p, scale: scale)
        Softmax.forward(p, dropped: dropped, dropout: dropout, sample: firstSample + s, firstRow: h * rows.count)
        MatrixProduct.multiply(dropped, transposed: true, by: dc, into: dv)
        MatrixProduct.multiply(dc, byTransposed: v, into: ds)
        Softmax.backward(p, dropped: dropped, ds)
        MatrixProduct.multiply(ds, by: k, into: dq, scale: scale)
        MatrixProduct.multiply(ds, transposed: true, by: q, into: dk, scale: scale)
      }
    }
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
