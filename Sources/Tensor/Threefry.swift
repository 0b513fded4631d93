/// A key of the counter-based generator Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw,
/// "Parallel random numbers: as easy as 1, 2, 3", 2011). A draw is a function of key and counter alone, so it
/// does not know which worker makes it, nor in which order.
package struct RandomKey: Sendable, Equatable {
  package let low: UInt32
  package let high: UInt32

  package init(low: UInt32, high: UInt32) {
    self.low = low
    self.high = high
  }

  package init(seed: UInt64) {
    self.init(low: UInt32(truncatingIfNeeded: seed), high: UInt32(truncatingIfNeeded: seed >> 32))
  }

  /// The key of one purpose within this key's stream, e.g. a dropout site at a training step.
  package func derived(_ first: UInt32, _ second: UInt32 = 0) -> RandomKey {
    let word = words(first, second)
    return RandomKey(low: word.0, high: word.1)
  }

  /// The two random words at a counter.
  package func words(_ c0: UInt32, _ c1: UInt32) -> (UInt32, UInt32) {
    let both = threefry(self, Words(repeating: c0), Words(repeating: c1))
    return (both.0[0], both.1[0])
  }

  /// Standard normal deviates for the counters (stream, 0 …), by Box and Muller's transform.
  package func fillNormal(_ p: UnsafeMutablePointer<Float>, count: Int, stream: UInt32, deviation: Float) {
    for i in stride(from: 0, to: count, by: 2) {
      let (a, b) = words(stream, UInt32(truncatingIfNeeded: i / 2))
      let radius = deviation * (-2 * logarithm((Float(a >> 8) + 0.5) * 0x1p-24)).squareRoot()
      let (sine, cosine) = sineAndCosine(turns: Double(b >> 8) * 0x1p-24)
      p[i] = radius * Float(cosine)
      if i + 1 < count { p[i + 1] = radius * Float(sine) }
    }
  }

  /// Uniform deviates on [-bound, bound) for the counters (stream, 0 …).
  package func fillUniform(_ p: UnsafeMutablePointer<Float>, count: Int, stream: UInt32, bound: Float) {
    for i in stride(from: 0, to: count, by: 2) {
      let (a, b) = words(stream, UInt32(truncatingIfNeeded: i / 2))
      p[i] = bound * (Float(a >> 8) * 0x1p-23 - 1)
      if i + 1 < count { p[i + 1] = bound * (Float(b >> 8) * 0x1p-23 - 1) }
    }
  }

  /// A uniformly random permutation of 0..<count, written to `p`: Fisher and Yates, one counter a swap.
  package func fillPermutation(_ p: UnsafeMutablePointer<Int32>, count: Int, stream: UInt32) {
    for i in 0..<count { p[i] = Int32(i) }
    for i in Swift.stride(from: count - 1, to: 0, by: -1) {
      let (a, b) = words(stream, UInt32(truncatingIfNeeded: i))
      let draw = UInt64(a) << 32 | UInt64(b)
      let j = Int(draw.multipliedFullWidth(by: UInt64(i + 1)).high)
      (p[i], p[j]) = (p[j], p[i])
    }
  }
}

/// Thirty-two random words: two for each lane's counter (c0, c1).
///
/// - Parameter short: 13 rounds instead of 20: the fewest that passed all of the paper's statistical tests, and enough
///   for dropout, whose draws are most of all.
@inline(__always) func threefry(_ key: RandomKey, _ c0: Words, _ c1: Words, short: Bool = false) -> (Words, Words) {
  let (k0, k1) = (key.low, key.high)
  let k2 = k0 ^ k1 ^ 0x1BD1_1BDA
  var x0 = c0 &+ Words(repeating: k0)
  var x1 = c1 &+ Words(repeating: k1)
  @inline(__always) func mix(_ r: UInt32) {
    x0 = x0 &+ x1
    x1 = (x1 &<< Words(repeating: r)) | (x1 &>> Words(repeating: 32 - r))
    x1 = x1 ^ x0
  }
  @inline(__always) func inject(_ a: UInt32, _ b: UInt32) {
    x0 = x0 &+ Words(repeating: a)
    x1 = x1 &+ Words(repeating: b)
  }
  mix(13); mix(15); mix(26); mix(6)
  inject(k1, k2 &+ 1)
  mix(17); mix(29); mix(16); mix(24)
  inject(k2, k0 &+ 2)
  mix(13); mix(15); mix(26); mix(6)
  inject(k0, k1 &+ 3)
  mix(17)
  if short { return (x0, x1) }
  mix(29); mix(16); mix(24)
  inject(k1, k2 &+ 4)
  mix(13); mix(15); mix(26); mix(6)
  inject(k2, k0 &+ 5)
  return (x0, x1)
}
