import Files
import Foundation

@testable import Model

/// The tensors of a small dataset file: 4 samples, 3 steps; 2 features of text, 35 of visual, 1 of audio; 2 labels.
/// Tests spoil one value and see what is said.
struct SampleFile {
  var features: [(name: String, width: Int, values: [Float])] = [
    ("text", 2, (0..<24).map(Float.init)), ("visual", 35, [Float](repeating: -1.5, count: 420)),
    ("audio", 1, [Float](repeating: 0.25, count: 12)),
  ]
  var lengths: [(name: String, values: [Int32])] = [("audio_length", [1, 2, 3, 3])]
  var labels: [Float] = [0, 1, 1, 1, 0, 0, 1, 0]
  var metadata: [String: String] = ["label_names": "calm, tense"]
  var steps = 3
  /// One id a sample, of equally many bytes.
  var ids: [[UInt8]] = []

  func write(to path: String) throws {
    var tensors: [TensorSource] = []
    var owned: [UnsafeMutableRawBufferPointer] = []
    defer { owned.forEach { $0.deallocate() } }
    func keep(_ name: String, _ element: SafetensorsElement, _ shape: [Int], _ bytes: UnsafeRawBufferPointer) {
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
      copy.copyMemory(from: bytes)
      owned.append(copy)
      tensors.append(TensorSource(name: name, element: element, shape: shape, bytes: UnsafeRawBufferPointer(copy)))
    }
    for (name, width, values) in features {
      values.withUnsafeBytes { keep(name, .float32, [values.count / width / steps, steps, width], $0) }
    }
    labels.withUnsafeBytes { keep("labels", .float32, [labels.count / 2, 2], $0) }
    for (name, values) in lengths { values.withUnsafeBytes { keep(name, .int32, [values.count], $0) } }
    if let id = ids.first { Array(ids.joined()).withUnsafeBytes { keep("ids", .uint8, [ids.count, id.count], $0) } }
    try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
  }
}

extension ModalityData {
  /// A sample's features as they are in the file: [T, F] row-major, a copy.
  func features(ofSample sample: Int) -> [Float] {
    let row = rows[sample]
    return [Float](unsafeUninitializedCapacity: steps * features) { target, count in
      count = steps * features
      UnsafeMutableRawBufferPointer(target).copyMemory(from: row)
    }
  }
}
