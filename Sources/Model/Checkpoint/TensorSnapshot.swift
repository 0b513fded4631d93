import Files

/// A copy of tensors at one moment, in memory that is reserved once, so that they can go to a file while training
/// continues.
final class TensorSnapshot: @unchecked Sendable {
  // Proof of Sendable: whoever takes a snapshot has waited for the end of the writing of the one before.

  private let memory: UnsafeMutableRawBufferPointer
  private(set) var tensors: [TensorSource] = []

  private static let alignment = 64

  /// Room for tensors of these sizes.
  init(like tensors: [TensorSource]) {
    let bytes = tensors.reduce(0) { $0 + Self.rounded($1.bytes.count) }
    memory = .allocate(byteCount: max(bytes, Self.alignment), alignment: Self.alignment)
    // Touched now: the first snapshot shall not take longer than others.
    memory.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { memory.deallocate() }

  /// Of memory that is reserved.
  var bytes: Int { memory.count }

  /// Copies tensors of the sizes that room was made for.
  func take(_ sources: [TensorSource]) {
    var offset = 0
    tensors = sources.map { source in
      let copy = UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + source.bytes.count])
      copy.copyMemory(from: source.bytes)
      offset += Self.rounded(source.bytes.count)
      return TensorSource(
        name: source.name, element: source.element, shape: source.shape, bytes: UnsafeRawBufferPointer(copy))
    }
  }

  private static func rounded(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }
}
