/// Dropout at one site of the model and one step: which elements stay, as a function of (key, sample, row,
/// column) alone. Nothing is stored; backward draws the same mask again.
///
/// A decision compares 16 random bits with the probability, so one Threefry block decides 64 elements of a row.
package struct Dropout: Sendable {
  @usableFromInline let key: RandomKey
  /// An element is dropped where its 16 random bits are below this.
  @usableFromInline let threshold: UInt32
  /// What stays is multiplied by 1 / (1 − p).
  package let scale: Float

  /// - Parameter probability: 0 ≤ p < 1, rounded to a multiple of 2^-16.
  package init(probability: Float, key: RandomKey) {
    precondition(probability >= 0 && probability < 1, "dropout probability \(probability)")
    self.key = key
    threshold = UInt32((probability * 65536).rounded())
    scale = 65536 / (65536 - Float(threshold))
  }

  /// No dropout: evaluation, and replays.
  package static let none = Dropout(probability: 0, key: RandomKey(low: 0, high: 0))

  @inlinable package var isActive: Bool { threshold > 0 }

  /// Writes the factors (0 or 1 / (1 − p)) of a row of `columns` elements; memory for a multiple of 64 of them.
  ///
  /// - Parameters:
  ///   - sample: the sample's position in the whole batch.
  ///   - row: the row's number within the sample at this site.
  func fillFactors(_ factors: UnsafeMutablePointer<Float>, columns: Int, sample: Int, row: Int) {
    let blocks = (columns &+ 63) / 64
    let lanes = Words(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    let position = Words(repeating: UInt32(truncatingIfNeeded: sample))
    let (low, high) = (Words(repeating: 0xFFFF), Words(repeating: 16))
    let (limit, keep) = (Words(repeating: threshold), Floats(scale))
    for block in 0..<blocks {
      let first = UInt32(truncatingIfNeeded: (row &* blocks &+ block) &* 16)
      let (a, b) = threefry(key, position, lanes &+ Words(repeating: first), short: true)
      let target = factors + 64 * block
      store(keep.replacing(with: Floats.zero, where: (a & low) .< limit), target)
      store(keep.replacing(with: Floats.zero, where: (a &>> high) .< limit), target + 16)
      store(keep.replacing(with: Floats.zero, where: (b & low) .< limit), target + 32)
      store(keep.replacing(with: Floats.zero, where: (b &>> high) .< limit), target + 48)
    }
  }

  /// Calls `body(row, factors)` for rows of one sample; without dropout all factors are 1.
  @inline(__always)
  func forEachRow(
    _ rows: Int, columns: Int, sample: Int, firstRow: Int = 0,
    _ body: (_ row: Int, _ factors: UnsafeMutablePointer<Float>) -> Void
  ) {
    func forEachRow(_ factors: UnsafeMutablePointer<Float>) {
      for r in 0..<rows {
        if isActive { fillFactors(factors, columns: columns, sample: sample, row: firstRow &+ r) }
        body(r, factors)
      }
    }
    if columns <= 16 * Self.vectorsOnStack {
      var factors = InlineArray<64, Floats>(repeating: Floats(1))
      withUnsafeMutableBytes(of: &factors) {
        forEachRow($0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Float.self))
      }
    } else {
      let factors = UnsafeMutablePointer<Float>.allocate(capacity: (columns + 63) / 64 * 64)
      defer { factors.deallocate() }
      factors.initialize(repeating: 1, count: (columns + 63) / 64 * 64)
      forEachRow(factors)
    }
  }

  /// The factors of a row of up to 1024 elements need no memory from the heap.
  private static let vectorsOnStack = 64

  /// y ← x · mask / (1 − p) for consecutive rows of one sample; x and y may be the same.
  package func apply(_ x: Matrix, into y: Matrix, sample: Int, firstRow: Int = 0) {
    forEachRow(x.rows, columns: x.columns, sample: sample, firstRow: firstRow) { r, factors in
      let (source, target) = (x.row(r), y.row(r))
      forEachVector(x.columns) { i, lanes in
        store(load(source + i, lanes: lanes) * load(factors + i), target + i, lanes: lanes)
      }
    }
  }
}
