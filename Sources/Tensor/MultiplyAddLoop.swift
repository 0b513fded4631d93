/// A loop of fused multiply-adds that do not depend on one another: as many operations per second as the core can do, against
/// which products are measured.
package enum MultiplyAddLoop {
  /// Chains that stay in registers and outnumber the multiply-adds that are under way at a time.
  static var chains: Int { MatrixKernel.tileRows }

  /// Floating-point operations of so many rounds.
  package static func operations(rounds: Int) -> Double { 2 * Double(rounds * chains * laneCount) }

  /// - Parameter x: near 1, and not known to the compiler.
  /// - Returns: something that depends on all of it.
  @inline(never)
  package static func run(rounds: Int, _ x: Float) -> Float {
    let (a, b) = (Floats(x), Floats(1 - x))
    var c = Floats(x)
    var (d, e, f, g, h) = (c, c, c, c, c)
    #if TILE_12X32
      var (i, j, k, l, m, n) = (c, c, c, c, c, c)
    #endif
    for _ in 0..<rounds {
      c = b.addingProduct(a, c)
      d = b.addingProduct(a, d)
      e = b.addingProduct(a, e)
      f = b.addingProduct(a, f)
      g = b.addingProduct(a, g)
      h = b.addingProduct(a, h)
      #if TILE_12X32
        i = b.addingProduct(a, i)
        j = b.addingProduct(a, j)
        k = b.addingProduct(a, k)
        l = b.addingProduct(a, l)
        m = b.addingProduct(a, m)
        n = b.addingProduct(a, n)
      #endif
    }
    var sum = (c + d) + (e + f) + (g + h)
    #if TILE_12X32
      sum += (i + j) + (k + l) + (m + n)
    #endif
    return sum.total
  }
}
