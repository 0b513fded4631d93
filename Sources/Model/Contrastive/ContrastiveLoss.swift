import Foundation
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
/// Two passes over tiles of similarities, none of which is stored: `addStatistics` (every pair once, by symmetry)
/// gives all Z; after a barrier `finishStatistics` gives a/Z and each anchor's loss; after another, `backward` gives
/// the gradient of a shard's own rows. Sums over rows go block by block in fixed places, so no result depends on
/// who computes which block.
final class ContrastiveLoss: @unchecked Sendable {
  let live: Matrix
  let liveClasses: UnsafeMutablePointer<Int32>
  let queue: EmbeddingQueue
  private let temperature: Float
  private let anchors: ModelConfiguration.Anchors
  private let classCount: Int

  /// Consecutive rows, all live or all of the queue.
  private struct Block {
    let rows: Range<Int>
    let isLive: Bool
  }
  /// Rows are numbered through: live rows, then queue rows.
  private let blocks: [Block]
  /// Pairs of blocks (i ≤ j) that statistics are summed over.
  private let pairs: [(Int, Int)]
  private let costs: [Int]
  /// [blocks, N + Q]: partial sums of Z, of a row over a block's columns.
  private let partialSums: Matrix
  /// [blocks, classes · (P + 1)]: a block's sum of rows and number of rows, by class.
  private let classPartials: Matrix
  /// a_j/Z_j e^{-1/τ}: the factor of column j in the gradient; 0 for rows that are no anchors.
  let anchorFactors: UnsafeMutablePointer<Float>
  /// A row's loss −(1/n_i Σ x_ij − ln Z_i), 0 for rows that are no anchors.
  let rowLosses: UnsafeMutablePointer<Float>
  /// For each worker: [classes, P + 1] of all rows and of live rows.
  private let classSums: [(all: Matrix, live: Matrix)]

  static let tileRows = 128
  static let tileColumns = 512
  /// Floats of the scratch slot that a worker lends for one tile.
  static let scratchCapacity = tileRows * tileColumns

  private var shift: Float { 1 / temperature }
  private var rowCount: Int { live.rows + queue.capacity }

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
    let total = live.rows + queue.capacity
    // Few enough blocks that their partial sums stay small beside long queues.
    let blockRows = max(256, roundedUp((total + 63) / 64, to: 64))
    func cut(_ range: Range<Int>, _ isLive: Bool) -> [Block] {
      stride(from: range.lowerBound, to: range.upperBound, by: blockRows).map {
        Block(rows: $0..<min($0 + blockRows, range.upperBound), isLive: isLive)
      }
    }
    let blocks = cut(0..<live.rows, true) + cut(live.rows..<total, false)
    self.blocks = blocks
    pairs = blocks.indices.flatMap { i in blocks.indices[i...].map { (i, $0) } }
      .filter { blocks[$0.0].isLive || c.anchors == .all }
    costs = pairs.map { blocks[$0.0].rows.count * blocks[$0.1].rows.count }
    partialSums = try arena.matrix(rows: blocks.count, columns: c.anchors == .all ? total : live.rows)
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

  private func row(_ i: Int) -> UnsafeMutablePointer<Float> {
    i < live.rows ? live.row(i) : queue.rows.row(i - live.rows)
  }

  private func rows(_ range: Range<Int>) -> Matrix {
    let N = live.rows
    return range.lowerBound < N ? live.rows(range) : queue.rows.rows(range.lowerBound - N..<range.upperBound - N)
  }

  /// The class of a row, −1 for an empty one.
  private func rowClass(_ i: Int) -> Int { Int(i < live.rows ? liveClasses[i] : queue.classes[i - live.rows]) }

  // MARK: Pass 1: statistics

  /// One worker's share of the exponentials' sums over all pairs of rows, and of the class sums.
  func addStatistics(worker: Int, workers: Int, scratch: Matrix) {
    let total = costs.reduce(0, +)
    let share = slice(of: total, part: worker, parts: workers, alignment: 1)
    var before = 0
    for (p, (i, j)) in pairs.enumerated() {
      // A pair belongs to the worker in whose share of the cost its middle lies.
      if share.contains(before + costs[p] / 2) { addPair(i, j, scratch) }
      before += costs[p]
    }
    for b in slice(of: blocks.count, part: worker, parts: workers, alignment: 1) { sumClasses(b) }
  }

  private func addPair(_ i: Int, _ j: Int, _ scratch: Matrix) {
    let (a, b) = (blocks[i].rows, blocks[j].rows)
    let symmetric = i != j && (anchors == .all || blocks[j].isLive)
    let rowSums = partialSums.row(j)
    let columnSums = symmetric ? partialSums.row(i) : nil
    (rowSums + a.lowerBound).update(repeating: 0, count: a.count)
    if let columnSums { (columnSums + b.lowerBound).update(repeating: 0, count: b.count) }
    forEachTile(a, b, scratch) { rows, columns, tile in
      ContrastiveTile.addExponentialSums(
        of: tile, shift: shift, rowSums: rowSums + rows.lowerBound,
        columnSums: columnSums.map { $0 + columns.lowerBound })
    }
  }

