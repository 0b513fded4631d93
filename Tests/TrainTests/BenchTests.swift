import Foundation
import TestSupport
import Testing

/// `train bench`: what it tells, not how fast anything is.
@Suite struct BenchTests {
  static let sizes = [
    "--layers", "1,1,1", "--hidden-size", "16", "--heads", "2", "--feed-forward-size", "16", "--latent-size", "8",
    "--queue-size", "64", "--batch-size", "8", "--length", "5", "--features", "5,4,3", "--labels", "2", "--timed-steps",
    "2",
  ]

  @Test func jsonHasItsKeys() throws {
    let outcome = try Program.run(["bench", "--json", "--workers", "2"] + Self.sizes, in: try TemporaryDirectory())
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(
      outcome.json.keys.sorted() == [
        "anchors", "batch_size", "fastest", "fma_gflops", "fma_share", "peak_mib", "phases", "products", "ranks",
        "rest_share", "samples_per_second", "seconds_per_step", "sgemm_gflops", "sgemm_share", "slowest",
        "steps", "workers",
      ])
    #expect(outcome.json["workers"] as? Int == 2 && outcome.json["steps"] as? Int == 2)
    #expect(outcome.json["sgemm_gflops"] as? Double ?? 0 > 0)
    #expect(outcome.json["fma_gflops"] as? Double ?? 0 > 0)
    let products = try #require(outcome.json["products"] as? [String: Double])
    #expect(
      products.keys.sorted() == ["attention", "contrastive", "forward", "input gradients", "weight gradients"]
        && products.values.allSatisfy { $0 > 0 })
    let phases = try #require(outcome.json["phases"] as? [String: Double])
    for name in [
      "encoders forward", "encoders backward", "contrastive statistics", "all-reduce", "update", "text encoder forward",
    ] {
      #expect(phases[name] ?? 0 > 0, "\(phases)")
    }
  }

  @Test func theTimelineHasARowAWorker() throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(
      ["bench", "--workers", "3", "--trace", "t.json", "--queue-keys", "momentum"] + Self.sizes, in: directory)
    #expect(outcome.status == 0, "\(outcome.error)")
    let data = try Data(contentsOf: URL(fileURLWithPath: directory.file("t.json")))
    let trace = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let events = try #require(trace["traceEvents"] as? [[String: Any]])
    let names = events.filter { $0["name"] as? String == "thread_name" }
      .compactMap { ($0["args"] as? [String: String])?["name"] }
    #expect(names.count == 3 && names.allSatisfy { $0.contains("node") && $0.contains("core") }, "\(names)")
    let spans = events.filter { $0["ph"] as? String == "X" }
    for worker in 0..<3 {
      let own = spans.filter { $0["tid"] as? Int == worker }.compactMap { $0["name"] as? String }
      #expect(
        own.filter { $0 == "encoders backward" }.count == 2 && own.filter { $0 == "key encoders" }.count == 2, "\(own)")
    }
    #expect(spans.allSatisfy { ($0["ts"] as? Double ?? -1) >= 0 && ($0["dur"] as? Double ?? -1) >= 0 })
  }

  @Test(arguments: [
    (["--dry-run", "--trace", "t"], "--trace"), (["--dry-run", "--collectives"], "--collectives"),
    (["--dry-run", "--no-overlap"], "--no-overlap"), (["--collectives", "--trace", "t"], "--trace"),
    (["--collectives", "--mean-length", "0.5"], "--mean-length"), (["--collectives", "--no-overlap"], "--no-overlap"),
    (["--collectives"], "several ranks"), (["--mean-length", "0"], "--mean-length"), (["--timed-steps", "0"], "0"),
  ])
  func whatIsWithoutEffectIsRefused(options: [String], words: String) throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(["bench"] + Self.sizes + options, in: directory)
    #expect(outcome.status == 64 && outcome.error.contains(words) && outcome.output.isEmpty, "\(outcome)")
    #expect(try directory.names() == [])
  }

  @Test func aFullOutputIsAnError() throws {
    let outcome = try Program.run(["bench"] + Self.sizes, in: try TemporaryDirectory(), shell: "exec >/dev/full")
    #expect(outcome.status == 74 && outcome.error.contains("standard output"), "\(outcome)")
  }

  @Test func aTraceWithoutAPlaceIsFoundBeforeTiming() throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(["bench", "--trace", "nowhere/t.json"] + Self.sizes, in: directory)
    #expect(outcome.status == 73 && outcome.error.contains("nowhere/t.json") && outcome.output.isEmpty, "\(outcome)")
    #expect(try directory.names() == [])
  }

  @Test func aTraceThatCannotBeWrittenLosesNoResult() throws {
    let outcome = try Program.run(["bench", "--trace", "/dev/full"] + Self.sizes, in: try TemporaryDirectory())
    #expect(outcome.status == 74 && outcome.error.contains("/dev/full"), "\(outcome)")
    #expect(outcome.output.contains("s per step"), "\(outcome.output)")
  }
}
