import Foundation
import Tensor

/// Which files are mapped where, for whoever has to say which one a bad address belongs to.
///
/// A table of fixed size that is read without locks or memory of its own, as a signal handler must. Entries are written
/// under a lock, the start last; of more files than fit the rest stay unnamed.
package enum MappedFiles {
  private struct Entry {
    var start: UInt = 0
    var end: UInt = 0
    var path: UnsafeMutablePointer<CChar>?
  }

  private static let capacity = 64
  nonisolated(unsafe) private static let entries: UnsafeMutablePointer<Entry> = {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
    entries.initialize(repeating: Entry(), count: capacity)
    return entries
  }()
  private static let lock = NSLock()

  static func add(_ bytes: UnsafeRawBufferPointer, path: String) {
    lock.withLock {
      guard let base = bytes.baseAddress, let free = (0..<capacity).first(where: { entries[$0].start == 0 }) else {
        return
      }
      // The path of an entry's former file is kept: a handler may be reading it.
      entries[free].path = strdup(oneLine(path))
      entries[free].end = UInt(bitPattern: base) + UInt(bytes.count)
      entries[free].start = UInt(bitPattern: base)
    }
  }

  static func remove(_ bytes: UnsafeRawBufferPointer) {
    lock.withLock {
      let start = UInt(bitPattern: bytes.baseAddress)
      for i in 0..<capacity where entries[i].start == start { entries[i].start = 0 }
    }
  }

  /// The path of the file that is mapped at an address, as a C string that can be shown; nil if none is.
  package static func path(at address: UnsafeMutableRawPointer) -> UnsafePointer<CChar>? {
    let address = UInt(bitPattern: address)
    for i in 0..<capacity where entries[i].start != 0 && entries[i].start <= address && address < entries[i].end {
      return UnsafePointer(entries[i].path)
    }
    return nil
  }
}
