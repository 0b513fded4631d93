/// The lanes that every kernel works in: one AVX-512 register, or two of AVX2.
///
/// Generic SIMD conversions, `.rounded()` and `.clamped()` become a library call a lane; kernels use
/// fused multiply-adds, `replace(with:where:)` and bit casts only.
package typealias Floats = SIMD16<Float>
@usableFromInline typealias Words = SIMD16<UInt32>

@usableFromInline let laneCount = 16

/// Sixteen floats from any address.
@inline(__always) func load(_ p: UnsafePointer<Float>) -> Floats {
  UnsafeRawPointer(p).loadUnaligned(as: Floats.self)
}

/// The first `lanes` of sixteen floats; the rest are `filler` and not read.
@inline(__always) func load(_ p: UnsafePointer<Float>, lanes: Int, else filler: Float = 0) -> Floats {
  lanes == 16 ? load(p) : loadPart(p, lanes, filler)
}

// Parts of a vector go through memory and out of line: an insertion a lane would make the compiler keep whole
// vectors as sixteen scalars.

@inline(never) private func loadPart(_ p: UnsafePointer<Float>, _ lanes: Int, _ filler: Float) -> Floats {
  var v = Floats(repeating: filler)
  withUnsafeMutableBytes(of: &v) { $0.copyMemory(from: UnsafeRawBufferPointer(start: p, count: 4 * lanes)) }
  return v
}

@inline(never) private func storePart(_ v: Floats, _ p: UnsafeMutablePointer<Float>, _ lanes: Int) {
  withUnsafeBytes(of: v) {
    UnsafeMutableRawPointer(p).copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: 4 * lanes)
  }
}

@inline(__always) func store(_ v: Floats, _ p: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(p).storeBytes(of: v, as: Floats.self)
}

/// Stores the first `lanes`; memory past them is not touched.
@inline(__always) func store(_ v: Floats, _ p: UnsafeMutablePointer<Float>, lanes: Int) {
  if lanes == 16 { store(v, p) } else { storePart(v, p, lanes) }
}

/// Calls `body(offset, lanes)` for whole vectors and then for what remains.
///
/// A long body is a local function marked `@inline(__always)`: a closure would be inlined into neither place, and then
/// a call is made for each vector (GELU's forward: 1.0 ns an element instead of 0.15).
@inline(__always) func forEachVector(_ count: Int, _ body: (_ offset: Int, _ lanes: Int) -> Void) {
  var i = 0
  while i &+ 16 <= count {
    body(i, 16)
    i &+= 16
  }
  if i < count { body(i, count &- i) }
}

/// Σ of what `body` returns for all elements, in one fixed order; lanes past the end are left out.
@inline(__always) func sumVectors(_ count: Int, _ body: (_ offset: Int, _ lanes: Int) -> Floats) -> Float {
  var sum = Floats.zero
  var i = 0
  while i &+ 16 <= count {
    sum += body(i, 16)
    i &+= 16
  }
  if i < count { sum += masked(body(i, count &- i), lanes: count &- i) }
  return sum.total
}

/// Two sums at once.
@inline(__always) func sumVectors(
  _ count: Int, _ body: (_ offset: Int, _ lanes: Int) -> (Floats, Floats)
) -> (Float, Float) {
  var (first, second) = (Floats.zero, Floats.zero)
  var i = 0
  while i &+ 16 <= count {
    let (a, b) = body(i, 16)
    first += a
    second += b
    i &+= 16
  }
  if i < count {
    let (a, b) = body(i, count &- i)
    first += masked(a, lanes: count &- i)
    second += masked(b, lanes: count &- i)
  }
  return (first.total, second.total)
}

extension SIMD16 where Scalar == Float {
  /// The sum of all lanes, halves first: one fixed order on every machine.
  @inline(__always) var total: Float {
    let eight = lowHalf + highHalf
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
  }

  /// The greatest of all lanes.
  @inline(__always) var greatest: Float {
    let eight = pointwiseMax(lowHalf, highHalf)
    let four = pointwiseMax(eight.lowHalf, eight.highHalf)
    let two = pointwiseMax(four.lowHalf, four.highHalf)
    return two.x > two.y ? two.x : two.y
  }

  @inline(__always) init(_ value: Float) { self.init(repeating: value) }
}

/// √x for x ≥ 0 within one unit in the last place: Newton's steps from a guess by the exponent, as `squareRoot()` on a
/// vector becomes a call a lane. Values below 1e-30 count as 0.
@inline(__always) func squareRoot(_ x: Floats) -> Floats {
  let bits = unsafeBitCast(x, to: SIMD16<Int32>.self)
  let guess = SIMD16<Int32>(repeating: 0x5f37_59df) &- (bits &>> SIMD16<Int32>(repeating: 1))
  var inverse = unsafeBitCast(guess, to: Floats.self)
  let half = x * Floats(-0.5)
  inverse = inverse * Floats(1.5).addingProduct(half * inverse, inverse)
  inverse = inverse * Floats(1.5).addingProduct(half * inverse, inverse)
  inverse = inverse * Floats(1.5).addingProduct(half * inverse, inverse)
  let root = x * inverse
  let remainder = x.addingProduct(root, -root)
  let corrected = root.addingProduct(remainder, inverse * Floats(0.5))
  return corrected.replacing(with: 0, where: x .< Floats(1e-30))
}

