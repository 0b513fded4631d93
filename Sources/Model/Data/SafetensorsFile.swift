/// A safetensors file, memory-mapped and read in place.
public final class SafetensorsFile: TensorFile, @unchecked Sendable {
  private let headerLength: Int

  /// The length and the JSON, as they stand.
  var header: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes.prefix(headerLength)) }

  /// Maps the file and checks its whole header, which may come from anybody.
  ///
  /// - Throws: if the file can't be read, or its header is not that of a safetensors file of exactly this size.
  public init(path: String) throws(DataError) {
    let map = try MappedFile(path: path, minimum: 10, kind: SafetensorsHeader.kind)
    let header = try SafetensorsHeader(parsing: map.bytes, file: path)
    headerLength = header.length
    super.init(path: path, map: map, entries: header.entries, metadata: header.metadata)
  }
}
