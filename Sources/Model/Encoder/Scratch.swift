import Parallel
import Tensor

/// A worker's short-lived matrices: a few slots that every layer reuses, large enough for the largest.
///
/// A function names the slots that it uses; what lies in a slot does not outlive the call.
struct Scratch: Sendable {
  private let slots: [Matrix]
  /// Where a callee's slot 0 is.
  private let first: Int

  /// - Parameter capacities: floats of each slot.
  init(capacities: [Int], in arena: Arena) throws {
    slots = try capacities.map { try arena.matrix(rows: 1, columns: $0) }
    first = 0
  }

  private init(slots: [Matrix], first: Int) { (self.slots, self.first) = (slots, first) }

  func matrix(_ slot: Int, rows: Int, columns: Int) -> Matrix {
    let memory = slots[first + slot]
    precondition(rows * columns <= memory.columns, "\(rows) × \(columns) in a slot of \(memory.columns) floats")
    return Matrix(memory.base, rows: rows, columns: columns)
  }

  /// The slots from `first` on, for a callee that numbers its own from 0.
  func from(_ slot: Int) -> Scratch { Scratch(slots: slots, first: first + slot) }
}
