/// What people have in the place of the file they mean, known by how it begins.
enum ForeignFile {
  /// What a file is instead of the kind that was expected, and what to do; nil if its beginning says nothing.
  static func recognise(_ bytes: UnsafeRawBufferPointer) -> (found: String, remedy: String)? {
    let text = String(decoding: bytes.prefix(512), as: UTF8.self).lowercased()
      .drop { $0.isWhitespace || $0 == "\u{FEFF}" }
    if text.hasPrefix("version https://git-lfs.github.com/spec/") {
      return (
        "a Git LFS pointer, which only stands for the file", "fetch the file itself: git lfs pull, in its repository"
      )
    }
    if ["<!doctype html", "<html", "<head", "<?xml"].contains(where: text.hasPrefix) {
      return (
        "a web page (HTML)",
        "a server sent a page instead of the file, to log in or to confirm; download the file itself"
      )
    }
    if bytes.starts(with: [0x1F, 0x8B]) { return ("a gzip file", "unpack it: gunzip FILE") }
    // Where a safetensors file is expected, `ConvertibleFile` knows more of it.
    return bytes.starts(with: [0x50, 0x4B, 3, 4]) ? ("a zip file", "give the file itself; data: scripts/convert") : nil
  }
}
