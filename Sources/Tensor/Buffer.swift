/// Owns contiguous float32 memory, zeroed and aligned to a cache line (64 bytes), and frees it.
package struct Buffer: ~Copyable, @unchecked Sendable {
  // Proof of Sendable: it has one owner, and gives out views, which are addresses as any `Matrix`.

  package let base: UnsafeMutablePointer<Float>
  package let count: Int

  package init(count: Int) {
    precondition(count >= 0, "buffer of \(count) floats")
    let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: 64)
    base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
    base.initialize(repeating: 0, count: count)
    self.count = count
  }

  deinit { base.deallocate() }

  /// A view as rows × columns; it must not outlive the buffer.
  package func matrix(rows: Int, columns: Int) -> Matrix {
    precondition(rows * columns <= count, "\(rows) × \(columns) in a buffer of \(count)")
    return Matrix(base, rows: rows, columns: columns)
  }
}
