import Foundation
import Model
import Testing

@Suite struct WriteAllTests {
  @Test func allIsWrittenInPortions() throws {
    let directory = try TemporaryDirectory()
    let descriptor = open(directory.file("x"), O_WRONLY | O_CREAT, 0o666)
    defer { close(descriptor) }
    let bytes = (0..<(1 << 20) + 5).map { UInt8(truncatingIfNeeded: $0) }
    var portions: [Int] = []
    let isWritten = bytes.withUnsafeBytes { writeAll($0, to: descriptor) { portions.append($0) } }
    #expect(isWritten && portions.count >= 2 && portions.reduce(0, +) == bytes.count)
    #expect(try Data(contentsOf: URL(fileURLWithPath: directory.file("x"))) == Data(bytes))
    #expect(writeAll(UnsafeRawBufferPointer(start: nil, count: 0), to: -1))
  }

  @Test func whatHasNoPlaceIsNotWritten() {
    let descriptor = open("/dev/full", O_WRONLY)
    defer { close(descriptor) }
    let (isWritten, reason) = [UInt8](repeating: 1, count: 9).withUnsafeBytes { (writeAll($0, to: descriptor), errno) }
    #expect(!isWritten && reason == ENOSPC)
  }
}
