import Parallel
import Tensor

/// A worker's short-lived matrices: a few slots that every layer reuses, large enough for the largest.
///
/// A function names the slots that it uses; what lies in a slot does not outlive the call.
struct Scratch: Sendable {
  private let slots: [Matrix]

  /// - Parameter capacities: floats of each slot.
  init(capacities: [Int], in arena: Arena) throws {
    slots = try capacities.map { try arena.matrix(rows: 1, columns: $0) }
  }

  private init(slots: [Matrix]) { self.slots = slots }

  func matrix(_ slot: Int, rows: Int, columns: Int) -> Matrix {
    precondition(
      rows * columns <= slots[slot].columns, "\(rows) × \(columns) in a slot of \(slots[slot].columns) floats")
    return Matrix(slots[slot].base, rows: rows, columns: columns)
  }

  /// The slots from `first` on, for a callee that numbers its own from 0.
  func from(_ first: Int) -> Scratch { Scratch(slots: Array(slots[first...])) }
}
