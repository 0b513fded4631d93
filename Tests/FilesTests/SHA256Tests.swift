import Files
import Testing

@Suite struct SHA256Tests {
  /// FIPS 180-4's examples and the empty message.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func knownAnswers(message: String, digest: String) {
    var hash = SHA256()
    hash.update(utf8: message)
    #expect(SHA256.hexadecimal(hash.finalize()) == digest)
  }

  @Test func aMillionLettersInUnevenParts() {
    let message = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    message.withUnsafeBytes { bytes in
      #expect(SHA256.hexadecimal(SHA256.digest(of: bytes)) == expected)
      var hash = SHA256()
      var start = 0
      var size = 1
      while start < bytes.count {
        hash.update(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + size, bytes.count)]))
        start += size
        size = size * 3 % 70_001
      }
      #expect(SHA256.hexadecimal(hash.finalize()) == expected)
    }
  }
}
