import Foundation
import Tensor
import Testing

@Suite struct WriteAllTests {
  @Test func allIsWrittenInPortions() {
    var path = Array("/tmp/carat-write-all-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    defer {
      close(descriptor)
      unlink(path)
    }
    let bytes = (0..<(1 << 20) + 5).map { UInt8(truncatingIfNeeded: $0) }
    var portions: [Int] = []
    let isWritten = bytes.withUnsafeBytes { writeAll($0, to: descriptor) { portions.append($0) } }
    #expect(isWritten && portions.count >= 2 && portions.reduce(0, +) == bytes.count)
    var found = [UInt8](repeating: 0, count: bytes.count + 1)
    #expect(pread(descriptor, &found, found.count, 0) == bytes.count && found.dropLast() == bytes[...])
    #expect(writeAll(UnsafeRawBufferPointer(start: nil, count: 0), to: -1))
  }

  @Test func whatHasNoPlaceIsNotWritten() {
    let descriptor = open("/dev/full", O_WRONLY)
    defer { close(descriptor) }
    let (isWritten, reason) = [UInt8](repeating: 1, count: 9).withUnsafeBytes { (writeAll($0, to: descriptor), errno) }
    #expect(!isWritten && reason == ENOSPC)
  }

  /// A pipe's two ends, of which the writer's does not block.
  static func pipe() -> (reader: Int32, writer: Int32) {
    var ends: [Int32] = [-1, -1]
    #expect(Glibc.pipe(&ends) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
    return (ends[0], ends[1])
  }

  @Test func aLateReaderIsWaitedFor() async {
    let (reader, writer) = Self.pipe()
    defer { close(reader) }
    let bytes = (0..<1 << 18).map { UInt8(truncatingIfNeeded: $0) }
    let read = Task.detached {
      usleep(50_000)
      var (all, some) = ([UInt8](), [UInt8](repeating: 0, count: 5000))
      while true {
        let count = Glibc.read(reader, &some, some.count)
        if count <= 0 { return all }
        all += some.prefix(count)
      }
    }
    #expect(bytes.withUnsafeBytes { writeAll($0, to: writer) })
    close(writer)
    #expect(await read.value == bytes)
  }

  @Test func patienceEnds() {
    let (reader, writer) = Self.pipe()
    let (isWritten, reason) = [UInt8](repeating: 1, count: 1 << 20).withUnsafeBytes {
      (writeAll($0, to: writer, patience: 10), errno)
    }
    #expect(!isWritten && reason == EAGAIN)
    for end in [reader, writer] { close(end) }
  }
}

@Suite struct OneLineTests {
  @Test(arguments: [
    ("plain, größer, 喜", "plain, größer, 喜"), ("a\u{1B}[31mb", "a\\u{1b}[31mb"), ("a\r\nb", "a\\u{d}\\u{a}b"),
    ("\u{9B}2J", "\\u{9b}2J"), ("a\u{202E}b\u{2028}", "a\\u{202e}b\\u{2028}"), ("", ""),
  ]) func whatDrivesATerminalIsShown(text: String, line: String) {
    #expect(oneLine(text) == line)
    #expect(oneLine(line) == line)
  }
}
