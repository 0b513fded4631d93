import Files
import Foundation

// Directories of runs that were not told where to write: `runs/<date-time>`, and `runs/latest`, a link to the newest.
extension RunDirectory {
  /// Where such runs are.
  package static let parent = "runs"
  /// The link.
  package static let latest = parent + "/latest"

  /// A name by the date and time, which may be taken.
  package static func named(by time: Date = Date()) -> RunDirectory {
    var (seconds, parts) = (time_t(time.timeIntervalSince1970), tm())
    localtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    strftime(&text, text.count, "%Y-%m-%d-%H%M%S", &parts)
    let name = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return RunDirectory(parent + "/" + name)
  }

  /// Makes a directory that no other run has, however many start at once: this one, or one with a number behind its name.
  package func makeOwn() throws(DataError) -> RunDirectory {
    try RunDirectory(parentDirectory(of: path)).create()
    var own = self
    var number = 1
    while mkdir(own.path, 0o777) != 0 {
      guard errno == EEXIST else {
        throw DataError(
          .creation, file: own.path, expected: "a directory that can be made", found: MappedFile.systemError(),
          remedy: "give an --output that can be written")
      }
      number += 1
      own = RunDirectory("\(path)-\(number)")
    }
    return own
  }

  /// Lets `latest` beside this directory link to it. At every moment there is the old link or the new one.
  ///
  /// - Returns: why it could not be done, in words; nil if it was.
  package func becomeLatest() -> String? {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let link = parentDirectory(of: path) + "/latest"
    if (try? linkedPath(from: link)) == nil, access(link, F_OK) == 0 {
      return "\(link) is no link, but of an older version of this program or of somebody else, and is left as it is"
    }
    let temporary =
      "\(link).\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 16))\(DurableFile.temporarySuffix)"
    if symlink(name, temporary) == 0, rename(temporary, link) == 0 { return nil }
    let reason = MappedFile.systemError()
    unlink(temporary)
    return "\(link) can't be made to link to it: \(reason)"
  }

  /// The directory that a path of links stands for: a run keeps to it, wherever the links lead later. The path itself where
  /// they lead nowhere, which is an error when the directory is made.
  package var followed: RunDirectory {
    guard let path = try? resolvedFile(path), FileManager.default.fileExists(atPath: path) else { return self }
    return RunDirectory(path)
  }

  /// Whether there is something at the path, be it a link to nothing.
  package var isThere: Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }
}
