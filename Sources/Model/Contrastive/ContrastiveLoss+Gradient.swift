import Tensor

// The second pass.
extension ContrastiveLoss {
  /// d [rows, P] ← weight · d loss/d f for some live rows.
  func backward(_ own: Range<Int>, weight: Float, worker: Int, scratch: Matrix, into d: Matrix) {
    let P = live.columns
    let scale = weight / (Float(max(anchorCount, 1)) * temperature)
    d.fill(0)
    forEachTile(own, 0..<(anchors == .all ? rowCount : live.rows), scratch) { rows, columns, tile in
      ContrastiveTile.weigh(
        tile, temperature: temperature, rowFactors: anchorFactors + rows.lowerBound,
        columnFactors: anchorFactors + columns.rows.lowerBound)
      MatrixProduct.multiply(
        tile, by: columns.asInner, into: d.rows(rows.lowerBound - own.lowerBound..<rows.upperBound - own.lowerBound),
        .add)
    }
    Tensor.scale(d, by: scale)
    let sums = classSums[worker]
    for i in own {
      let target = d.row(i - own.lowerBound)
      if anchors == .batch, queue.capacity > 0 {
        add(queuePull.row(i), scale: scale * anchorFactors[i], to: target, count: P)
      }
      let k = Int(liveClasses[i])
      let positives = sums.all[k, P] - 1
      if positives <= 0 { continue }
      let factor = scale / positives
      let others = anchors == .all ? sums.all : sums.live
      add(sums.all.row(k), scale: -factor, to: target, count: P)
      add(others.row(k), scale: -factor, to: target, count: P)
      add(row(i), scale: 2 * factor, to: target, count: P)
    }
  }
}
