import Foundation
import Tensor

/// A tensor to be written: its data stay where they are until they go to the file.
package struct TensorSource {
  package let name: String
  package let element: SafetensorsElement
  package let shape: [Int]
  /// Row-major elements; they must stay valid and unchanged until the file is written.
  package let bytes: UnsafeRawBufferPointer

  package init(name: String, element: SafetensorsElement, shape: [Int], bytes: UnsafeRawBufferPointer) {
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

  /// The same data under another name.
  package func named(_ name: String) -> TensorSource {
    TensorSource(name: name, element: element, shape: shape, bytes: bytes)
  }

  /// An F32 tensor.
  package init(name: String, shape: [Int], floats: UnsafeBufferPointer<Float>) {
    self.init(name: name, element: .float32, shape: shape, bytes: UnsafeRawBufferPointer(floats))
  }

  /// An I32 tensor.
  package init(name: String, shape: [Int], int32s: UnsafeBufferPointer<Int32>) {
    self.init(name: name, element: .int32, shape: shape, bytes: UnsafeRawBufferPointer(int32s))
  }
}

/// Writes a safetensors file so that at every moment, a power cut included, the path holds the old file or the new one.
package struct SafetensorsWriter {
  package let tensors: [TensorSource]
  package let metadata: [String: String]

  /// - Parameter tensors: in the order in which they go to the file. Names must differ.
  package init(tensors: [TensorSource], metadata: [String: String] = [:]) {
    precondition(Set(tensors.map(\.name)).count == tensors.count, "two tensors of one name")
    self.tensors = tensors
    self.metadata = metadata
  }

  /// - Throws: if any of it fails; see `DurableFile.write`.
  package func write(to path: String) throws(DataError) {
    try DurableFile.write(header(), tensors.map(\.bytes), to: path)
  }

  /// The 8 bytes of length and the JSON, padded with spaces so that the data start at a cache line.
  package func header() -> [UInt8] {
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
