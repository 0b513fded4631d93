import Parallel
import Tensor

/// Supervised contrastive loss of the live rows f [N, P] against themselves and the queue [Q, P].
///
/// With x_ij = f_i · f_j / τ, Z_i = Σ_{j≠i} e^{x_ij}, and P(i) the other rows of i's class, n_i of them,
///
///     loss = −1/n Σ_i a_i [ 1/n_i Σ_{j∈P(i)} x_ij − ln Z_i ],    a_i = 1 where n_i > 0, else 0,
///
/// over the n anchors i: live and present queue rows, or live rows only. The positives' part needs only each class's
/// sum of rows, so no tile knows of classes. For a live row k,
///
///     d loss/d f_k = 1/(nτ) [ Σ_{j≠k} e^{x_kj} (a_k/Z_k + a_j/Z_j) f_j − (positives' class sums)/n_k ].
///
/// Two passes over tiles of similarities, none of which is stored: `addStatistics` gives the parts of all Z, every
/// pair of anchors once, by symmetry; after a barrier `finishStatistics` gives a/Z and each anchor's loss; after
/// another, `backward` gives the gradient of a worker's own rows. Where queue rows are no anchors, what they pull
/// (Σ_j e^{x_kj} f_j over the queue) is summed in the first pass, so that the second needs live rows only. Sums go
/// block by block into fixed places, so no result depends on who computes which block.
package final class ContrastiveLoss: @unchecked Sendable {
  // Proof of Sendable: addresses, and counts that one worker sets in a phase and others read after its barrier; each row and
  // item has one writer a phase.

  let live: Matrix
  let liveClasses: UnsafeMutablePointer<Int32>
  let queue: EmbeddingQueue
  let temperature: Float
  let anchors: ModelConfiguration.Anchors
  let classCount: Int

  // Rows are numbered through: live rows, then queue rows.

  /// Consecutive rows, all live or all of the queue, by which class sums are added.
  let blocks: [Range<Int>]
  /// The blocks cut into the columns of tiles.
  let columns: [Columns]
  /// The work of the first pass.
  let items: [Item]
  let totalCost: Int
  /// [slots, rows that can be anchors]: parts of Z.
  let partialSums: Matrix
  /// Σ_j e_kj f_j over the queue, [N, P], where queue rows are no anchors; otherwise no rows.
  let queuePull: Matrix
  /// [blocks, classes · (P + 1)]: a block's sum of rows and number of rows, by class.
  let classPartials: Matrix
  /// a_j/Z_j e^{-1/τ}: the factor of column j in the gradient; 0 for rows that are no anchors.
  let anchorFactors: UnsafeMutablePointer<Float>
  /// A row's loss −(1/n_i Σ x_ij − ln Z_i), 0 for rows that are no anchors.
  let rowLosses: UnsafeMutablePointer<Float>
  /// For each worker: [classes, P + 1] of all rows and of live rows.
  let classSums: [(all: Matrix, live: Matrix)]
  /// Number of anchors n.
  var anchorCount = 0

  /// Similarities between some rows and some columns, and where their sums go.
  struct Item {
    let rows: Range<Int>
    let columns: Range<Int>
    /// Where the rows' parts of Z go.
    let rowSlot: Int
    /// Where the columns' parts go: an item off the diagonal serves both sides.
    var columnSlot: Int?
    /// Whether to sum what the columns pull.
    var pulls = false
    var cost: Int { rows.count * columns.count }
  }

  /// Rows that are the columns of tiles, packed for both products of theirs by `pack`.
  struct Columns {
    let rows: Range<Int>
    /// [P, n]: of similarities.
    let transposed: PackedMatrix
    /// [n, P]: of the sum of rows that a tile weighs.
    let asInner: PackedMatrix
  }

  /// Whole tiles of the kernel.
  package static let tileRows = 120
  package static let tileColumns = 512
  /// Floats of the scratch slot that a worker lends for one tile.
  package static let scratchCapacity = tileRows * tileColumns
  /// Partial sums of all anchors stay below this; where they would not, pairs are computed from both sides.
  static let largestPartialSums = 4 << 20

  var rowCount: Int { live.rows + queue.capacity }

  init(
    _ c: ModelConfiguration, live: Matrix, liveClasses: UnsafeMutablePointer<Int32>, queue: EmbeddingQueue,
    workers: Int, in arena: Arena
  ) throws {
    self.live = live
    self.liveClasses = liveClasses
    self.queue = queue
    temperature = c.temperature
    anchors = c.anchors
    classCount = c.contrastiveClasses
    let (N, total) = (live.rows, live.rows + queue.capacity)
    // At least 256 rows a block, and at most 48 or so: pairs of them are dealt to workers, and each has a slot of sums.
    let blockRows = max(256, roundedUp((total + 47) / 48, to: 64))
    let (liveBlocks, queueBlocks) = (cut(0..<N, by: blockRows), cut(N..<total, by: blockRows))
    blocks = liveBlocks + queueBlocks
    columns = try blocks.flatMap { cut($0, by: Self.tileColumns) }.map { rows in
      let (n, P) = (rows.count, c.latentSize)
      return Columns(
        rows: rows,
        transposed: PackedMatrix(
          try arena.allocate(PackedMatrix.capacity(inner: P, columns: n)), inner: P, columns: n),
        asInner: PackedMatrix(try arena.allocate(PackedMatrix.capacity(inner: n, columns: P)), inner: n, columns: P))
    }
    let slots: Int
    if c.anchors == .batch {
      slots = liveBlocks.count + 1
      items =
        Self.pairs(liveBlocks)
        + (queue.capacity == 0
          ? [] : cut(0..<N, by: 64).map { Item(rows: $0, columns: N..<total, rowSlot: slots - 1, pulls: true) })
    } else if blocks.count * total <= Self.largestPartialSums {
      slots = blocks.count
      items = Self.pairs(blocks)
    } else {
      slots = 2
      items = (cut(0..<N, by: 256) + cut(N..<total, by: 256)).flatMap {
        [Item(rows: $0, columns: 0..<N, rowSlot: 0), Item(rows: $0, columns: N..<total, rowSlot: 1)]
      }
    }
    totalCost = items.reduce(0) { $0 + $1.cost }
    partialSums = try arena.matrix(rows: slots, columns: c.anchors == .all ? total : N)
    queuePull = try arena.matrix(rows: c.anchors == .batch ? N : 0, columns: c.latentSize)
    classPartials = try arena.matrix(rows: blocks.count, columns: c.contrastiveClasses * (c.latentSize + 1))
    anchorFactors = try arena.allocate(total)
    rowLosses = try arena.allocate(total)
    classSums = try (0..<workers).map { _ in
      (
        all: try arena.matrix(rows: c.contrastiveClasses, columns: c.latentSize + 1),
        live: try arena.matrix(rows: c.contrastiveClasses, columns: c.latentSize + 1)
      )
    }
  }

  /// Every pair of blocks once; those off the diagonal serve both sides.
  private static func pairs(_ blocks: [Range<Int>]) -> [Item] {
    blocks.indices.flatMap { i in
      blocks.indices[i...].map { j in
        Item(rows: blocks[i], columns: blocks[j], rowSlot: j, columnSlot: i == j ? nil : i)
      }
    }
  }

  func row(_ i: Int) -> UnsafeMutablePointer<Float> {
    i < live.rows ? live.row(i) : queue.rows.row(i - live.rows)
  }

  /// Rows that are all live or all of the queue.
  func rows(_ range: Range<Int>) -> Matrix {
    let N = live.rows
    return range.lowerBound < N ? live.rows(range) : queue.rows.rows(range.lowerBound - N..<range.upperBound - N)
  }

  /// The class of a row, −1 for an empty one.
  func rowClass(_ i: Int) -> Int { Int(i < live.rows ? liveClasses[i] : queue.classes[i - live.rows]) }

  /// Packs one part of several of all rows, once live rows and queue are as this step's tiles need them.
  func pack(part: Int, parts: Int) {
    for columns in columns(part: part, parts: parts) {
      columns.transposed.fill(fromTransposed: rows(columns.rows))
      columns.asInner.fill(from: rows(columns.rows))
    }
  }

  /// What `pack` fills.
  func columns(part: Int, parts: Int) -> ArraySlice<Columns> {
    columns[slice(of: columns.count, part: part, parts: parts, alignment: 1)]
  }

  /// Calls `body` with each tile of similarities x between some rows and some whole blocks, rows fastest; pairs that take
  /// no part are excluded.
  func forEachTile(
    _ a: Range<Int>, _ b: Range<Int>, _ scratch: Matrix, _ body: (_ rows: Range<Int>, Columns, _ tile: Matrix) -> Void
  ) {
    for columns in columns where columns.rows.lowerBound >= b.lowerBound && columns.rows.lowerBound < b.upperBound {
      let c = columns.rows
      for r in stride(from: a.lowerBound, to: a.upperBound, by: Self.tileRows) {
        let rowRange = r..<min(r + Self.tileRows, a.upperBound)
        let tile = Matrix(scratch.base, rows: rowRange.count, columns: c.count)
        MatrixProduct.multiply(rows(rowRange), by: columns.transposed, into: tile)
        for i in rowRange.clamped(to: c) { tile[i - r, i - c.lowerBound] = ContrastiveTile.excluded }
        if r >= live.rows {
          for i in rowRange where rowClass(i) < 0 { tile.rows(i - r..<i - r + 1).fill(ContrastiveTile.excluded) }
        }
        if c.lowerBound >= live.rows {
          for (j, i) in c.enumerated() where rowClass(i) < 0 {
            tile.columns(j..<j + 1).fill(ContrastiveTile.excluded)
          }
        }
        body(rowRange, columns, tile)
      }
    }
  }
}

/// A range in parts of `count`, the last one perhaps shorter.
private func cut(_ range: Range<Int>, by count: Int) -> [Range<Int>] {
  stride(from: range.lowerBound, to: range.upperBound, by: count).map { $0..<min($0 + count, range.upperBound) }
}
