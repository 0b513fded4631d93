import COneDNN

/// Matrix products by oneDNN's sgemm: float32, row-major, one thread.
public enum MatrixProduct {
  /// Keeps oneDNN's OpenMP to the calling thread; every thread that multiplies calls it once.
  public static func useOneThread() { omp_set_num_threads(1) }

  /// The library's version, such as "oneDNN 3.1.1".
  public static var library: String {
    guard let version = dnnl_version()?.pointee else { return "oneDNN" }
    return "oneDNN \(version.major).\(version.minor).\(version.patch)"
  }

  /// c ← scale · op(a) b + keep · c, where op transposes if asked: [rows, inner] × [inner, columns] → [rows, columns].
  public static func multiply(
    _ a: Matrix, transposed: Bool = false, by b: Matrix, into c: Matrix, scale: Float = 1, keep: Float = 0
  ) {
    multiply(a, transposed, b, false, into: c, scale: scale, keep: keep)
  }

  /// c ← scale · op(a) bᵀ + keep · c, with b [columns, inner].
  public static func multiply(
    _ a: Matrix, transposed: Bool = false, byTransposed b: Matrix, into c: Matrix, scale: Float = 1, keep: Float = 0
  ) {
    multiply(a, transposed, b, true, into: c, scale: scale, keep: keep)
  }

  private static func multiply(
    _ a: Matrix, _ aTransposed: Bool, _ b: Matrix, _ bTransposed: Bool, into c: Matrix, scale: Float, keep: Float
  ) {
    let (rows, inner) = aTransposed ? (a.columns, a.rows) : (a.rows, a.columns)
    let (bInner, columns) = bTransposed ? (b.columns, b.rows) : (b.rows, b.columns)
    precondition(
      inner == bInner && c.rows == rows && c.columns == columns,
      "[\(rows), \(inner)] × [\(bInner), \(columns)] into [\(c.rows), \(c.columns)]")
    if rows == 0 || columns == 0 { return }
    if inner == 0 {  // oneDNN leaves c as it is
      for i in 0..<rows { for j in 0..<columns { c[i, j] *= keep } }
      return
    }
    let status = dnnl_sgemm(
      aTransposed ? CChar(UInt8(ascii: "T")) : CChar(UInt8(ascii: "N")),
      bTransposed ? CChar(UInt8(ascii: "T")) : CChar(UInt8(ascii: "N")),
      dnnl_dim_t(rows), dnnl_dim_t(columns), dnnl_dim_t(inner), scale, a.base, dnnl_dim_t(max(a.stride, 1)), b.base,
      dnnl_dim_t(max(b.stride, 1)), keep, c.base, dnnl_dim_t(max(c.stride, 1)))
    precondition(
      status == dnnl_success, "sgemm of \(rows) × \(inner) × \(columns) failed with status \(status.rawValue)")
  }
}
