import Foundation

/// A read-only memory map of a whole regular file, unmapped at the end of its life.
///
/// As with every memory map, a file that another process cuts short while it is mapped ends this process (SIGBUS): data
/// files are replaced by rename.
package struct MappedFile: ~Copyable, @unchecked Sendable {
  // Proof of Sendable: the mapping never changes, and nobody writes through it.

  package let bytes: UnsafeRawBufferPointer

  /// - Throws: if the file can't be opened, is not a regular file, is shorter than `minimum` bytes or can't be mapped.
  package init(path: String, minimum: Int, kind: String) throws(DataError) {
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
    let bytes = UnsafeRawBufferPointer(start: address, count: size)
    if let foreign = ForeignFile.recognise(bytes) {
      munmap(address, size)
      throw DataError(file: path, expected: "a \(kind)", found: foreign.found, remedy: foreign.remedy)
    }
    self.bytes = bytes
    MappedFiles.add(bytes, path: path)
  }

  deinit {
    MappedFiles.remove(bytes)
    munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
  }

  /// What the kernel may do with the pages of a part of the map.
  package enum Advice {
    /// Read them ahead, in the background.
    case willNeed
    /// Take them out of this process's memory; they stay in the system's cache, and come back when touched.
    case release
  }

  /// Passes advice on. A part that is no part of the map (a copy of some of it) is left alone.
  package func advise(_ advice: Advice, _ part: UnsafeRawBufferPointer) {
    guard let base = part.baseAddress, let own = bytes.baseAddress,
      base >= own, base + part.count <= own + bytes.count
    else { return }
    let start = Int(bitPattern: base) / pageSize * pageSize
    madvise(
      UnsafeMutableRawPointer(bitPattern: start), Int(bitPattern: base) + part.count - start,
      advice == .willNeed ? MADV_WILLNEED : MADV_DONTNEED)
  }

  /// The system's words for the last failed call.
  package static func systemError() -> String { String(cString: strerror(errno)) }
}

private let pageSize = sysconf(Int32(_SC_PAGESIZE))
