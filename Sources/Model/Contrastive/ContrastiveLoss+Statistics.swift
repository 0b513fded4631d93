import Parallel
import Tensor

// The first pass, and what is done between the passes.
extension ContrastiveLoss {
  /// The items of one of all workers.
  func items(ofWorker worker: Int, workers: Int) -> Range<Int> {
    let share = slice(of: totalCost, part: worker, parts: workers, alignment: 1)
    var before = 0
    var (start, end) = (0, 0)
    for item in items {
      // An item belongs to the worker in whose share of the cost its middle lies.
      let middle = before + item.cost / 2
      if middle < share.lowerBound { start += 1 }
      if middle < share.upperBound { end += 1 }
      before += item.cost
    }
    return start..<end
  }

  /// One worker's share of the exponentials' sums over all pairs of rows.
  ///
  /// - Parameter worker: its number among all `workers`, those of other ranks included.
  func addStatistics(worker: Int, workers: Int, scratch: Matrix) {
    for i in items(ofWorker: worker, workers: workers) { add(items[i], scratch) }
  }

  /// One worker's share of the class sums.
  func sumClasses(worker: Int, workers: Int) {
    for b in slice(of: blocks.count, part: worker, parts: workers, alignment: 1) { sumClasses(b) }
  }

  /// Calls `body` with what a worker wrote of both.
  ///
  /// - Parameter local: its number among the workers of this rank.
  func forEachStatistic(worker: Int, workers: Int, local: Int, of count: Int, _ body: (Matrix) -> Void) {
    func row(_ slot: Int, _ range: Range<Int>) -> Matrix {
      Matrix(partialSums.row(slot) + range.lowerBound, rows: 1, columns: range.count)
    }
    for item in items[items(ofWorker: worker, workers: workers)] {
      body(row(item.rowSlot, item.rows))
      if let slot = item.columnSlot { body(row(slot, item.columns)) }
      if item.pulls { body(queuePull.rows(item.rows)) }
    }
    for b in slice(of: blocks.count, part: local, parts: count, alignment: 1) { body(classPartials.rows(b..<b + 1)) }
  }

  private func add(_ item: Item, _ scratch: Matrix) {
    let rowSums = partialSums.row(item.rowSlot)
    (rowSums + item.rows.lowerBound).update(repeating: 0, count: item.rows.count)
    if item.pulls {
      queuePull.rows(item.rows).fill(0)
      return forEachTile(item.rows, item.columns, scratch) { rows, columns, tile in
        ContrastiveTile.exponentiate(tile, temperature: temperature, addingTo: rowSums + rows.lowerBound)
        MatrixProduct.multiply(tile, by: columns.asInner, into: queuePull.rows(rows), .add)
      }
    }
    let columnSums = item.columnSlot.map { partialSums.row($0) }
    if let columnSums { (columnSums + item.columns.lowerBound).update(repeating: 0, count: item.columns.count) }
    forEachTile(item.rows, item.columns, scratch) { rows, columns, tile in
      ContrastiveTile.addExponentialSums(
        of: tile, temperature: temperature, rowSums: rowSums + rows.lowerBound,
        columnSums: columnSums.map { $0 + columns.rows.lowerBound })
    }
  }

  private func sumClasses(_ b: Int) {
    let P = live.columns
    let sums = Matrix(classPartials.row(b), rows: classCount, columns: P + 1)
    sums.fill(0)
    for i in blocks[b] {
      let k = rowClass(i)
      if k < 0 { continue }
      Tensor.add(row(i), to: sums.row(k), count: P)
      sums[k, P] += 1
    }
  }

  /// After all statistics: class sums for this worker, and a/Z and loss of its share of the rows.
  func finishStatistics(worker: Int, workers: Int) {
    let P = live.columns
    let sums = classSums[worker]
    sums.all.fill(0)
    for (b, block) in blocks.enumerated() {
      Tensor.add(Matrix(classPartials.row(b), rows: classCount, columns: P + 1), to: sums.all)
      if block.upperBound == live.rows { sums.live.copy(from: sums.all) }
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
      for slot in 0..<partialSums.rows { z += partialSums[slot, i] }
      anchorFactors[i] = 1 / z
      let f = row(i)
      let similarity = (dot(f, sums.all.row(k), count: P) - dot(f, f, count: P)) / temperature
      rowLosses[i] = logarithm(z) + 1 / temperature - similarity / positives
    }
  }

  /// The loss, once all rows are finished.
  var value: Double {
    var sum = 0.0
    for i in 0..<(anchors == .all ? rowCount : live.rows) { sum += Double(rowLosses[i]) }
    return sum / Double(max(anchorCount, 1))
  }
}
