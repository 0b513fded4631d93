import Foundation

// Foundation's own `deletingLastPathComponent` stops the program on a path of one character (Swift 6 on Linux).

/// The directory that a path's last part is in: "." for a bare name, "/" for what is at the top.
package func parentDirectory(of path: String) -> String {
  let trimmed = path.count > 1 && path.hasSuffix("/") ? path.dropLast() : path[...]
  guard let slash = trimmed.lastIndex(of: "/") else { return "." }
  return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
}

/// A file's name without its directory and its last extension.
package func baseName(of path: String) -> String {
  let name = path.split(separator: "/").last ?? ""
  guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return String(name) }
  return String(name[..<dot])
}

/// Where a symbolic link leads in one step; nil if nothing is at the path, or something else.
///
/// - Throws: if what it names is no text.
package func linkedPath(from path: String) throws(DataError) -> String? {
  var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
  let count = readlink(path, &bytes, bytes.count)
  guard count > 0 else { return nil }
  guard let link = String(validating: bytes.prefix(count), as: UTF8.self) else {
    throw DataError(
      .creation, file: path, expected: "a symbolic link to a path in UTF-8",
      found: "'\(String(decoding: bytes.prefix(count), as: UTF8.self))'", remedy: "rename what it leads to")
  }
  let directory = parentDirectory(of: path)
  return link.hasPrefix("/") || directory == "." ? link : directory + "/" + link
}

/// Where a file of this path is in fact, there or not: a file that takes its place by rename would otherwise take that of
/// a symbolic link.
package func resolvedFile(_ path: String) throws(DataError) -> String {
  var target = path
  // As many links as the kernel follows.
  for _ in 0..<40 {
    guard let next = try linkedPath(from: target) else { return target }
    target = next
  }
  throw DataError(
    .creation, file: path, expected: "a file, or a link to one", found: "symbolic links that lead to one another",
    remedy: "remove the link, or choose another path")
}

/// A path from the root.
///
/// - Throws: if the working directory's path is no text, which no file of settings could name.
package func absolutePath(_ path: String) throws(DataError) -> String {
  if path.hasPrefix("/") { return path }
  let bytes = getcwd(nil, 0)
  defer { free(bytes) }
  guard let bytes, let directory = String(validatingCString: bytes) else {
    throw DataError(
      file: path, expected: "a working directory whose path is UTF-8, to record where this is",
      found: "another, or none",
      remedy: "rename the directory, or start elsewhere")
  }
  return directory + "/" + path
}
