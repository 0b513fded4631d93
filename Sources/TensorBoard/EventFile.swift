import Files
import Foundation
internal import SwiftProtobuf
import Tensor

/// One event file of TensorBoard, which a process appends to.
///
/// Events are buffered; they are in the file after `flush`, or after 10 seconds if others follow.
package final class EventFile: SyncedLog {
  let path: String
  private let descriptor: Int32
  private var buffer = Data()
  private var flushed = ContinuousClock.now
  /// Bytes of the file, those in the buffer included.
  private(set) var length = 0

  static let namePrefix = "events.out.tfevents."
  private static let bufferSize = 1 << 16

  /// Makes a file that is not there.
  ///
  /// - Parameter restart: the step from which on a reader is to forget what it read in other files; nil to forget nothing.
  init(_ path: String, restart: Int?) throws(DataError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(.creation, "to create it for events") }
    try DurableFile.syncDirectory(of: path)
    try append(.fileVersion("brain.Event:2"), step: 0)
    if let restart { try append(.sessionLog(.with { $0.status = .start }), step: restart) }
  }

  deinit {
    // Only a run that ends by an error has not flushed.
    try? flush()
    close(descriptor)
  }

  func append(_ values: [EventValue], step: Int) throws(DataError) {
    try append(.summary(.with { $0.value = values.map(\.message) }), step: step)
  }

  private func append(_ content: Tensorboard_Event.OneOf_What, step: Int) throws(DataError) {
    let event = Tensorboard_Event.with {
      $0.wallTime = Date().timeIntervalSince1970
      $0.step = Int64(step)
      $0.what = content
    }
    let bytes: Data
    do {
      bytes = try event.serializedData()
    } catch {
      // More than 2 GiB in one event.
      throw DataError(
        .writing, file: path, expected: "an event that a record can hold", found: "\(error)", remedy: "report this")
    }
    let record = RecordFraming.record(bytes)
    buffer += record
    length += record.count
    if buffer.count >= Self.bufferSize || ContinuousClock.now - flushed >= .seconds(10) { try flush() }
  }

  /// Gives all events to the system.
  func flush() throws(DataError) {
    flushed = .now
    // What was written in part is not written again.
    defer { buffer.removeAll(keepingCapacity: true) }
    guard buffer.withUnsafeBytes({ writeAll($0, to: descriptor) }) else { throw failure(.writing, "to write events") }
  }

  /// Puts all flushed events on disk.
  package func sync() throws(DataError) {
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure(.writing, "to sync it") }
  }

  private func failure(_ kind: DataError.Kind, _ expected: String) -> DataError {
    DataError(
      kind, file: path, expected: expected, found: MappedFile.systemError(),
      remedy: "free space or choose another --output")
  }
}
