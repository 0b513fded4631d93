import Parallel
import Tensor

/// The ring of past live rows that the contrastive loss also compares with, shared by all workers.
final class EmbeddingQueue: @unchecked Sendable {
  // Proof of Sendable: read within a step; rows are written in its last phase, each by one worker, and the pointer moves between
  // steps.

  /// [Q, P], unit rows.
  let rows: Matrix
  /// [Q]: a row's class, or −1 where the row is empty and takes no part.
  let classes: UnsafeMutablePointer<Int32>
  /// Where the next row goes.
  private(set) var pointer = 0

  var capacity: Int { rows.rows }

  init(_ c: ModelConfiguration, in arena: Arena) throws {
    rows = try arena.matrix(rows: c.queueSize, columns: c.latentSize)
    classes = try arena.allocate(of: Int32.self, count: c.queueSize)
    classes.update(repeating: -1, count: c.queueSize)
  }

  /// Writes one worker's share of `live` [N, P] behind the pointer, in order; of more rows than fit, the newest.
  func enqueue(_ live: Matrix, _ liveClasses: UnsafePointer<Int32>, part: Int, parts: Int) {
    forEachPlace(live.rows, part: part, parts: parts) { k, target in
      rows.row(target).update(from: live.row(k), count: rows.columns)
      classes[target] = liveClasses[k]
    }
  }

  /// Calls `body` with what `enqueue` wrote of so many live rows, before `advance`.
  func forEachWritten(_ liveRows: Int, part: Int, parts: Int, _ body: (Matrix) -> Void) {
    forEachPlace(liveRows, part: part, parts: parts) { _, target in body(rows.rows(target..<target + 1)) }
  }

  private func forEachPlace(_ liveRows: Int, part: Int, parts: Int, _ body: (_ live: Int, _ place: Int) -> Void) {
    let kept = min(liveRows, capacity)
    for i in slice(of: kept, part: part, parts: parts, alignment: 1) {
      let k = liveRows - kept + i
      body(k, (pointer + k) % capacity)
    }
  }

  /// Moves the pointer past `count` rows, after all shares are written.
  func advance(by count: Int) {
    if capacity > 0 { pointer = (pointer + count) % capacity }
  }

  /// Puts the pointer where a checkpoint or a golden file says.
  func restore(pointer: Int) {
    precondition(pointer >= 0 && pointer < max(capacity, 1), "queue pointer \(pointer) of \(capacity)")
    self.pointer = pointer
  }
}
