import Files
import Foundation

/// A folder of event files: those of a run's settings, and one folder each of training and evaluations, which TensorBoard
/// shows as runs of their own with the same names of values.
package struct EventFolder: Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  /// Whether a file is an event file by its name.
  package static func isEventFile(_ path: String) -> Bool {
    (path.split(separator: "/").last ?? "").hasPrefix(EventFile.namePrefix)
  }

  /// What TensorBoard shows as one run.
  package enum Part: String, CaseIterable, Sendable {
    case settings = ""
    case train, valid, averaged, test
  }

  func path(of part: Part) -> String { part == .settings ? path : path + "/" + part.rawValue }

  /// Names of a part's event files, below the folder, in the order in which they are read.
  private func names(of part: Part) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path(of: part))) ?? []
    return names.filter { $0.hasPrefix(EventFile.namePrefix) }.sorted()
      .map { part == .settings ? $0 : part.rawValue + "/" + $0 }
  }

  /// Paths of all event files that are there.
  package var files: [String] { Part.allCases.flatMap(names).map { path + "/" + $0 } }

  /// Removes all event files, and the folders that are then empty.
  package func removeAll() throws(DataError) {
    for file in files { try DurableFile.remove(file) }
    for part in Part.allCases.reversed() { rmdir(path(of: part)) }
  }

  /// A name for a part's next file: behind those that are there, whatever the clock says.
  func nextFile(of part: Part, host: String) -> String {
    let last = names(of: part).compactMap { name -> Int? in
      let number = (name.split(separator: "/").last ?? "").dropFirst(EventFile.namePrefix.count).prefix { $0 != "." }
      return Int(number)
    }.max()
    // As TensorFlow names them: at least 10 digits.
    let seconds = max(Int(Date().timeIntervalSince1970), (last ?? 0) + 1)
    let place = host.replacing("/", with: "_")
    return "\(path(of: part))/\(EventFile.namePrefix)\(String(format: "%010d", seconds)).\(place).\(getpid())"
  }

  /// Makes a part's folder.
  func create(_ part: Part) throws(DataError) {
    for folder in [path, path(of: part)] { try DurableFile.makeDirectory(folder) }
  }

  /// Cuts the files to what they were, and removes those that were not there, and the settings, which are written anew.
  ///
  /// - Parameter lengths: bytes by name, see `EventLog.lengths`.
  /// - Returns: what was found of events that were to be kept, in words; nil if they are all there.
  package func cut(to lengths: [String: Int]) throws(DataError) -> String? {
    var whole = 0
    for part in Part.allCases {
      for name in names(of: part) {
        let file = path + "/" + name
        guard part != .settings, let length = lengths[name] else {
          try DurableFile.remove(file)
          continue
        }
        var status = stat()
        let isWhole = stat(file, &status) == 0 && status.st_size >= length
        let kept =
          isWhole ? length : RecordFraming.records(in: FileManager.default.contents(atPath: file) ?? Data()).bytes
        guard truncate(file, off_t(kept)) == 0 else {
          throw DataError(
            .writing, file: file, expected: "to cut it to \(kept) bytes", found: MappedFile.systemError(),
            remedy: "check the permissions of the --output directory")
        }
        if isWhole { whole += 1 }
      }
    }
    return whole == lengths.count
      ? nil : "\(path): expected \(lengths.count) event files of the run so far, found \(whole) of them whole"
  }
}
