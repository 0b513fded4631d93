/// The recurrence of a long short-term memory's layer, step after step over several samples at once:
///
/// (i, f, g, o) = (σ, σ, tanh, σ)(z_t + b + U h_{t−1}), c_t = f c_{t−1} + i g, h_t = o tanh(c_t), c and h 0 before step 0.
///
/// z_t, the input's part, is ready before: one product over all steps. H units; a row of H is padded with zeros to P,
/// whole blocks of 32. A row of gates is [4, P] in the order i, f, g, o.
///
/// Weights are packed so that a tile's lie in one run and stay in the first-level cache for all samples. Every element
/// is one chain of fused multiply-adds in one order, whatever the tile: a sample's bits do not depend on the others.
package enum LSTM {
  /// P
  package static func paddedSize(_ units: Int) -> Int { (units + 31) / 32 * 32 }

  /// Where one sample's steps lie: a row a step, rows end to end.
  package struct Steps {
    /// [T, 4P]: z in forward, which leaves i, f, g, o; backward leaves z's gradient.
    package let gates: UnsafeMutablePointer<Float>
    /// [T, P]: c; backward uses them up.
    package let cells: UnsafeMutablePointer<Float>
    /// [T, P]: h.
    package let hidden: UnsafeMutablePointer<Float>
    /// [T, P]: h's gradient from what reads it, 0 past H.
    package let hiddenGradient: UnsafeMutablePointer<Float>

    package init(gates: Matrix, cells: Matrix, hidden: Matrix, hiddenGradient: Matrix) {
      self.gates = gates.base
      self.cells = cells.base
      self.hidden = hidden.base
      self.hiddenGradient = hiddenGradient.base
    }
  }

  /// U [4H, H], the rows of each gate packed for one direction.
  package struct RecurrentWeights {
    let packed: UnsafePointer<Float>
    let units: Int
    var padded: Int { paddedSize(units) }

    /// Floats of either packing.
    package static func capacity(units: Int) -> Int { 4 * units * paddedSize(units) }

    /// For forward: [P/16 blocks of units, H inner, 4 gates, 16].
    package init(forward weight: Matrix, into memory: UnsafeMutablePointer<Float>) {
      let H = weight.columns
      for unit in 0..<paddedSize(H) {
        let block = memory + unit / 16 * 64 * H + unit % 16
        for k in 0..<H { for q in 0..<4 { block[64 * k + 16 * q] = unit < H ? weight[q * H + unit, k] : 0 } }
      }
      (packed, units) = (UnsafePointer(memory), H)
    }

    /// For backward: [P/32 blocks of units, 4 gates, H inner, 32].
    package init(backward weight: Matrix, into memory: UnsafeMutablePointer<Float>) {
      let H = weight.columns
      for unit in 0..<paddedSize(H) {
        let block = memory + unit / 32 * 128 * H + unit % 32
        for row in 0..<4 * H { block[32 * row] = unit < H ? weight[row, unit] : 0 }
      }
      (packed, units) = (UnsafePointer(memory), H)
    }
  }

  /// Rows of the four gates [4H, n], each gate padded with zeros to P, and n to the target's columns: [4P, m].
  package static func pad(_ weight: Matrix, into target: Matrix) {
    let (H, P) = (weight.rows / 4, target.rows / 4)
    target.fill(0)
    for q in 0..<4 {
      target.rows(q * P..<q * P + H).columns(0..<weight.columns).copy(from: weight.rows(q * H..<(q + 1) * H))
    }
  }

  /// The inverse: what is not padding.
  package static func unpad(_ padded: Matrix, into weight: Matrix) {
    let (H, P) = (weight.rows / 4, padded.rows / 4)
    for q in 0..<4 {
      weight.rows(q * H..<(q + 1) * H).copy(from: padded.rows(q * P..<q * P + H).columns(0..<weight.columns))
    }
  }

  // MARK: Forward

  /// Gates, cells and hidden states of T steps; `bias` [4, P] is the sum of both biases.
  package static func forward(
    _ samples: UnsafeBufferPointer<Steps>, steps T: Int, _ weights: RecurrentWeights, bias: UnsafePointer<Float>
  ) {
    guard let samples = Samples(samples) else { return }
    let (H, P) = (weights.units, weights.padded)
    for t in 0..<T {
      for first in stride(from: 0, to: H, by: 16) {
        let block = weights.packed + first * 4 * H
        for s in stride(from: 0, to: samples.count, by: 4) {
          let four = samples.four(from: s)
          switch samples.count &- s {
          case 1: forward(four, 1, step: t, unit: first, block, H, P, bias)
          case 2: forward(four, 2, step: t, unit: first, block, H, P, bias)
          case 3: forward(four, 3, step: t, unit: first, block, H, P, bias)
          default: forward(four, 4, step: t, unit: first, block, H, P, bias)
          }
        }
      }
    }
  }

  /// One step of sixteen units of so many samples, a constant: one kernel for each.
  @inline(__always)
  private static func forward(
    _ samples: Samples.Four, _ count: Int, step t: Int, unit: Int, _ weights: UnsafePointer<Float>, _ H: Int,
    _ P: Int, _ bias: UnsafePointer<Float>
  ) {
    let row = t &* 4 &* P &+ unit
    let b = Gates(bias + unit, P)
    var (z0, z1) = (Gates(samples.a.gates + row, P), Gates(samples.b.gates + row, P))
    var (z2, z3) = (Gates(samples.c.gates + row, P), Gates(samples.d.gates + row, P))
    z0.add(b)
    z1.add(b)
    z2.add(b)
    z3.add(b)
    if t > 0 {
      let before = (t &- 1) &* P
      let (h0, h1) = (samples.a.hidden + before, samples.b.hidden + before)
      let (h2, h3) = (samples.c.hidden + before, samples.d.hidden + before)
      var w = weights
      for k in 0..<H {
        let u = Gates(w, 16)
        z0.add(u, times: Floats(h0[k]))
        if count > 1 { z1.add(u, times: Floats(h1[k])) }
        if count > 2 { z2.add(u, times: Floats(h2[k])) }
        if count > 3 { z3.add(u, times: Floats(h3[k])) }
        w += 64
      }
    }
    activate(z0, samples.a, t, unit, P)
    if count > 1 { activate(z1, samples.b, t, unit, P) }
    if count > 2 { activate(z2, samples.c, t, unit, P) }
    if count > 3 { activate(z3, samples.d, t, unit, P) }
  }

  @inline(__always)
  private static func activate(_ z: Gates, _ sample: Steps, _ t: Int, _ unit: Int, _ P: Int) {
    let gates = Gates(i: sigmoid(z.i), f: sigmoid(z.f), g: hyperbolicTangent(z.g), o: sigmoid(z.o))
    let cells = sample.cells + (t &* P &+ unit)
    let before = t > 0 ? load(cells - P) : Floats.zero
    let c = (gates.i * gates.g).addingProduct(gates.f, before)
    gates.write(sample.gates + (t &* 4 &* P &+ unit), P)
    store(c, cells)
    store(gates.o * hyperbolicTangent(c), sample.hidden + (t &* P &+ unit))
  }

  // MARK: Backward

  /// From the hidden states' gradients, z's, over the gates; the last step first:
  ///
  /// dh_t ← dh_t + Uᵀ dz_{t+1}, dc = dh o (1 − tanh² c_t) + f_{t+1} dc_{t+1}, and dz = (dc g i (1 − i), dc c_{t−1} f (1 − f),
  /// dc i (1 − g²), dh tanh(c_t) o (1 − o)). What is passed on to c_{t−1} stands where c_t was.
  package static func backward(_ samples: UnsafeBufferPointer<Steps>, steps T: Int, _ weights: RecurrentWeights) {
    guard let samples = Samples(samples) else { return }
    let (H, P) = (weights.units, weights.padded)
    for t in stride(from: T - 1, through: 0, by: -1) {
      for first in stride(from: 0, to: H, by: 32) {
        let block = weights.packed + first * 4 * H
        for s in stride(from: 0, to: samples.count, by: 4) {
          let (four, last) = (samples.four(from: s), t == T &- 1)
          switch samples.count &- s {
          case 1: backward(four, 1, step: t, last: last, unit: first, block, H, P)
          case 2: backward(four, 2, step: t, last: last, unit: first, block, H, P)
          case 3: backward(four, 3, step: t, last: last, unit: first, block, H, P)
          default: backward(four, 4, step: t, last: last, unit: first, block, H, P)
          }
        }
      }
    }
  }

  /// One step of 32 units of so many samples, a constant.
  @inline(__always)
  private static func backward(
    _ samples: Samples.Four, _ count: Int, step t: Int, last: Bool, unit: Int, _ weights: UnsafePointer<Float>,
    _ H: Int, _ P: Int
  ) {
    let row = t &* P &+ unit
    var (d0, d1) = (Pair(samples.a.hiddenGradient + row), Pair(samples.b.hiddenGradient + row))
    var (d2, d3) = (Pair(samples.c.hiddenGradient + row), Pair(samples.d.hiddenGradient + row))
    if !last {
      var w = weights
      for q in 0..<4 {
        let after = (t &+ 1) &* 4 &* P &+ q &* P
        let (z0, z1) = (samples.a.gates + after, samples.b.gates + after)
        let (z2, z3) = (samples.c.gates + after, samples.d.gates + after)
        for k in 0..<H {
          let u = Pair(w)
          d0.add(u, times: Floats(z0[k]))
          if count > 1 { d1.add(u, times: Floats(z1[k])) }
          if count > 2 { d2.add(u, times: Floats(z2[k])) }
          if count > 3 { d3.add(u, times: Floats(z3[k])) }
          w += 32
        }
      }
    }
    differentiate(d0, samples.a, t, last, unit, P)
    if count > 1 { differentiate(d1, samples.b, t, last, unit, P) }
    if count > 2 { differentiate(d2, samples.c, t, last, unit, P) }
    if count > 3 { differentiate(d3, samples.d, t, last, unit, P) }
  }

  @inline(__always)
  private static func differentiate(_ d: Pair, _ sample: Steps, _ t: Int, _ last: Bool, _ unit: Int, _ P: Int) {
    differentiate(d.low, sample, t, last, unit, P)
    differentiate(d.high, sample, t, last, unit &+ 16, P)
  }

  @inline(__always)
  private static func differentiate(_ dh: Floats, _ sample: Steps, _ t: Int, _ last: Bool, _ unit: Int, _ P: Int) {
    let one = Floats(1)
    let row = sample.gates + (t &* 4 &* P &+ unit)
    let cells = sample.cells + (t &* P &+ unit)
    let gates = Gates(row, P)
    let squashed = hyperbolicTangent(load(cells))
    let before = t > 0 ? load(cells - P) : Floats.zero
    var dc = dh * gates.o * one.addingProduct(-squashed, squashed)
    if !last { dc += load(cells + P) }
    let dz = Gates(
      i: dc * gates.g * gates.i * (one - gates.i), f: dc * before * gates.f * (one - gates.f),
      g: dc * gates.i * one.addingProduct(-gates.g, gates.g), o: dh * squashed * gates.o * (one - gates.o))
    dz.write(row, P)
    store(dc * gates.f, cells)
  }

  // MARK: Tiles

  /// The samples, four at a time; past the end the last one stands in, for which nothing is computed.
  private struct Samples {
    struct Four { let a, b, c, d: Steps }

    let base: UnsafePointer<Steps>
    let count: Int

    init?(_ samples: UnsafeBufferPointer<Steps>) {
      guard let base = samples.baseAddress, !samples.isEmpty else { return nil }
      (self.base, count) = (base, samples.count)
    }

    @inline(__always) func four(from s: Int) -> Four {
      let last = count &- 1
      return Four(
        a: base[s], b: base[min(s &+ 1, last)], c: base[min(s &+ 2, last)], d: base[min(s &+ 3, last)])
    }
  }

  /// Sixteen units of each gate.
  private struct Gates {
    var i, f, g, o: Floats

    @inline(__always) init(i: Floats, f: Floats, g: Floats, o: Floats) {
      (self.i, self.f, self.g, self.o) = (i, f, g, o)
    }

    @inline(__always) init(_ p: UnsafePointer<Float>, _ stride: Int) {
      self.init(i: load(p), f: load(p + stride), g: load(p + 2 &* stride), o: load(p + 3 &* stride))
    }

    @inline(__always) mutating func add(_ other: Gates) {
      i += other.i
      f += other.f
      g += other.g
      o += other.o
    }

    @inline(__always) mutating func add(_ other: Gates, times x: Floats) {
      i = i.addingProduct(other.i, x)
      f = f.addingProduct(other.f, x)
      g = g.addingProduct(other.g, x)
      o = o.addingProduct(other.o, x)
    }

    @inline(__always) func write(_ p: UnsafeMutablePointer<Float>, _ stride: Int) {
      store(i, p)
      store(f, p + stride)
      store(g, p + 2 &* stride)
      store(o, p + 3 &* stride)
    }
  }

  /// 32 units.
  private struct Pair {
    var low, high: Floats

    @inline(__always) init(_ p: UnsafePointer<Float>) { (low, high) = (load(p), load(p + 16)) }

    @inline(__always) mutating func add(_ other: Pair, times x: Floats) {
      low = low.addingProduct(other.low, x)
      high = high.addingProduct(other.high, x)
    }
  }
}
