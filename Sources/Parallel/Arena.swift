import Glibc
import Synchronization
import Tensor

/// Owns memory of one NUMA placement: handed out piece by piece at start-up, freed all at once.
///
/// What it hands out is zeroed, aligned to a cache line (64 bytes) and valid as long as the arena lives. Pages get
/// their place at first touch, by the policy: where that says `anywhere`, by the thread that writes first.
package final class Arena: Sendable {
  package let placement: MemoryPlacement

  private struct Chunks {
    var all: [UnsafeMutableRawBufferPointer] = []
    /// What is left of chunks.
    var free: [Range<UInt>] = []
    var handedOut = 0
  }

  /// Start-up is single-threaded; the lock makes a slip harmless at no cost that matters.
  private let chunks = Mutex(Chunks())

  static let chunkBytes = 4 << 20
  static let alignment = 64

  package init(placement: MemoryPlacement) { self.placement = placement }

  deinit {
    chunks.withLock { for chunk in $0.all { NUMA.free(chunk) } }
  }

  /// Bytes handed out, with what alignment costs.
  package var bytes: Int { chunks.withLock(\.handedOut) }

  /// Bytes mapped from the system.
  package var mappedBytes: Int { chunks.withLock { $0.all.reduce(0) { $0 + $1.count } } }

  /// How many pages lie where; of every `stride`-th page.
  package func pages(every stride: Int = 1) -> [NUMA.PageLocation: Int] {
    chunks.withLock { chunks in
      var counts: [NUMA.PageLocation: Int] = [:]
      for chunk in chunks.all {
        for location in NUMA.pageNodes(of: UnsafeRawBufferPointer(chunk), every: stride) {
          counts[location, default: 0] += 1
        }
      }
      return counts
    }
  }

  /// The pages that interleaving may put on one node above an even share: it deals out whole pages, huge ones
  /// where they are, and starts anew with each chunk.
  var unevenPages: Int {
    chunks.withLock { chunks in
      chunks.all.reduce(0) { sum, chunk in
        let isHuge = NUMA.wantsHugePages(bytes: chunk.count, placement: placement)
        return sum + (isHuge ? NUMA.hugePageBytes / NUMA.pageBytes : 4)
      }
    }
  }

  /// `count` floats, all 0.
  package func allocate(_ count: Int) throws(MemoryError) -> UnsafeMutablePointer<Float> {
    try allocate(of: Float.self, count: count)
  }

  /// A contiguous matrix, all 0.
  package func matrix(rows: Int, columns: Int) throws(MemoryError) -> Matrix {
    precondition(rows >= 0 && columns >= 0, "matrix of \(rows) × \(columns)")
    let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
    return Matrix(try allocate(overflow ? Int.max : count), rows: rows, columns: columns)
  }

  /// `count` values whose bytes are all 0, which must be a value of their type.
  package func allocate<T: BitwiseCopyable>(
    of type: T.Type, count: Int
  ) throws(MemoryError) -> UnsafeMutablePointer<T> {
    precondition(count >= 0, "\(count) values of \(T.self)")
    precondition(MemoryLayout<T>.alignment <= Self.alignment, "\(T.self) is aligned to \(MemoryLayout<T>.alignment)")
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    guard !overflow, bytes <= Int.max - Self.chunkBytes else {
      throw MemoryError(bytes: .max, placement: placement, code: ENOMEM)
    }
    let size = max(bytes + Self.alignment - 1, Self.alignment) & ~(Self.alignment - 1)
    let address = try chunks.withLock { (chunks: inout Chunks) throws(MemoryError) in
      try cut(size, from: &chunks)
    }
    guard let raw = UnsafeMutableRawPointer(bitPattern: address) else {
      throw MemoryError(bytes: bytes, placement: placement, code: ENOMEM)
    }
    return raw.bindMemory(to: T.self, capacity: count)
  }

  private func cut(_ size: Int, from chunks: inout Chunks) throws(MemoryError) -> UInt {
    // The smallest that is large enough.
    let fitting = chunks.free.indices.filter { chunks.free[$0].count >= size }
    if let i = fitting.min(by: { chunks.free[$0].count < chunks.free[$1].count }) {
      let address = chunks.free[i].lowerBound
      chunks.free[i] = address + UInt(size)..<chunks.free[i].upperBound
      if chunks.free[i].isEmpty { chunks.free.remove(at: i) }
      chunks.handedOut += size
      return address
    }
    let chunk = try NUMA.allocate(bytes: max(size, Self.chunkBytes), placement: placement)
    chunks.all.append(chunk)
    let address = UInt(bitPattern: chunk.baseAddress)
    if size < chunk.count { chunks.free.append(address + UInt(size)..<address + UInt(chunk.count)) }
    chunks.handedOut += size
    return address
  }
}
