import Logging
import Synchronization
import Tensor

/// Log messages for a person, one line each on the standard error: warnings and notices, and with --verbose what else is
/// told.
struct LogLines: LogHandler {
  static let isVerbose = Atomic<Bool>(false)

  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level {
    get { Self.isVerbose.load(ordering: .relaxed) ? .info : .notice }
    // One level for all, which the command line sets.
    set {}
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let level = event.level <= .notice ? "" : "\(event.level): "
    StandardError.write(lines: "train: \(level)\(event.message)")
  }
}