  /// Calls `body` with each tile of similarities x between two ranges of rows; pairs that take no part are excluded.
  private func forEachTile(
    _ a: Range<Int>, _ b: Range<Int>, _ scratch: Matrix,
    _ body: (_ rows: Range<Int>, _ columns: Range<Int>, _ tile: Matrix) -> Void
  ) {
    for r in stride(from: a.lowerBound, to: a.upperBound, by: Self.tileRows) {
      let rowRange = r..<min(r + Self.tileRows, a.upperBound)
      for c in stride(from: b.lowerBound, to: b.upperBound, by: Self.tileColumns) {
        let columnRange = c..<min(c + Self.tileColumns, b.upperBound)
        let tile = Matrix(scratch.base, rows: rowRange.count, columns: columnRange.count)
        MatrixProduct.multiply(
          rows(rowRange), byTransposed: rows(columnRange), into: tile, scale: 1 / temperature)
        for i in rowRange.clamped(to: columnRange) { tile[i - r, i - c] = ContrastiveTile.excluded }
        if rowRange.lowerBound >= live.rows {
          for i in rowRange where rowClass(i) < 0 { tile.rows(i - r..<i - r + 1).fill(ContrastiveTile.excluded) }
        }
        if columnRange.lowerBound >= live.rows {
          for j in columnRange where rowClass(j) < 0 { tile.columns(j - c..<j - c + 1).fill(ContrastiveTile.excluded) }
        }
        body(rowRange, columnRange, tile)
      }
    }
  }

  private func sumClasses(_ b: Int) {
    let P = live.columns
    let sums = Matrix(classPartials.row(b), rows: classCount, columns: P + 1)
    sums.fill(0)
    for i in blocks[b].rows {
      let k = rowClass(i)
      if k < 0 { continue }
      add(row(i), to: sums.row(k), count: P)
      sums[k, P] += 1
    }
  }

  // MARK: Between the passes

  /// Number of anchors n.
  private(set) var anchorCount = 0

  /// After all statistics: class sums for this worker, and a/Z and loss of its share of the rows.
  func finishStatistics(worker: Int, workers: Int) {
    let P = live.columns
    let sums = classSums[worker]
    sums.all.fill(0)
    for (b, block) in blocks.enumerated() {
      add(Matrix(classPartials.row(b), rows: classCount, columns: P + 1), to: sums.all)
      if block.rows.upperBound == live.rows { sums.live.copy(from: sums.all) }
    }
    if worker == 0 {
      let counted = anchors == .all ? sums.all : sums.live
      anchorCount = Int((0..<classCount).reduce(Float(0)) { $0 + counted[$1, P] })
    }
    for i in slice(of: rowCount, part: worker, parts: workers, alignment: 16) {
      let k = rowClass(i)
      let positives = k < 0 ? 0 : sums.all[k, P] - 1
      guard positives > 0, anchors == .all || i < live.rows else {
        anchorFactors[i] = 0
        rowLosses[i] = 0
        continue
      }
      var z: Float = 0
      for b in blocks.indices { z += partialSums[b, i] }
      anchorFactors[i] = 1 / z
      let f = row(i)
      let similarity = (dot(f, sums.all.row(k), count: P) - dot(f, f, count: P)) / temperature
      rowLosses[i] = logf(z) + shift - similarity / positives
    }
  }

  /// The loss, once all rows are finished.
  var value: Double {
    var sum = 0.0
    for i in 0..<rowCount { sum += Double(rowLosses[i]) }
    return sum / Double(max(anchorCount, 1))
  }

  // MARK: Pass 2: gradient

  /// d [rows, P] ← weight · d loss/d f for some live rows.
  func backward(_ own: Range<Int>, weight: Float, worker: Int, scratch: Matrix, into d: Matrix) {
    let P = live.columns
    d.fill(0)
    let scale = weight / (Float(max(anchorCount, 1)) * temperature)
    for block in blocks {
      forEachTile(own, block.rows, scratch) { rows, columns, tile in
        ContrastiveTile.weigh(
          tile, shift: shift, rowFactors: anchorFactors + rows.lowerBound,
          columnFactors: anchorFactors + columns.lowerBound)
        MatrixProduct.multiply(
          tile, by: self.rows(columns),
          into: d.rows(rows.lowerBound - own.lowerBound..<rows.upperBound - own.lowerBound), scale: scale, keep: 1)
      }
    }
    let sums = classSums[worker]
    for i in own {
      let k = Int(liveClasses[i])
      let positives = sums.all[k, P] - 1
      if positives <= 0 { continue }
      let (target, factor) = (d.row(i - own.lowerBound), scale / positives)
      let others = anchors == .all ? sums.all : sums.live
      add(sums.all.row(k), scale: -factor, to: target, count: P)
      add(others.row(k), scale: -factor, to: target, count: P)
      add(row(i), scale: 2 * factor, to: target, count: P)
    }
  }
}
