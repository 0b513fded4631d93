// Foundation's own `deletingLastPathComponent` stops the program on a path of one character (Swift 6 on Linux).

/// The directory that a path's last part is in: "." for a bare name, "/" for what is at the top.
func parentDirectory(of path: String) -> String {
  let trimmed = path.count > 1 && path.hasSuffix("/") ? path.dropLast() : path[...]
  guard let slash = trimmed.lastIndex(of: "/") else { return "." }
  return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
}

/// A file's name without its directory and its last extension.
func baseName(of path: String) -> String {
  let name = path.split(separator: "/").last ?? ""
  guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return String(name) }
  return String(name[..<dot])
}
