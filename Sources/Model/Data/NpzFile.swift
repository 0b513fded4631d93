import Foundation

/// A file of `numpy.savez`, memory-mapped and read in place: a zip file of npy arrays.
///
/// Read are `<f4`, `<i4` and `<i8` in C order, and `label_names` as text. Other arrays may be in the file, but asking for one
/// is an error: `scripts/convert` reads them.
public final class NpzFile: TensorFile, @unchecked Sendable {
  static func isName(_ path: String) -> Bool { path.hasSuffix(".npz") }

  static let kind = "npz file"
  private static let suffix = ".npy"
  private static let elements: [String: SafetensorsElement] = ["<f4": .float32, "<i4": .int32, "<i8": .int64]
  private static let remedy = "turn the file into safetensors with scripts/convert"

  /// Maps the file and checks its directory and the arrays' headers, which may come from anybody.
  ///
  /// - Throws: if the file can't be read, or is no zip file of npy arrays.
  public init(path: String) throws(DataError) {
    let map = try MappedFile(path: path, minimum: 22, kind: Self.kind)
    var entries: [TensorEntry] = []
    var metadata: [String: String] = [:]
    var refused: [String: (shape: [Int], error: DataError)] = [:]
    for entry in try ZipDirectory(parsing: map.bytes, file: path).entries where entry.name.hasSuffix(Self.suffix) {
      let name = String(entry.name.dropLast(Self.suffix.count))
      guard entry.isStored else {
        refused[name] = (
          [],
          DataError(
            file: path, expected: "array '\(name)' stored as it is", found: "a compressed one",
            remedy: "save it with numpy.savez instead of savez_compressed, or \(Self.remedy)")
        )
        continue
      }
      let bytes = UnsafeRawBufferPointer(rebasing: map.bytes[entry.bytes])
      guard let header = NpyHeader(parsing: bytes) else {
        throw DataError(
          file: path, expected: "an npy array '\(name)'", found: "another header", remedy: "save it with numpy.savez")
      }
      let data = entry.bytes.lowerBound + header.dataOffset..<entry.bytes.upperBound
      if name == "label_names", let text = Self.text(header, UnsafeRawBufferPointer(rebasing: map.bytes[data])) {
        metadata[name] = text
        continue
      }
      let isPlain = !header.isFortranOrder || header.shape.count(where: { $0 != 1 }) < 2
      guard let element = Self.elements[header.type], isPlain else {
        refused[name] = (
          header.shape,
          DataError(
            file: path, expected: "array '\(name)' of type <f4 (or <i4, <i8 for lengths) in C order",
            found: header.type + (header.isFortranOrder ? " in Fortran order" : ""), remedy: Self.remedy)
        )
        continue
      }
      guard element.bytes(ofShape: header.shape) == data.count else {
        throw DataError(
          file: path, expected: "the bytes of array '\(name)' of \(header.type) \(header.shape)",
          found: "\(data.count)",
          remedy: "save it again with numpy.savez")
      }
      entries.append(TensorEntry(name: name, element: element, shape: header.shape, bytes: data))
    }
    super.init(path: path, map: map, entries: entries, metadata: metadata, refused: refused)
  }

  /// Names in an array of text (`<U…`, 4 bytes a character), separated by commas.
  private static func text(_ header: NpyHeader, _ bytes: UnsafeRawBufferPointer) -> String? {
    guard header.type.hasPrefix("<U"), let width = Int(header.type.dropFirst(2)), header.shape.count <= 1,
      (1...1024).contains(width)
    else { return nil }
    let count = header.shape.first ?? 1
    guard count <= 1024, bytes.count == 4 * width * count else { return nil }
    return (0..<count).map { item in
      var text = ""
      for i in item * width..<(item + 1) * width {
        let code = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
        if let scalar = Unicode.Scalar(code), code != 0 { text.unicodeScalars.append(scalar) }
      }
      return text
    }.joined(separator: ",")
  }
}
