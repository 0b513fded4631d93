import Foundation

/// A read-only memory map of a whole regular file, unmapped at the end of its life.
///
/// `Sendable` because the mapping never changes and nobody writes through it. As with every memory map, a file that
/// another process cuts short while it is mapped ends this process (SIGBUS): data files are replaced by rename.
struct MappedFile: ~Copyable, @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer

  /// - Throws: if the file can't be opened, is not a regular file, is shorter than `minimum` bytes or can't be mapped.
  init(path: String, minimum: Int, kind: String) throws(DataError) {
    // Without O_NONBLOCK the opening of a named pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw DataError(
        file: path, expected: "a readable \(kind)", found: Self.systemError(),
        remedy: "check the path and its permissions")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw DataError(
        file: path, expected: "a readable \(kind)", found: Self.systemError(),
        remedy: "check the file system")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw DataError(
        file: path, expected: "a \(kind)", found: status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "a special file",
        remedy: "give the path of a file")
    }
    let size = Int(status.st_size)
    guard size >= minimum, size > 0 else {
      throw DataError(
        file: path, expected: "a \(kind), at least \(max(minimum, 1)) bytes", found: "\(size) bytes",
        remedy: "the file is cut short or of another kind; fetch or write it again")
    }
    let address = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      throw DataError(
        file: path, expected: "to map \(size) bytes into memory", found: Self.systemError(),
        remedy: "raise the limit on address space (ulimit -v) or copy the file to another file system")
    }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }

  /// The system's words for the last failed call.
  static func systemError() -> String { String(cString: strerror(errno)) }
}
