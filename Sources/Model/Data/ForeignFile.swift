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
    // What scripts/convert and scripts/weights read is told by `ConvertibleFile`.
    return bytes.starts(with: [0x1F, 0x8B]) ? ("a gzip file", "unpack it: gunzip FILE") : nil
  }
}
