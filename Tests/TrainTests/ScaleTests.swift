import Foundation
import TestSupport
import Testing

/// `train scale`: what it writes, not how anything scales.
@Suite struct ScaleTests {
  private func lines(_ path: String) throws -> [[String: Any]] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  private func scale(_ more: [String], in directory: TemporaryDirectory) throws -> Program.Outcome {
    try Program.run(["scale", "--output", "s"] + BenchTests.sizes + more, in: directory)
  }

  @Test func everyConfigurationIsMeasuredEachRound() throws {
    let directory = try TemporaryDirectory()
    let outcome = try scale(["--workers", "2,1", "--repeats", "3"], in: directory)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(try TemporaryDirectory.names(in: directory.file("s")) == ["scaling.csv", "scaling.jsonl"])

    let records = try lines(directory.file("s/scaling.jsonl"))
    let events = records.compactMap { $0["event"] as? String }
    #expect(
      events == ["machine"] + Array(repeating: "measurement", count: 12) + Array(repeating: "summary", count: 4))
    #expect(
      records[0].keys.sorted() == [
        "compiler", "cpu_model", "event", "instruction_set", "kernel", "machines", "program", "ranks", "topology",
      ])
    let measured = records[1...12]
    #expect(
      measured.first?.keys.sorted() == [
        "barrier_seconds", "barriers", "batch_size", "event", "gradient_bytes", "mode", "nodes", "operations", "phases",
        "ranks", "round",
        "samples_per_second", "seconds", "seconds_per_step", "sent_bytes", "sent_messages", "sgemm_gflops",
        "sgemm_share", "workers", "workspace_bytes",
      ])
    // Round by round, all configurations in turn; the weak ones' batches grow.
    let order = measured.compactMap { m in
      (m["mode"] as? String).flatMap { mode in (m["workers"] as? Int).map { "\(mode) \($0)" } }
    }
    #expect(order == Array(repeating: ["strong 1", "strong 2", "weak 1", "weak 2"], count: 3).flatMap(\.self))
    #expect(measured.compactMap { $0["round"] as? Int } == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    #expect(measured.prefix(4).compactMap { $0["batch_size"] as? Int } == [8, 8, 8, 16])
    #expect(measured.allSatisfy { ($0["seconds"] as? [Double])?.count == 2 })
    #expect(measured.allSatisfy { ($0["phases"] as? [String: Double])?["encoders backward"] ?? 0 > 0 })
  }

  @Test func summariesCompareWithTheFewestWorkers() throws {
    let directory = try TemporaryDirectory()
    let outcome = try scale(["--workers", "1,2", "--repeats", "2"], in: directory)
    #expect(outcome.status == 0, "\(outcome.error)")
    let summaries = try lines(directory.file("s/scaling.jsonl")).filter { $0["event"] as? String == "summary" }
    for summary in summaries {
      let speedup = try #require(summary["speedup"] as? [String: Double])
      let efficiency = try #require(summary["efficiency"] as? [String: Double])
      let workers = try #require(summary["workers"] as? Int)
      if workers == 1 { #expect(speedup == ["median": 1, "min": 1, "max": 1]) }
      let (least, median, greatest) = (speedup["min"] ?? .nan, speedup["median"] ?? .nan, speedup["max"] ?? .nan)
      #expect(least > 0 && least <= median && median <= greatest)
      #expect(abs((efficiency["median"] ?? 0) * Double(workers) - median) < 1e-9 * median)
      // A sample of a larger batch is more work.
      let work = try #require(summary["work_efficiency"] as? [String: Double])
      let isWeak = summary["mode"] as? String == "weak" && workers > 1
      #expect(isWeak ? work["median"] ?? 0 > efficiency["median"] ?? .infinity : work == efficiency)
    }

    let rows = try String(contentsOfFile: directory.file("s/scaling.csv"), encoding: .utf8)
      .split(separator: "\n").map { $0.split(separator: ",") }
    #expect(rows.count == 5 && Set(rows.map(\.count)).count == 1, "a head and a row a configuration")
    #expect(rows[0].prefix(6).joined(separator: ",") == "mode,workers,ranks,batch_size,repeats,seconds_per_step")
    #expect(rows[0].contains("contrastive statistics") && rows[0].contains("wait"))

    let head = outcome.lines.firstIndex { $0.contains("speed-up") }
    let table = outcome.lines.dropFirst(try #require(head))
    #expect(table.prefix(5).map(\.count).allSatisfy { $0 == table.first?.count }, "\(table)")
    #expect(
      table.dropFirst().prefix(4).compactMap { $0.split(separator: " ").first } == ["strong", "strong", "weak", "weak"])
  }

  @Test(arguments: [1, 2]) func aLargerMachineIsEmulated(nodes: Int) throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(
      ["scale", "--emulate", "3,2", "--emulate-nodes", "\(nodes)", "--json", "--output", "s"] + BenchTests.sizes,
      in: directory)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(
      outcome.json.keys.sorted() == ["batch_size", "emulated", "one_worker_seconds", "one_worker_step", "steps"])
    let points = try #require(outcome.json["emulated"] as? [[String: Any]])
    #expect(points.compactMap { $0["workers"] as? Int } == [2, 3])
    for point in points {
      let workers = try #require(point["workers"] as? Int)
      let seconds = try #require(point["seconds_per_step"] as? Double)
      let phases = try #require(point["phases"] as? [String: [String: Double]])
      #expect(phases["encoders forward"]?["total"] ?? 0 > 0 && phases["update"]?["total"] ?? 0 > 0)
      // One thread deals.
      for (name, phase) in phases where name != "dealing" {
        let (slowest, mean, total) = (phase["slowest"] ?? -1, phase["mean"] ?? -1, phase["total"] ?? -1)
        #expect(slowest >= mean && abs(total - Double(workers) * mean) <= 1e-9 * total)
      }
      #expect(abs(phases.values.reduce(0) { $0 + ($1["slowest"] ?? 0) } - seconds) < 1e-9)
      let speedup = try #require(point["speedup"] as? Double)
      #expect(abs((point["efficiency"] as? Double ?? 0) * Double(workers) - speedup) < 1e-9)
      let bytes = try #require(point["bytes"] as? [String: Any])
      let between = try #require(bytes["between_nodes"] as? [String: Int])
      // Each node's partial sum is read by the workers of all other nodes.
      #expect(between["gradients"] == (nodes - 1) * (bytes["gradients"] as? Int ?? 0))
    }
    let records = try lines(directory.file("s/scaling.jsonl"))
    #expect(records.compactMap { $0["event"] as? String } == ["machine", "emulated", "emulated"])
    #expect(try TemporaryDirectory.names(in: directory.file("s")) == ["scaling.jsonl"])
  }

  @Test(arguments: [
    ["--workers", "1,x"], ["--workers", "0"], ["--workers", ""], ["--mode", "strong,wide"], ["--repeats", "0"],
    ["--timed-steps", "0"], ["--json"], ["--mean-length", "0.5"], ["--emulate", "0"],
    ["--emulate", "2", "--mode", "weak"],
    ["--emulate", "2,4", "--emulate-nodes", "3"], ["--emulate", "2", "--workers", "2"],
  ])
  func wrongUsageWritesNothing(arguments: [String]) throws {
    let directory = try TemporaryDirectory()
    let outcome = try scale(arguments, in: directory)
    #expect(outcome.status == 64, "\(outcome.error)")
    #expect(!directory.exists("s"))
  }
}

extension TemporaryDirectory {
  fileprivate static func names(in path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }
}
