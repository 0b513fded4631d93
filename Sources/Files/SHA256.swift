import COpenSSL
import Tensor

/// An incremental SHA-256 digest (FIPS 180-4), computed by libcrypto.
package struct SHA256: ~Copyable {
  private let context: OpaquePointer

  package init() {
    let created = EVP_MD_CTX_new()
    precondition(created != nil, "libcrypto has no memory for a digest")
    context = created!
    let started = EVP_DigestInit_ex(context, EVP_sha256(), nil)
    precondition(started == 1, "libcrypto offers no SHA-256")
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Appends bytes to the message.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    let done = EVP_DigestUpdate(context, base, bytes.count)
    precondition(done == 1, "SHA-256 of \(bytes.count) more bytes failed")
  }

  /// Appends a text as UTF-8, without any terminator.
  package mutating func update(utf8 text: String) {
    var copy = text
    copy.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  /// The digest of the whole message: 32 bytes.
  package consuming func finalize() -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    let done = EVP_DigestFinal_ex(context, &digest, nil)
    precondition(done == 1, "SHA-256 could not be finished")
    return digest
  }

  /// The digest of one message: 32 bytes.
  package static func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finalize()
  }

  /// Bytes as lower-case hexadecimal, two digits each.
  package static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes {
      if byte < 16 { text += "0" }
      text += String(byte, radix: 16)
    }
    return text
  }
}
