import Foundation

/// A tensor to be written: its data stay where they are until they go to the file.
public struct TensorSource {
  public let name: String
  public let element: SafetensorsElement
  public let shape: [Int]
  /// Row-major elements; they must stay valid and unchanged until the file is written.
  public let bytes: UnsafeRawBufferPointer

  public init(name: String, element: SafetensorsElement, shape: [Int], bytes: UnsafeRawBufferPointer) {
    precondition(name != "__metadata__", "a tensor can't be called __metadata__")
    precondition(shape.allSatisfy { $0 >= 0 }, "tensor '\(name)' of shape \(shape)")
    precondition(
      shape.reduce(element.size, *) == bytes.count,
      "\(bytes.count) bytes for tensor '\(name)' of \(element.rawValue) \(shape)")
    self.name = name
    self.element = element
    self.shape = shape
    self.bytes = bytes
  }

  /// An F32 tensor.
  public init(name: String, shape: [Int], floats: UnsafeBufferPointer<Float>) {
    self.init(name: name, element: .float32, shape: shape, bytes: UnsafeRawBufferPointer(floats))
  }

  /// An I32 tensor.
  public init(name: String, shape: [Int], int32s: UnsafeBufferPointer<Int32>) {
    self.init(name: name, element: .int32, shape: shape, bytes: UnsafeRawBufferPointer(int32s))
  }
}

/// Writes a safetensors file so that at every moment, a power cut included, the path holds the old file or the new one.
public struct SafetensorsWriter {
  /// What the names of unfinished files end in.
  public static let temporarySuffix = ".part"

  public let tensors: [TensorSource]
  public let metadata: [String: String]

  /// - Parameter tensors: in the order in which they go to the file. Names must differ.
  public init(tensors: [TensorSource], metadata: [String: String] = [:]) {
    precondition(Set(tensors.map(\.name)).count == tensors.count, "two tensors of one name")
    self.tensors = tensors
    self.metadata = metadata
  }

  /// Writes to a temporary name in the path's directory, syncs, renames, syncs the directory.
  ///
  /// - Throws: if any of it fails; the temporary is then removed and a file that was at the path is as before
  ///   (unless it was the directory's sync that failed: then the new file is in place, but perhaps not yet on disk).
  public func write(to path: String) throws(DataError) {
    let temporary = "\(path).\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 16))\(Self.temporarySuffix)"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Self.failure(.creation, path, "to create \(temporary)") }
    FaultInjection.reach(.create)
    do throws(DataError) {
      try writeAll(to: descriptor, path: path)
      guard fsync(descriptor) == 0 else { throw Self.failure(.writing, path, "to sync \(temporary)") }
      FaultInjection.reach(.sync)
    } catch {
      close(descriptor)
      unlink(temporary)
      throw error
    }
    guard close(descriptor) == 0, rename(temporary, path) == 0 else {
      let error = Self.failure(.creation, path, "to rename \(temporary) to it")
      unlink(temporary)
      throw error
    }
    FaultInjection.reach(.rename)
    try Self.syncDirectory(of: path)
    FaultInjection.reach(.directory)
  }

  /// The 8 bytes of length and the JSON, padded with spaces so that the data start at a cache line.
  func header() -> [UInt8] {
    var items: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(Self.quoted($0.key)): \(Self.quoted($0.value))" }
      items.append("\"__metadata__\": {\(pairs.joined(separator: ", "))}")
    }
    var offset = 0
    for tensor in tensors {
      let end = offset + tensor.bytes.count
      items.append(
        "\(Self.quoted(tensor.name)): {\"dtype\": \"\(tensor.element.rawValue)\", \"shape\": \(tensor.shape), "
          + "\"data_offsets\": [\(offset), \(end)]}")
      offset = end
    }
    var text = Array("{\(items.joined(separator: ", "))}".utf8)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (64 - (8 + text.count) % 64) % 64))
    return withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text
  }

  private func writeAll(to descriptor: Int32, path: String) throws(DataError) {
    try header().withUnsafeBufferPointer { (bytes) throws(DataError) in
      try Self.write(UnsafeRawBufferPointer(bytes), to: descriptor, path: path)
    }
    for tensor in tensors { try Self.write(tensor.bytes, to: descriptor, path: path) }
  }

  private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws(DataError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
      let written = Foundation.write(descriptor, part.baseAddress, part.count)
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw failure(.writing, path, "to write \(bytes.count) bytes") }
      FaultInjection.reach(.write, count: written)
      rest = rest.dropFirst(written)
    }
  }

  /// Makes durable that a file of this path is there, or is there no longer.
  static func syncDirectory(of path: String) throws(DataError) {
    let descriptor = open(parentDirectory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(.writing, path, "to open its directory") }
    defer { close(descriptor) }
    // Some network file systems can't sync a directory and say EINVAL; nothing more can be done there.
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
      throw failure(.writing, path, "to sync its directory")
    }
  }

  private static func failure(_ kind: DataError.Kind, _ path: String, _ expected: String) -> DataError {
    DataError(
      kind, file: path, expected: expected, found: MappedFile.systemError(),
      remedy: "check that the directory exists and can be written, and the space left on it")
  }

  private static func quoted(_ text: String) -> String {
    var json = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": json += "\\\""
      case "\\": json += "\\\\"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        json += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: json.unicodeScalars.append(scalar)
      }
    }
    return json + "\""
  }
}
