import Glibc

/// Memory that the system would not give.
package struct MemoryError: Error, Equatable, CustomStringConvertible {
  /// Bytes asked for; `Int.max` if their number does not fit an `Int`.
  package let bytes: Int
  package let placement: MemoryPlacement
  /// The system's error number.
  package let code: Int32

  package var description: String {
    let reason = String(cString: strerror(code))
    let mebibytes = bytes >> 20
    return """
      cannot map \(bytes) bytes (\(mebibytes) MiB) of memory \(placement): \(reason). Take a smaller batch, fewer \
      workers or a shorter queue, or raise the limit on this process's memory (ulimit -v, the container's or the job's).
      """
  }
}

/// Where memory is to lie.
package enum MemoryPlacement: Sendable, Hashable, CustomStringConvertible {
  /// On one NUMA node while it has room, then on its neighbours.
  case node(Int)
  /// Page by page over all the nodes the process may use.
  case interleaved
  /// Wherever the thread runs that first touches a page.
  case anywhere

  package var description: String {
    switch self {
    case .node(let node): "on node \(node)"
    case .interleaved: "interleaved over the nodes"
    case .anywhere: "anywhere"
    }
  }
}
