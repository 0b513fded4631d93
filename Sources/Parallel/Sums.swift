// The two kernels of the tree: element by element in registers, so their order of additions is the formula's.
// Sixty-four floats a turn: enough independent additions to hide their latency.

private typealias Lanes = SIMD16<Float>

/// target[i] ← left[i] + right[i]; the target may be one of the operands.
func add(
  _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, count: Int
) {
  var i = 0
  while i + 64 <= count {
    let a = load(left + i) + load(right + i)
    let b = load(left + i + 16) + load(right + i + 16)
    let c = load(left + i + 32) + load(right + i + 32)
    let d = load(left + i + 48) + load(right + i + 48)
    store((a, b, c, d), target + i)
    i += 64
  }
  while i < count {
    target[i] = left[i] + right[i]
    i += 1
  }
}

/// target[i] ← L[t][i] + (… + (L[s][i] + leaf[i])) over the levels s < … < t whose bit is set in `carry`.
///
/// Level h starts at `levels` + h · `stride`. The target is none of the operands, or exactly one of them.
func addLevels(
  _ carry: Int, of levels: UnsafePointer<Float>, stride: Int, to leaf: UnsafePointer<Float>,
  into target: UnsafeMutablePointer<Float>, count: Int
) {
  var i = 0
  while i + 64 <= count {
    var (a, b, c, d) = (load(leaf + i), load(leaf + i + 16), load(leaf + i + 32), load(leaf + i + 48))
    var rest = carry
    while rest != 0 {
      let level = levels + rest.trailingZeroBitCount * stride + i
      a = load(level) + a
      b = load(level + 16) + b
      c = load(level + 32) + c
      d = load(level + 48) + d
      rest &= rest - 1
    }
    store((a, b, c, d), target + i)
    i += 64
  }
  while i < count {
    var sum = leaf[i]
    var rest = carry
    while rest != 0 {
      sum = levels[rest.trailingZeroBitCount * stride + i] + sum
      rest &= rest - 1
    }
    target[i] = sum
    i += 1
  }
}

// Groups and slices start anywhere, so neither load nor store may ask for alignment.

@inline(__always) private func load(_ source: UnsafePointer<Float>) -> Lanes {
  UnsafeRawPointer(source).loadUnaligned(as: Lanes.self)
}

/// Four in a row.
@inline(__always) private func store(_ lanes: (Lanes, Lanes, Lanes, Lanes), _ target: UnsafeMutablePointer<Float>) {
  let bytes = UnsafeMutableRawPointer(target)
  bytes.storeBytes(of: lanes.0, as: Lanes.self)
  bytes.storeBytes(of: lanes.1, toByteOffset: 64, as: Lanes.self)
  bytes.storeBytes(of: lanes.2, toByteOffset: 128, as: Lanes.self)
  bytes.storeBytes(of: lanes.3, toByteOffset: 192, as: Lanes.self)
}
