import Testing

@testable import Model

struct TimelineTests {
  @Test func spansAreKeptByWorkerUpToTheCapacity() {
    let timeline = Timeline(workers: 2, capacity: 2)
    timeline.record(0, "a", from: 10, to: 1_000_000_010)
    timeline.record(0, "b", from: 20, to: 30)
    timeline.record(0, "lost", from: 40, to: 50)
    timeline.record(1, "a", from: 10, to: 3_000_000_010)
    #expect(timeline.spans(ofWorker: 0).map(\.name) == ["a", "b"])
    #expect(timeline.spans(ofWorker: 1).map(\.name) == ["a"])
    #expect(timeline.secondsByName()["a"] == 2)
    timeline.removeAll()
    #expect(timeline.spans(ofWorker: 0).isEmpty && timeline.secondsByName().isEmpty)
    timeline.record(0, "again", from: 0, to: 1)
    #expect(timeline.spans(ofWorker: 0).map(\.name) == ["again"])
  }
}
