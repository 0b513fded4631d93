import Testing

@testable import train

@Suite struct ProgressBarTests {
  static let bar = ProgressBar(
    title: "epoch 3/20", done: 31, count: 62, parts: ["loss 8.31", "301 samples/s", "00:07 left", "run 02:10 left"])

  @Test func allThatThereIsRoomFor() {
    #expect(
      Self.bar.line(columns: 100)
        == "epoch 3/20 [██████████░░░░░░░░░░] 31/62 · loss 8.31 · 301 samples/s · 00:07 left · run 02:10 left")
    #expect(Self.bar.line(columns: 60) == "epoch 3/20 [██████░░░░░░░] 31/62 · loss 8.31 · 301 samples/s")
    #expect(Self.bar.line(columns: 30) == "epoch 3/20 [█████░░░░░░] 31/62")
    #expect(Self.bar.line(columns: 20) == "epoch 3/20 31/62")
    #expect(Self.bar.line(columns: 7) == "epoch 3")
    #expect(Self.bar.line(columns: -1) == "")
  }

  @Test(arguments: 0...120) func neverTooLong(columns: Int) {
    #expect(Self.bar.line(columns: columns).count <= columns)
    #expect(ProgressBar(title: "validating", done: 0, count: 0, parts: []).line(columns: columns).count <= columns)
  }

  @Test func theBarIsFullAtTheEnd() {
    var bar = Self.bar
    bar.done = 62
    #expect(bar.line(columns: 40).contains("[█████████]") && !bar.line(columns: 40).contains("░"))
    bar.done = 0
    #expect(!bar.line(columns: 40).contains("█"))
  }

  @Test(
    arguments: [
      (7, "00:07"), (130.4, "02:10"), (3723, "1:02:03"), (90_061, "1 d 1:01:01"), (-3, "00:00"), (.infinity, "?"),
      (.nan, "?"),
    ] as [(Double, String)])
  func times(_ seconds: Double, _ text: String) { #expect(ProgressBar.time(seconds) == text) }
}