/// The greater of two, lane by lane, as one instruction.
@inline(__always) func greater(_ a: Floats, _ b: Floats) -> Floats {
  var r = a
  r.replace(with: b, where: b .> a)
  return r
}

@inline(__always) private func pointwiseMax(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
  a.replacing(with: b, where: b .> a)
}
@inline(__always) private func pointwiseMax(_ a: SIMD4<Float>, _ b: SIMD4<Float>) -> SIMD4<Float> {
  a.replacing(with: b, where: b .> a)
}
@inline(__always) private func pointwiseMax(_ a: SIMD2<Float>, _ b: SIMD2<Float>) -> SIMD2<Float> {
  a.replacing(with: b, where: b .> a)
}

/// e^x, relative error about 1e-7 on [-87, 88], clamped outside: x = n ln 2 + r, a polynomial in r (Cephes'
/// expf), n added to the exponent's bits. Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
@inline(__always) func exponential(_ x: Floats) -> Floats {
  let magic = Floats(12_582_912)
  var c = x
  c.replace(with: Floats(-87), where: c .< Floats(-87))
  c.replace(with: Floats(88), where: c .> Floats(88))
  let t = magic.addingProduct(c, Floats(1.442_695_04))
  let n = t - magic
  var r = c.addingProduct(n, Floats(-0.693_359_375))
  r = r.addingProduct(n, Floats(2.121_944_40e-4))
  var p = Floats(1.987_569_150_0e-4)
  p = Floats(1.398_199_950_7e-3).addingProduct(p, r)
  p = Floats(8.333_451_907_3e-3).addingProduct(p, r)
  p = Floats(4.166_579_589_4e-2).addingProduct(p, r)
  p = Floats(1.666_666_545_9e-1).addingProduct(p, r)
  p = Floats(5.000_000_120_1e-1).addingProduct(p, r)
  let y = (r + Floats(1)).addingProduct(p, r * r)
  let exponent = unsafeBitCast(t, to: SIMD16<Int32>.self) &<< SIMD16<Int32>(repeating: 23)
  return unsafeBitCast(unsafeBitCast(y, to: SIMD16<Int32>.self) &+ exponent, to: Floats.self)
}

/// erf x within about 3e-7: the odd rational approximation of degree 13 over 8 that Eigen and XLA use in
/// float32, on [-4, 4]; outside, erf is ±1 to float32's last bit.
@inline(__always) func errorFunction(_ x: Floats) -> Floats {
  var c = x
  c.replace(with: Floats(-4), where: c .< Floats(-4))
  c.replace(with: Floats(4), where: c .> Floats(4))
  let s = c * c
  var p = Floats(-2.726_142_258_013_06e-10)
  p = Floats(2.770_681_424_959_02e-08).addingProduct(p, s)
  p = Floats(-2.101_024_020_825_08e-06).addingProduct(p, s)
  p = Floats(-5.692_506_394_623_46e-05).addingProduct(p, s)
  p = Floats(-7.349_906_303_268_55e-04).addingProduct(p, s)
  p = Floats(-2.954_599_808_540_25e-03).addingProduct(p, s)
  p = Floats(-1.609_603_332_624_15e-02).addingProduct(p, s)
  var q = Floats(-1.456_607_184_649_96e-05)
  q = Floats(-2.133_740_552_789_05e-04).addingProduct(q, s)
  q = Floats(-1.682_826_974_382_03e-03).addingProduct(q, s)
  q = Floats(-7.373_329_167_204_68e-03).addingProduct(q, s)
  q = Floats(-1.426_473_905_141_89e-02).addingProduct(q, s)
  return c * p / q
}

/// 1 / (1 + e^-x), relative error about 2e-7.
@inline(__always) func sigmoid(_ x: Floats) -> Floats { Floats(1) / (Floats(1) + exponential(-x)) }

/// tanh x within about 3e-7, relative: the odd rational approximation of degree 13 over 6 that Eigen and XLA use in
/// float32, on ±7.905; outside, tanh is ±1 to float32's last bit.
@inline(__always) func hyperbolicTangent(_ x: Floats) -> Floats {
  var c = x
  c.replace(with: Floats(-7.905_311_107_635_498), where: c .< Floats(-7.905_311_107_635_498))
  c.replace(with: Floats(7.905_311_107_635_498), where: c .> Floats(7.905_311_107_635_498))
  let s = c * c
  var p = Floats(-2.760_768_477_423_55e-16)
  p = Floats(2.000_187_904_824_77e-13).addingProduct(p, s)
  p = Floats(-8.604_671_522_137_35e-11).addingProduct(p, s)
  p = Floats(5.122_297_090_371_14e-08).addingProduct(p, s)
  p = Floats(1.485_722_357_179_79e-05).addingProduct(p, s)
  p = Floats(6.372_619_288_754_36e-04).addingProduct(p, s)
  p = Floats(4.893_524_558_917_86e-03).addingProduct(p, s)
  var q = Floats(1.198_258_394_667_02e-06)
  q = Floats(1.185_347_056_866_54e-04).addingProduct(q, s)
  q = Floats(2.268_434_632_439_00e-03).addingProduct(q, s)
  q = Floats(4.893_525_185_543_85e-03).addingProduct(q, s)
  return c * p / q
}

/// `v` with a filler in the lanes past a row's end.
@inline(__always) func masked(_ v: Floats, lanes: Int, else filler: Float = 0) -> Floats {
  if lanes == 16 { return v }
  let index = Floats(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
  return v.replacing(with: filler, where: index .>= Floats(Float(lanes)))
}
