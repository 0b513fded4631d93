import Parallel
import Tensor

/// Gives every rank the contrastive statistics that the others computed: the items' parts of Z, and what the queue
/// pulls.
///
/// An item's sums lie in two rows of the table of partial sums, so they are packed into one run of floats, item by item,
/// of which each rank has one part. 1.4 MB at the paper's size, at most 16 MB.
final class StatisticsExchange: Sendable {
  private let loss: ContrastiveLoss
  private let rank: Int
  /// Each rank's items.
  private let parts: [Range<Int>]
  private let packed: Matrix
  /// Where each item's sums start, and where the last one's end.
  private let starts: [Int]
  let messages: Messages
  /// What all ranks together have to tell one another, if there are several.
  var bytes: Int { MemoryLayout<Float>.size * (starts[starts.count - 1] + loss.queuePull.count) }

  init(_ loss: ContrastiveLoss, ranks: Ranks, in arena: Arena) throws {
    self.loss = loss
    rank = ranks.rank
    let parts = ranks.parts { loss.items(ofWorker: $0, workers: ranks.workerCount) }
    self.parts = parts
    var starts = [0]
    for item in loss.items {
      starts.append(starts[starts.count - 1] + item.rows.count + (item.columnSlot == nil ? 0 : item.columns.count))
    }
    self.starts = starts
    packed = try arena.matrix(rows: 1, columns: ranks.size == 1 ? 0 : starts[starts.count - 1])
    var messages = Messages()
    messages.gather(packed.base, parts: parts.map { starts[$0.lowerBound]..<starts[$0.upperBound] }, rank: rank)
    let P = loss.queuePull.columns
    messages.gather(
      loss.queuePull.base,
      parts: parts.map { part in
        let rows = loss.items[part].filter(\.pulls).map(\.rows)
        return (rows.first?.lowerBound ?? 0) * P..<(rows.last?.upperBound ?? 0) * P
      }, rank: rank)
    self.messages = messages
  }

  /// Before the exchange: this rank's items.
  func pack() {
    for i in parts[rank] {
      forEachRun(of: i) { table, packed, count in packed.update(from: table, count: count) }
    }
  }

  /// After it: all others.
  func unpack() {
    for part in [0..<parts[rank].lowerBound, parts[rank].upperBound..<loss.items.count] {
      for i in part {
        forEachRun(of: i) { table, packed, count in table.update(from: packed, count: count) }
      }
    }
  }

  private func forEachRun(
    of i: Int, _ body: (_ table: UnsafeMutablePointer<Float>, _ packed: UnsafeMutablePointer<Float>, Int) -> Void
  ) {
    let item = loss.items[i]
    body(loss.partialSums.row(item.rowSlot) + item.rows.lowerBound, packed.base + starts[i], item.rows.count)
    if let slot = item.columnSlot {
      body(
        loss.partialSums.row(slot) + item.columns.lowerBound, packed.base + starts[i] + item.rows.count,
        item.columns.count)
    }
  }
}
