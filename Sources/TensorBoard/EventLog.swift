import Files

/// What one process writes into a folder of event files: a file a part, made when its first event comes.
package final class EventLog {
  private let folder: EventFolder
  private let host: String
  private let restarts: (EventFolder.Part) -> Int?
  private let before: [String: Int]
  private var files: [EventFolder.Part: EventFile] = [:]

  /// - Parameters:
  ///   - before: bytes of the files that are there, by name.
  ///   - host: the machine, for files' names.
  ///   - restarts: of a part, the step from which on a reader that has read more than is there now is to forget it; nil in a
  ///     new run.
  package init(
    _ folder: EventFolder, before: [String: Int], host: String, restarts: @escaping (EventFolder.Part) -> Int?
  ) {
    (self.folder, self.before, self.host, self.restarts) = (folder, before, host, restarts)
  }

  package func append(_ values: [EventValue], to part: EventFolder.Part, step: Int) throws(DataError) {
    try file(part).append(values, step: step)
  }

  private func file(_ part: EventFolder.Part) throws(DataError) -> EventFile {
    if let file = files[part] { return file }
    try folder.create(part)
    let file = try EventFile(folder.nextFile(of: part, host: host), restart: restarts(part))
    files[part] = file
    return file
  }

  /// Gives all events to the system.
  package func flush() throws(DataError) { for file in files.values { try file.flush() } }

  /// Bytes of each file but the settings', by its name below the folder, after `flush`.
  package var lengths: [String: Int] {
    files.reduce(into: before) { lengths, file in
      if file.key != .settings {
        lengths[String(file.value.file.path.dropFirst(folder.path.count + 1))] = file.value.length
      }
    }
  }

  /// What has to be on disk before a checkpoint with their lengths is.
  package var open: [AppendedFile] { files.values.map(\.file) }
}
