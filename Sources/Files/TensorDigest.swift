/// SHA-256 over tensors: each one's name, shape and bytes, in one fixed order.
package enum TensorDigest {
  package static func digest(_ tensors: [(name: String, shape: [Int], bytes: UnsafeRawBufferPointer)]) -> String {
    var hash = SHA256()
    for tensor in tensors {
      hash.update(utf8: "\(tensor.name) \(tensor.shape)\n")
      hash.update(tensor.bytes)
    }
    return SHA256.hexadecimal(hash.finalize())
  }
}
