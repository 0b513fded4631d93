import Files
import Foundation
import Logging
import TensorBoard

/// The files of a run.
package struct RunDirectory: Sendable {
  package let path: String

  package init(_ path: String) { self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path }

  /// All settings, as JSON.
  package var configuration: String { path + "/config.json" }
  /// One JSON object a step and one an evaluation.
  package var metrics: String { path + "/metrics.jsonl" }
  /// The weights of the best epoch under their PyTorch names, safetensors.
  package var best: String { path + "/best.safetensors" }
  /// What a finished run came to, as JSON.
  package var result: String { path + "/result.json" }
  /// The newest checkpoints.
  package var checkpoints: CheckpointFolder { CheckpointFolder(path + "/checkpoints") }
  /// Digests of each step, one JSON object a step, if the run was asked for them.
  package var digests: String { path + "/digests.jsonl" }
  /// Event files for TensorBoard, if the run was asked for them.
  package var events: EventFolder { EventFolder(path + "/tensorboard") }
  /// Where a run without a data set of its own generates one.
  package var generatedData: String { path + "/data" }

  /// Whether a file is there that is a data set's or a run's by its name: samples, weights, a checkpoint, or what else a
  /// run writes.
  package static func isFileOfData(_ path: String) -> Bool {
    guard FileManager.default.fileExists(atPath: path) else { return false }
    let run = RunDirectory(parentDirectory(of: path))
    let name = "/" + (path.split(separator: "/").last ?? "")
    return path.hasSuffix(".safetensors") || EventFolder.isEventFile(path)
      || FileManager.default.fileExists(atPath: run.configuration)
        && [run.configuration, run.metrics, run.digests, run.result].contains { $0.hasSuffix(name) }
  }

  /// Makes the directory, with those above it.
  package func create() throws(DataError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw unwritable(obstacle ?? Self.reason(error))
    }
    guard access(path, W_OK) == 0 else { throw unwritable(MappedFile.systemError()) }
  }

  /// Whether the directory is there or can be made, without making it: what a long preparation asks first.
  package func requireWritable() throws(DataError) {
    if let obstacle { throw unwritable(obstacle) }
    var existing = path.isEmpty ? "." : path
    while !FileManager.default.fileExists(atPath: existing) {
      existing = parentDirectory(of: existing)
    }
    guard access(existing, W_OK) == 0 else { throw unwritable("\(existing): \(MappedFile.systemError())") }
  }

  /// What is on the way to the directory and is no directory, if there is such a thing.
  private var obstacle: String? {
    var part = path
    while part != "/" && part != "." {
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: part, isDirectory: &isDirectory) {
        return isDirectory.boolValue ? nil : "\(part) is a file"
      }
      // What it leads to may be on a disk that is not mounted: nothing is made in its place.
      if let target = try? linkedPath(from: part) {
        return "\(part) is a symbolic link to \(target), which is not there"
      }
      part = parentDirectory(of: part)
    }
    return nil
  }

  private func unwritable(_ found: String) -> DataError {
    DataError(
      .creation, file: path, expected: "a directory that can be written", found: found,
      remedy: "choose another --output")
  }

  private static func reason(_ error: any Error) -> String {
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    return (underlying ?? error as NSError).localizedDescription
  }

  /// Makes the directory and keeps other runs out of it, as long as the lock lives.
  ///
  /// - Throws: `RunLocked` if another run is in it.
  package func lock() throws -> RunLock {
    try create()
    return try RunLock(path: path + "/lock", directory: path)
  }

  /// Whether there is a run that could continue.
  package var isUnfinished: Bool {
    !checkpoints.files().isEmpty && !FileManager.default.fileExists(atPath: result)
  }

  /// Whether a new run would replace nothing that anybody may want.
  ///
  /// - Parameter isResumed: whether a run that had not come to a checkpoint is to be started anew.
  /// - Throws: naming a run, or a file that a run writes, that is there.
  package func requireReplaceable(isResumed: Bool = false) throws(DataError) {
    func refuse(_ expected: String, _ found: String, _ cure: String) throws(DataError) {
      throw DataError(.creation, file: path, expected: expected, found: found, remedy: cure)
    }
    // A link that leads nowhere is something too.
    func exists(_ file: String) -> Bool {
      var status = stat()
      return lstat(file, &status) == 0
    }
    let replacing = "replace it with --overwrite" + (isResumed ? " instead of --resume" : "")
    if isUnfinished {
      try refuse(
        "no unfinished run", checkpoints.files()[0],
        "continue with --resume, replace the run with --overwrite, or choose another --output")
    }
    if exists(result) {
      try refuse(
        "no finished run", result,
        "\(replacing), choose another --output, or give none: the run then gets a directory of its own")
    }
    let isRun = (try? readConfiguration()) != nil
    let ofOthers = isRun ? [] : [configuration, metrics, digests] + events.files
    for file in ofOthers + (isRun && isResumed ? [] : [best]) where exists(file) {
      try refuse("no file that the run would replace", file, "\(replacing), move it away, or choose another --output")
    }
  }

  /// What a finished run came to, if the checkpoint is that of its end and it is told beside it; nil if a file that the
  /// run wrote is missing, and should be written again.
  package func result(of checkpoint: Checkpoint) -> Trainer.Result? {
    guard [configuration, best, metrics].allSatisfy(FileManager.default.fileExists(atPath:)) else { return nil }
    let value = try? JSON.decoder().decode(Trainer.Result.self, from: JSON.data(ofFile: result))
    return value?.digest == checkpoint.digest() ? value : nil
  }

  /// Removes the results of an earlier run and writes the settings of this one: the files of two runs are never side
  /// by side.
  func begin(_ configuration: RunConfiguration) throws(DataError) {
    try DurableFile.remove(result)
    try checkpoints.removeAll()
    for file in [best, metrics, digests] { try DurableFile.remove(file) }
    try events.removeAll()
    try checkpoints.create()
    try prepare(configuration)
  }

  /// Writes the settings of a run that continues from a checkpoint. If it has steps to do, it is unfinished again.
  func resume(_ configuration: RunConfiguration, from checkpoint: Checkpoint) throws(DataError) {
    if !checkpoint.isEnd(of: configuration) {
      try DurableFile.remove(result)
      try DurableFile.syncDirectory(of: result)
    }
    try checkpoints.setAside(after: checkpoint.record.step)
    try prepare(configuration)
  }

  /// Removes what unfinished writing left, and writes the settings.
  private func prepare(_ configuration: RunConfiguration) throws(DataError) {
    for directory in [path, checkpoints.path, generatedData] { try removeTemporaries(in: directory) }
    try DurableFile.write(json: WrittenSettings(settings: configuration), to: self.configuration)
  }

  private func removeTemporaries(in directory: String) throws(DataError) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    for name in names where DurableFile.isTemporary(name) {
      try DurableFile.remove(directory + "/" + name)
    }
  }

  package func readConfiguration() throws(DataError) -> RunConfiguration {
    let found: String
    do {
      guard FileManager.default.fileExists(atPath: configuration) else { throw missing(configuration) }
      let value = try JSON.decoder().decode(RunConfiguration.self, from: JSON.data(ofFile: configuration))
      guard let contradiction = value.contradiction else { return value }
      found = contradiction
    } catch let error as DataError {
      throw error
    } catch let error as DecodingError {
      found = JSON.reason(error)
    } catch {
      found = Self.reason(error)
    }
    throw DataError(
      file: configuration, expected: "the settings of a run", found: found,
      remedy: "give the --output directory of a run")
  }

  /// The weights of the best epoch.
  package func openBest() throws(DataError) -> SafetensorsFile { try open(best, "once its first epoch has ended") }

  /// The newest whole checkpoint.
  package func openCheckpoint() throws(DataError) -> Checkpoint {
    guard let newest = try checkpoints.newest() else {
      throw missing(checkpoints.path, "; a run writes checkpoints while it trains and at its end")
    }
    return newest
  }

  private func open(_ file: String, _ when: String) throws(DataError) -> SafetensorsFile {
    guard FileManager.default.fileExists(atPath: file) else { throw missing(file, "; a run writes it \(when)") }
    return try SafetensorsFile(path: file)
  }

  private func missing(_ file: String, _ note: String = "") -> DataError {
    DataError(
      file: file, expected: "a file of a run", found: "no such file",
      remedy: "give the --output directory of a run\(note)")
  }
}
