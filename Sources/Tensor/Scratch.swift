/// Memory for what lives no longer than a call: a stack.
///
/// It is passed by value, so what a callee takes is free again when it returns; who takes some for itself does so from a
/// copy of its own.
package struct Scratch: @unchecked Sendable {
  // Proof of Sendable: addresses, as `Matrix`; a worker has its own, and nobody else's.

  private var next: UnsafeMutablePointer<Float>
  private let end: UnsafeMutablePointer<Float>

  private static let alignment = 16

  /// - Parameter memory: as many floats as the deepest calls take together, rounded as `size` does; aligned to 64 bytes.
  package init(_ memory: Matrix) {
    next = memory.base
    end = memory.base + memory.count
  }

  /// What `count` floats take, from cache line to cache line.
  package static func size(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  /// What a contiguous matrix takes.
  package static func size(rows: Int, columns: Int) -> Int { size(rows * columns) }

  /// Takes a contiguous matrix, of whatever values are there.
  package mutating func matrix(rows: Int, columns: Int) -> Matrix {
    Matrix(floats(rows * columns), rows: rows, columns: columns)
  }

  /// Takes `count` floats, of whatever values are there.
  package mutating func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
    precondition(Self.size(count) <= end - next, "\(count) floats of scratch where \(end - next) are left")
    defer { next += Self.size(count) }
    return next
  }
}
