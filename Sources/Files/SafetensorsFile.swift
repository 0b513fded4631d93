import Foundation

/// A safetensors file, a file of named tensors, memory-mapped and read in place.
package final class SafetensorsFile: @unchecked Sendable {
  // Proof of Sendable: the map and the entries never change; aligned copies are added under `lock` and, once made, neither
  // change nor go before the object does.

  package let path: String
  /// What the file says of itself, such as `label_names`.
  package let metadata: [String: String]
  /// The tensors' names in the order of their data.
  package let names: [String]

  /// The whole file.
  package var bytes: UnsafeRawBufferPointer { map.bytes }

  /// The length and the JSON, as they stand.
  package var header: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes.prefix(headerLength)) }

  private let headerLength: Int
  private let map: MappedFile
  private let entries: [String: TensorEntry]
  private let lock = NSLock()
  private var alignedCopies: [String: UnsafeMutableBufferPointer<Float>] = [:]

  /// Maps the file and checks its whole header, which may come from anybody.
  ///
  /// - Throws: if the file can't be read, or its header is not that of a safetensors file of exactly this size.
  package init(path: String) throws(DataError) {
    if let error = ConvertibleFile.error(ofFileAt: path) { throw error }
    let map = try MappedFile(path: path, minimum: 10, kind: SafetensorsHeader.kind)
    let header = try SafetensorsHeader(parsing: map.bytes, file: path)
    self.path = path
    self.map = map
    headerLength = header.length
    metadata = header.metadata
    names = header.entries.map(\.name)
    entries = Dictionary(header.entries.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  deinit {
    for copy in alignedCopies.values { copy.deallocate() }
  }

  /// A tensor's dimensions; nil if there is none of this name.
  package func shape(of name: String) -> [Int]? { entries[name]?.shape }

  /// A tensor's element type; nil if there is none of this name.
  package func dtype(of name: String) -> SafetensorsElement? { entries[name]?.element }

  /// A tensor's bytes in the map, aligned or not, valid as long as this object lives; nil if there is no such tensor.
  package func bytes(of name: String) -> UnsafeRawBufferPointer? {
    entries[name].map { UnsafeRawBufferPointer(rebasing: map.bytes[$0.bytes]) }
  }

  /// Tells the kernel what will be read next, or what is done with.
  package func advise(_ advice: MappedFile.Advice, _ part: UnsafeRawBufferPointer) { map.advise(advice, part) }

  /// The bytes of an F32 tensor in row-major order, aligned or not, valid as long as this object lives.
  ///
  /// - Parameter shape: as for `floats`.
  /// - Throws: if there is no such tensor, or it is of another type or shape.
  package func floatBytes(_ name: String, shape: [Int?]? = nil) throws(DataError) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: map.bytes[try entry(name, of: [.float32], shape: shape).bytes])
  }

  /// The elements of an F32 tensor in row-major order, valid as long as this object lives.
  ///
  /// The view is of the map itself, or, where the file does not align the data to 4 bytes, of a copy made at the first
  /// call.
  ///
  /// - Parameter shape: the dimensions it must have; nil ones may be anything, and so may all if nil is given.
  /// - Throws: if there is no such tensor, or it is of another type or shape.
  package func floats(_ name: String, shape: [Int?]? = nil) throws(DataError) -> UnsafeBufferPointer<Float> {
    let source = try floatBytes(name, shape: shape)
    guard !source.isEmpty else { return UnsafeBufferPointer(start: nil, count: 0) }
    guard let base = source.baseAddress, Int(bitPattern: base) % MemoryLayout<Float>.alignment != 0 else {
      return source.bindMemory(to: Float.self)
    }
    return lock.withLock {
      if let copy = alignedCopies[name] { return UnsafeBufferPointer(copy) }
      let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: source.count / MemoryLayout<Float>.stride)
      UnsafeMutableRawBufferPointer(copy).copyMemory(from: source)
      alignedCopies[name] = copy
      return UnsafeBufferPointer(copy)
    }
  }

  /// The elements of a U8 tensor in row-major order, valid as long as this object lives.
  ///
  /// - Parameter shape: as for `floats`.
  /// - Throws: if there is no such tensor, or it is of another type or shape.
  package func uint8s(_ name: String, shape: [Int?]? = nil) throws(DataError) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: map.bytes[try entry(name, of: [.uint8], shape: shape).bytes])
  }

  /// The elements of an I32 or I64 tensor in row-major order.
  ///
  /// - Parameter shape: as for `floats`.
  /// - Throws: if there is no such tensor, it is of another type or shape, or an element has no place in 32 bits.
  package func int32s(_ name: String, shape: [Int?]? = nil) throws(DataError) -> [Int32] {
    let entry = try entry(name, of: [.int32, .int64], shape: shape)
    let source = UnsafeRawBufferPointer(rebasing: map.bytes[entry.bytes])
    var values = [Int32]()
    values.reserveCapacity(entry.count)
    for i in 0..<entry.count {
      if entry.element == .int32 {
        values.append(Int32(littleEndian: source.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self)))
        continue
      }
      let wide = Int64(littleEndian: source.loadUnaligned(fromByteOffset: 8 * i, as: Int64.self))
      guard let value = Int32(exactly: wide) else {
        throw DataError(
          file: path, expected: "32-bit numbers in tensor '\(name)'", found: "\(wide) at element \(i)",
          remedy: "check what wrote the file")
      }
      values.append(value)
    }
    return values
  }

  /// The one element of an F32 tensor without dimensions.
  ///
  /// - Throws: if there is no such tensor, or it is of another type or shape.
  package func scalar(_ name: String) throws(DataError) -> Float {
    try floats(name, shape: [])[0]
  }

  private func entry(_ name: String, of elements: [SafetensorsElement], shape: [Int?]?) throws(DataError)
    -> TensorEntry
  {
    guard let entry = entries[name] else {
      throw DataError(
        file: path, expected: "a tensor '\(name)'",
        found: names.isEmpty
          ? "no tensors" : names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", …" : ""),
        remedy: "check that this is the right file and that what wrote it is complete")
    }
    guard elements.contains(entry.element) else {
      throw DataError(
        file: path, expected: "tensor '\(name)' of type \(elements.map(\.rawValue).joined(separator: " or "))",
        found: entry.element.rawValue, remedy: "convert it")
    }
    guard let shape else { return entry }
    guard shape.count == entry.shape.count, zip(shape, entry.shape).allSatisfy({ $0 == nil || $0 == $1 }) else {
      let wanted = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw DataError(
        file: path, expected: "tensor '\(name)' of shape [\(wanted)]", found: "\(entry.shape.prefix(16))",
        remedy: "check that this file belongs to this configuration and its other files")
    }
    return entry
  }
}

/// A tensor's bytes, with the file that they are in.
package struct FileBytes: @unchecked Sendable {
  // Proof of Sendable: a map, or a copy in the file's care, that nobody writes to; the file lives as long as this value.

  package let file: SafetensorsFile
  package let bytes: UnsafeRawBufferPointer

  package init(_ file: SafetensorsFile, _ bytes: UnsafeRawBufferPointer) { (self.file, self.bytes) = (file, bytes) }

  package init(_ file: SafetensorsFile, _ floats: UnsafeBufferPointer<Float>) {
    self.init(file, UnsafeRawBufferPointer(floats))
  }
}
