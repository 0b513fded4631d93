import Files
import Foundation

/// A run's checkpoints: `checkpoints/step-<number>.safetensors`.
package struct CheckpointFolder: Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  private static let prefix = "step-"
  private static let suffix = ".safetensors"
  private static let asideSuffix = ".damaged"

  /// The file for a number of steps.
  func file(_ step: Int) -> String { "\(path)/\(Self.prefix)\(String(format: "%09d", step))\(Self.suffix)" }

  /// Paths of the checkpoints that are there, whole or not, the newest first.
  package func files() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let steps = names.compactMap { name -> Int? in
      guard name.hasPrefix(Self.prefix), name.hasSuffix(Self.suffix) else { return nil }
      return Int(name.dropFirst(Self.prefix.count).dropLast(Self.suffix.count))
    }
    return steps.sorted(by: >).map(file)
  }

  /// The newest checkpoint that is whole; nil if there never was one.
  ///
  /// - Parameter skipped: hears what is wrong with newer ones.
  /// - Throws: the newest one's error if there are checkpoints and none is whole.
  package func newest(skipped: (DataError) -> Void = { _ in }) throws(DataError) -> Checkpoint? {
    var first: DataError?
    for file in files() {
      do throws(DataError) {
        return try Checkpoint(path: file)
      } catch {
        skipped(error)
        first = first ?? error
      }
    }
    if let first { throw first }
    return nil
  }

  /// Makes the folder.
  func create() throws(DataError) { try DurableFile.makeDirectory(path) }

  /// Renames checkpoints of later steps, which a run that continues has passed over: it will write others of these steps,
  /// and they are not to count among the newest.
  func setAside(after step: Int) throws(DataError) {
    for file in files() where file > self.file(step) {
      guard rename(file, file + Self.asideSuffix) == 0 else {
        throw DataError(
          .creation, file: file, expected: "to rename a damaged checkpoint", found: MappedFile.systemError(),
          remedy: "check the permissions of the --output directory")
      }
    }
  }

  /// Removes all, those set aside too.
  func removeAll() throws(DataError) {
    for file in files() { try DurableFile.remove(file) }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    for name in names where name.hasSuffix(Self.suffix + Self.asideSuffix) { try DurableFile.remove(path + "/" + name) }
  }

  /// Removes all but the newest.
  func prune(keeping count: Int) throws(DataError) {
    for file in files().dropFirst(count) { try DurableFile.remove(file) }
  }
}
