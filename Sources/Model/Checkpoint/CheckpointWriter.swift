import Dispatch
import Files
import Foundation
import Synchronization

/// Writes files of tensors in the background, one after another.
final class CheckpointWriter: Sendable {
  private let queue = DispatchQueue(label: "carat.checkpoint", qos: .utility)
  private let waiting = Atomic<Int>(0)
  private let failure = Mutex<DataError?>(nil)

  /// Whether a file is still being written.
  var isBusy: Bool { waiting.load(ordering: .acquiring) > 0 }

  /// Starts to write a file of tensors with their checksums. Snapshots that they are of must not be taken anew until `wait`
  /// returns or `isBusy` is false.
  ///
  /// - Parameters:
  ///   - tensors: holds what they are of.
  ///   - before: logs whose records have to be on disk before the file is.
  ///   - after: is called once the file is in place and on disk.
  func write(
    _ tensors: @escaping @Sendable () -> [TensorSource], metadata: [String: String], to path: String,
    before: [AppendedFile] = [],
    after: @escaping @Sendable () throws(DataError) -> Void = {}
  ) {
    waiting.add(1, ordering: .relaxed)
    queue.async { [self] in
      do throws(DataError) {
        for log in before { try log.sync() }
        try Checksums.write(tensors(), metadata: metadata, to: path)
        try after()
      } catch {
        failure.withLock { $0 = $0 ?? error }
      }
      waiting.subtract(1, ordering: .releasing)
    }
  }

  /// - Throws: what went wrong in the background, once.
  func check() throws(DataError) {
    if let error = failure.withLock({
      let error = $0; $0 = nil; return error
    }) {
      throw error
    }
  }

  /// Waits until all is written.
  ///
  /// - Throws: what went wrong in the background, once.
  func wait() throws(DataError) {
    queue.sync {}
    try check()
  }
}
