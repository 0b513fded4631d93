/// SplitMix64 (Steele, Lea and Flood, 2014): a small generator for data that must be the same for the same seed.
///
/// Training draws its numbers from Threefry; this one makes synthetic data and test inputs.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// The generator of one item among many: distinct keys give unrelated sequences, in whatever order they are used.
  package init(seed: UInt64, _ keys: UInt64...) {
    var generator = SplitMix64(seed: seed)
    for key in keys { generator.state = generator.next() ^ (key &* 0xD6E8_FEB8_6659_FD93) }
    self.init(seed: generator.next())
  }

  @inline(__always)
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
