/// The checksum of event files: CRC-32 by Castagnoli's polynomial (RFC 3720), reflected.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 0 ? 0 : 0x82F6_3B78) }
  }

  static func sum(of bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(.max) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
  }

  /// As event files store it, so that a sum over bytes that hold sums is no weaker.
  static func masked(of bytes: some Sequence<UInt8>) -> UInt32 {
    let sum = sum(of: bytes)
    return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
  }
}
