import Foundation
import TestSupport
import Testing

@testable import Model

extension Teams {
  /// Which epoch is the best, and when a run has waited long enough for a better one.
  struct EarlyStoppingTests {
    let changed = ChangedRunTests()

    /// The validation split's metrics, epoch by epoch.
    func evaluations(_ directory: RunDirectory) throws -> [[String: Any]] {
      try changed.fields(directory).filter { $0["split"] as? String == "valid" }
    }

    static func value(_ metric: SelectionMetric, _ record: [String: Any]) throws -> Double {
      let metrics = try #require(record["metrics"] as? [String: Any])
      let name = metric == .loss ? "cross_entropy" : metric.rawValue
      return try #require(metrics[name] as? Double) * (metric == .loss ? -1 : 1)
    }

    @Test func aRunEndsWhenItsPatienceDoes() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      c.epochs = 12
      let all = RunDirectory(files.file("all"))
      let whole = try changed.finish(c, dataset, all)
      #expect(whole.stoppedEarly == nil)
      let records = try evaluations(all)
      #expect(records.count == 12)
      var early = 0
      for metric in SelectionMetric.allCases {
        let values = try records.map { try Self.value(metric, $0) }
        for patience in [1, 3] {
          // The last of the best so far; the run ends that many epochs behind it.
          var (best, improved) = (0, 0)
          var end = 0
          while end < 12 {
            // Equal ones are kept, and renew no patience.
            if values[end] > values[best] { improved = end }
            if values[end] >= values[best] { best = end }
            end += 1
            if end - 1 - improved >= patience { break }
          }
          let isEarly = end < 12
          early += isEarly ? 1 : 0
          (c.bestBy, c.patience) = (metric, patience)
          let directory = RunDirectory(files.file("\(metric.rawValue)-\(patience)"))
          let result = try changed.finish(c, dataset, directory)
          let comment: Comment = "\(metric), patience \(patience): \(values)"
          #expect(result.bestEpoch == best + 1 && result.steps == end * 3, comment)
          #expect(result.stoppedEarly == (isEarly ? true : nil), comment)
          #expect(try evaluations(directory).map { try Self.value(metric, $0) } == Array(values[..<end]), comment)
          guard end < 12 && metric == .loss else { continue }
          // Stopped just before and resumed, it ends in the same place; without patience it continues to the end.
          let stopped = RunDirectory(files.file("stopped-\(patience)"))
          guard case .stopped = try changed.resume.run(c, dataset, stopped, workers: 1, steps: end * 3 - 1) else {
            throw TrainerTests.Stopped()
          }
          #expect(try changed.finish(c, dataset, stopped, workers: 3, resuming: true).digest == result.digest)
          let checkpoint = try stopped.openCheckpoint()
          #expect(checkpoint.isEnd(of: checkpoint.record.configuration))
          c.patience = nil
          #expect(try changed.finish(c, dataset, stopped, resuming: true).digest == whole.digest)
        }
      }
      #expect(early > 0, "no run ended early: the test shows nothing")
    }

    /// Files of earlier versions know neither setting.
    @Test func settingsOfEarlierVersionsMean() throws {
      let files = try TemporaryDirectory()
      let c = TrainerTests.settings(try TrainerTests.dataset(files))
      let json = try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(c)) as? [String: Any])
      #expect(json["bestBy"] == nil && json["patience"] == nil)
      var other = c
      other.patience = 0
      #expect(other.contradiction?.contains("patience") == true && c.contradiction == nil)
    }
  }
}
