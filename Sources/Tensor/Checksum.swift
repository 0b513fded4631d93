/// Sums over the bits of matrices, fast enough for everything that a step writes. Two runs of values that differ in one bit never
/// have the same sum: each operation on a lane can be undone.
package struct Checksum {
  private var lanes = SIMD16<UInt32>(repeating: 0x9E37_79B9)
  private var rest: UInt64 = 0xCBF2_9CE4_8422_2325

  package init() {}

  package init(of x: Matrix) { add(x) }

  package mutating func add(_ x: Matrix) {
    for i in 0..<x.rows { add(x.row(i), count: x.columns) }
  }

  private mutating func add(_ x: UnsafePointer<Float>, count: Int) {
    let words = UnsafeRawPointer(x)
    var i = 0
    while i + 16 <= count {
      lanes = (lanes ^ words.loadUnaligned(fromByteOffset: i * 4, as: SIMD16<UInt32>.self)) &* 0x85EB_CA6B
      lanes ^= lanes &>> 15
      i += 16
    }
    while i < count {
      rest = (rest ^ UInt64(words.loadUnaligned(fromByteOffset: i * 4, as: UInt32.self))) &* 0x100_0000_01B3
      i += 1
    }
  }

  package var value: UInt64 {
    Self.sum(of: (0..<16).lazy.map { UInt64(lanes[$0]) }, from: rest)
  }

  /// Of numbers, such as the sums of several matrices: each of their bits counts.
  package static func sum(of numbers: some Sequence<UInt64>, from first: UInt64 = 0) -> UInt64 {
    numbers.reduce(first) { sum, number in
      let mixed = (sum ^ number) &* 0x9E37_79B9_7F4A_7C15
      return mixed ^ mixed >> 29
    }
  }
}
