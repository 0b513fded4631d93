import Foundation

/// Safetensors files in which no flipped bit, cut or zeroed block stays unnoticed.
///
/// The header's metadata has the SHA-256 of every tensor; the last tensor is the SHA-256 of the header, its length
/// included. Tensors and header tile the file, so every byte is under one of the sums. Any reader of safetensors reads
/// such a file.
package enum Checksums {
  /// The metadata's key: a JSON object of tensor names and hexadecimal sums.
  package static let key = "sha256"
  /// The last tensor: 32 bytes.
  package static let headerSum = "header_sha256"

  /// Writes tensors with their checksums, whole or not at all; see `SafetensorsWriter.write`.
  package static func write(_ tensors: [TensorSource], metadata: [String: String], to path: String) throws(DataError) {
    var sums: [String: String] = [:]
    for tensor in tensors { sums[tensor.name] = SHA256.hexadecimal(SHA256.digest(of: tensor.bytes)) }
    var metadata = metadata
    metadata[key] = try text(of: sums, path)
    let sum = UnsafeMutableRawBufferPointer.allocate(byteCount: 32, alignment: 8)
    defer { sum.deallocate() }
    let writer = SafetensorsWriter(
      tensors: tensors + [TensorSource(name: headerSum, element: .uint8, shape: [32], bytes: .init(sum))],
      metadata: metadata)
    sum.copyBytes(from: writer.header().withUnsafeBytes { SHA256.digest(of: $0) })
    try writer.write(to: path)
  }

  /// Reads the whole file.
  ///
  /// - Throws: naming what differs from its sum, or that there are no sums.
  package static func verify(_ file: SafetensorsFile) throws(DataError) {
    guard let header = file.bytes(of: headerSum) else {
      throw damaged(file, expected: "the checksum of its header", found: "none")
    }
    guard header.elementsEqual(SHA256.digest(of: file.header)) else {
      throw damaged(file, expected: "a header with its checksum", found: "another header")
    }
    // The header is as it was written, so what it says of sums can be trusted.
    let sums = try? JSON.decoder().decode([String: String].self, from: Data((file.metadata[key] ?? "").utf8))
    for name in file.names where name != headerSum {
      guard let bytes = file.bytes(of: name), SHA256.hexadecimal(SHA256.digest(of: bytes)) == sums?[name] else {
        throw damaged(file, expected: "tensor '\(name)' with its checksum", found: "other bytes")
      }
      file.advise(.release, bytes)
    }
  }

  private static func text(of sums: [String: String], _ path: String) throws(DataError) -> String {
    do {
      return try JSON.line(sums)
    } catch {
      throw DataError(
        .writing, file: path, expected: "tensor names of Unicode", found: "\(error)", remedy: "rename them")
    }
  }

  private static func damaged(_ file: SafetensorsFile, expected: String, found: String) -> DataError {
    DataError(
      file: file.path, expected: expected, found: found,
      remedy: "the file is damaged; use an older checkpoint or a copy")
  }
}

extension SafetensorsFile {
  /// Compares all of the file with its checksums, as this program's checkpoints and weights have them.
  ///
  /// - Throws: naming what differs, or that there are none.
  package func verifyChecksums() throws(DataError) { try Checksums.verify(self) }
}
