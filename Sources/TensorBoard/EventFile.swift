import Files
import Foundation
internal import SwiftProtobuf
import Tensor

/// One event file of TensorBoard, which a process appends to.
///
/// Events are buffered; they are in the file after `flush`, or after 10 seconds if others follow.
package final class EventFile {
  let file: AppendedFile
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
    file = try AppendedFile(path, isNew: true, for: "events")
    try DurableFile.syncDirectory(of: path)
    try append(.fileVersion("brain.Event:2"), step: 0)
    if let restart { try append(.sessionLog(.with { $0.status = .start }), step: restart) }
  }

  deinit {
    // Only a run that ends by an error has not flushed.
    try? flush()
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
        .writing, file: file.path, expected: "an event that a record can hold", found: "\(error)", remedy: "report this"
      )
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
    try file.append(buffer, "events")
  }
}
