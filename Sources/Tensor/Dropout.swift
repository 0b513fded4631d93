/// Dropout at one site of the model and one step: which elements stay, as a function of (key, sample, row,
/// column) alone. Nothing is stored; backward draws the same mask again.
///
/// A decision compares 16 random bits with the probability, so one Threefry block decides 64 elements of a row.
public struct Dropout: Sendable {
  @usableFromInline let key: RandomKey
  /// An element is dropped where its 16 random bits are below this.
  @usableFromInline let threshold: UInt32
  /// What stays is multiplied by 1 / (1 − p).
  public let scale: Float

  /// - Parameter probability: 0 ≤ p < 1, rounded to a multiple of 2^-16.
  public init(probability: Float, key: RandomKey) {
    precondition(probability >= 0 && probability < 1, "dropout probability \(probability)")
    self.key = key
    threshold = UInt32((probability * 65536).rounded())
    scale = 65536 / (65536 - Float(threshold))
  }

  /// No dropout: evaluation, and replays.
  public static let none = Dropout(probability: 0, key: RandomKey(low: 0, high: 0))

  @inlinable public var isActive: Bool { threshold > 0 }

  /// Random bits for 64 columns from column 64 · block of a row, as four lots of sixteen factors (0 or `scale`).
  @inline(__always)
  func factors(sample: UInt32, row: Int, blocksPerRow: Int, block: Int) -> (Floats, Floats, Floats, Floats) {
    let first = UInt32(truncatingIfNeeded: (row &* blocksPerRow &+ block) &* 16)
    let counter = Words(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) &+ Words(repeating: first)
    let (a, b) = threefry(key, Words(repeating: sample), counter)
    let low = Words(repeating: 0xFFFF)
    let limit = Words(repeating: threshold)
    let keep = Floats(scale)
    return (
      keep.replacing(with: Floats.zero, where: (a & low) .< limit),
      keep.replacing(with: Floats.zero, where: (a &>> Words(repeating: 16)) .< limit),
      keep.replacing(with: Floats.zero, where: (b & low) .< limit),
      keep.replacing(with: Floats.zero, where: (b &>> Words(repeating: 16)) .< limit)
    )
  }

  /// Calls `body(offset, lanes, factor)` over a row of `count` columns, sixteen at a time.
  ///
  /// - Parameters:
  ///   - sample: the sample's position in the whole batch.
  ///   - row: the row's number within the sample at this site.
  @inline(__always)
  func forEachVector(
    _ count: Int, sample: UInt32, row: Int, _ body: (_ offset: Int, _ lanes: Int, _ factor: Floats) -> Void
  ) {
    let blocks = (count &+ 63) / 64
    var block = 0
    while block &* 64 &+ 64 <= count {
      let f = factors(sample: sample, row: row, blocksPerRow: blocks, block: block)
      body(block &* 64, 16, f.0)
      body(block &* 64 &+ 16, 16, f.1)
      body(block &* 64 &+ 32, 16, f.2)
      body(block &* 64 &+ 48, 16, f.3)
      block &+= 1
    }
    if block < blocks {
      let f = factors(sample: sample, row: row, blocksPerRow: blocks, block: block)
      var offset = block &* 64
      var part = 0
      while offset < count {
        let factor = part == 0 ? f.0 : part == 1 ? f.1 : part == 2 ? f.2 : f.3
        body(offset, min(16, count &- offset), factor)
        offset &+= 16
        part &+= 1
      }
    }
  }

  /// y ← x · mask / (1 − p) for consecutive rows of one sample; x and y may be the same.
  public func apply(_ x: Matrix, into y: Matrix, sample: Int, firstRow: Int = 0) {
    for r in 0..<x.rows {
      let (source, target) = (x.row(r), y.row(r))
      if isActive {
        forEachVector(x.columns, sample: UInt32(sample), row: firstRow + r) { i, lanes, factor in
          store(load(source + i, lanes: lanes) * factor, target + i, lanes: lanes)
        }
      } else if source != target {
        target.update(from: source, count: x.columns)
      }
    }
  }
}
