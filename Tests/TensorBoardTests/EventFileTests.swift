import Files
import Foundation
import TestSupport
import Testing

@testable import TensorBoard

struct EventFileTests {
  /// The check value of the polynomial's catalogue, and RFC 3720, B.4.
  @Test func checksums() {
    #expect(CRC32C.sum(of: Array("123456789".utf8)) == 0xE306_9283)
    #expect(CRC32C.sum(of: [UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.sum(of: [UInt8](repeating: 255, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.sum(of: 0..<32) == 0x46DD_794E)
    #expect(CRC32C.sum(of: []) == 0)
  }

  /// The first record of a file that TensorBoard's own writer made.
  @Test func framing() {
    let content = Data([0x09]) + Data(repeating: 0, count: 8) + Data([0x1A, 0x0D]) + Data("brain.Event:2".utf8)
    let record = RecordFraming.record(content)
    #expect(record.count == content.count + 16 && record.prefix(8) == Data([24, 0, 0, 0, 0, 0, 0, 0]))
    let sums = [record[8..<12], record.suffix(4)].map { $0.map { String($0, radix: 16) }.joined(separator: " ") }
    #expect(sums == Self.sumsByTensorBoard)
    let file = record + RecordFraming.record(Data()) + RecordFraming.record(Data([1, 2]))
    #expect(RecordFraming.records(in: file).contents == [content, Data(), Data([1, 2])])
    #expect(RecordFraming.records(in: file).bytes == file.count)
    // What is cut or damaged anywhere ends it before its record.
    for end in file.indices {
      let (contents, bytes) = RecordFraming.records(in: file.prefix(end))
      #expect(bytes <= end && contents.count == (end < 40 ? 0 : end < 56 ? 1 : 2), "cut at \(end)")
      var damaged = file
      damaged[end] ^= 1
      #expect(RecordFraming.records(in: damaged).contents.count == (end < 40 ? 0 : end < 56 ? 1 : 2), "byte \(end)")
    }
  }

  static let sumsByTensorBoard = ["a3 7f 4b 22", "ee df 28 a3"]

  /// Steps and kinds of a file's events.
  func events(_ path: String) throws -> [Tensorboard_Event] {
    let file = try Data(contentsOf: URL(fileURLWithPath: path))
    let (contents, bytes) = RecordFraming.records(in: file)
    #expect(bytes == file.count)
    return try contents.map { try Tensorboard_Event(serializedBytes: $0) }
  }

  func log(_ folder: EventFolder, before: [String: Int] = [:], restart: Int? = nil) -> EventLog {
    EventLog(folder, before: before, host: "host/1") { _ in restart }
  }

  @Test func aRunThatGoesOnHasEachEventOnce() throws {
    let directory = try TemporaryDirectory()
    let folder = EventFolder(directory.file("events"))
    var first: EventLog? = log(folder)
    #expect(folder.files.isEmpty && !directory.exists("events"))
    try first?.append([.text("settings", "a")], to: .settings, step: 0)
    for step in 1...3 { try first?.append([.scalar("loss", Double(step))], to: .train, step: step) }
    // Buffered.
    #expect(try folder.files.allSatisfy { try Data(contentsOf: URL(fileURLWithPath: $0)).isEmpty })
    try first?.flush()
    let lengths = try #require(first?.lengths)
    #expect(lengths.count == 1 && lengths.keys.allSatisfy { $0.hasPrefix("train/events.out.tfevents.") })
    try first?.append([.scalar("loss", 4)], to: .train, step: 4)
    try first?.append([.scalar("f1", 1)], to: .valid, step: 4)
    first = nil
    #expect(folder.files.count == 3)
    let names = folder.files.map { $0.split(separator: "/").last ?? "" }
    #expect(
      names.allSatisfy { $0.wholeMatch(of: /events\.out\.tfevents\.[0-9]{10}\.host_1\.[0-9]+/) != nil }, "\(names)")

    // Back to step 3: later events are gone, new ones follow in a file that is read after the others.
    #expect(try folder.cut(to: lengths) == nil)
    #expect(folder.files.count == 1)
    let second = log(folder, before: lengths, restart: 4)
    try second.append([.scalar("loss", 5)], to: .train, step: 4)
    try second.flush()
    #expect(folder.files.count == 2 && second.lengths.count == 2)
    let all = try folder.files.map(events)
    #expect(all[0].map(\.step) == [0, 1, 2, 3] && all[0][0].fileVersion == "brain.Event:2")
    #expect(all[1].map(\.step) == [0, 4, 4] && all[1][1].sessionLog.status == .start)
    #expect(all[1][2].summary.value.map(\.simpleValue) == [5])
    #expect(abs(all[1][2].wallTime - Date().timeIntervalSince1970) < 60)

    // A file that was cut short keeps its whole records; one that was lost is told.
    let both = second.lengths
    #expect(truncate(folder.files[0], off_t(lengths.values.first ?? 0) - 1) == 0)
    #expect(try folder.cut(to: both)?.contains("expected 2 event files") == true)
    #expect(try events(folder.files[0]).map(\.step) == [0, 1, 2])
    #expect(try folder.cut(to: ["train/lost": 1, "../outside": 0])?.contains("found 0") == true)
    #expect(folder.files.isEmpty)
    try folder.removeAll()
    #expect(!directory.exists("events"))
  }

  @Test func filesOfOthersStay() throws {
    let directory = try TemporaryDirectory()
    let folder = EventFolder(directory.file("events"))
    try log(folder).append([.scalar("loss", 1)], to: .train, step: 1)
    try Data().write(to: URL(fileURLWithPath: directory.file("events/train/notes.txt")))
    try folder.removeAll()
    #expect(folder.files.isEmpty && directory.exists("events/train/notes.txt"))
  }

  @Test func aFolderThatCanNotBeMadeIsNamed() throws {
    let directory = try TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: directory.file("events")))
    let error = #expect(throws: DataError.self) {
      try log(EventFolder(directory.file("events"))).append([.scalar("loss", 1)], to: .train, step: 1)
    }
    #expect(error?.file.contains("/events") == true, "\(error?.description ?? "")")
  }
}
