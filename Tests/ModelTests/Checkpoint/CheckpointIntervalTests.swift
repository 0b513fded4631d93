import Testing

@testable import Model

struct CheckpointIntervalTests {
  @Test func stepsAndTimes() {
    #expect(CheckpointInterval("500") == .steps(500))
    #expect(CheckpointInterval("30s") == .seconds(30))
    #expect(CheckpointInterval("10m") == .seconds(600))
    #expect(CheckpointInterval("1.5h") == .seconds(5400))
    for text in ["", "0", "-1", "m", "0m", "-2s", "nanm", "infs", "10 m", "10d", "1e400s"] {
      #expect(CheckpointInterval(text) == nil, "\(text)")
    }
    #expect("\(CheckpointInterval.seconds(600)) \(CheckpointInterval.steps(7))" == "10m 7")
    #expect("\(CheckpointInterval.seconds(90)) \(CheckpointInterval.seconds(1e300))" == "90.0s 1e+300s")
  }
}
