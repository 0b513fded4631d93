import Foundation
import TestSupport
import Testing

/// Generate, run, digest, evaluate, predict: what a user does, on data that train in milliseconds.
@Suite struct WholePathTests {
  @Test func fromDataToPredictions() throws {
    let directory = try TemporaryDirectory()
    let generated = try Program.run(["generate", "--output", "d", "--json"] + Program.tinyData, in: directory)
    #expect(generated.status == 0 && generated.json["splits"] != nil, "\(generated.error)")

    let run = try Program.run(["run", "--data", "d", "--output", "r", "--json"] + Program.tiny, in: directory)
    #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    #expect(!run.output.contains("\u{1B}") && !run.output.contains("\r"))
    #expect(run.lines.filter { $0.hasPrefix("epoch ") }.count == 2)
    let keys = [
      "best_epoch", "digest", "environment", "peak_mib", "placement", "ranks", "reachable", "samples_per_second",
      "seconds_per_step",
      "steps", "test", "time", "valid", "workers",
    ]
    #expect(run.json.keys.sorted() == keys)
    let test = try #require(run.json["test"] as? [String: Any])
    let metrics = ["accuracy", "cross_entropy", "label_f1", "mAP", "macro_f1", "micro_f1", "precision", "recall"]
    #expect(test.keys.sorted() == metrics)
    #expect(try directory.names() == ["d", "r"])
    let files = try FileManager.default.contentsOfDirectory(atPath: directory.file("r")).sorted()
    #expect(
      files == [
        "best.safetensors", "checkpoints", "config.json", "lock", "metrics.jsonl", "result.json",
      ])

    let digest = try Program.run(["digest", "r"], in: directory)
    #expect(digest.lines == [run.json["digest"] as? String])
    #expect(digest.output.count == 65)

    let evaluated = try Program.run(["evaluate", "r", "--data", "d", "--json"], in: directory)
    #expect(evaluated.json["micro_f1"] as? Double == test["micro_f1"] as? Double)
    #expect(evaluated.json["mAP"] as? Double == test["mAP"] as? Double)

    let csv = try Program.run(["predict", "r", "--data", "d"], in: directory)
    #expect(
      csv.lines.count == 11
        && csv.lines[0] == "sample,score_label0,score_label1,score_label2,label_label0,label_label1,label_label2,"
          + "threshold_label0,threshold_label1,threshold_label2,truth_label0,truth_label1,truth_label2"
    )
    let jsonl = try Program.run(
      ["predict", "r", "--data", "d/valid.safetensors", "--format", "jsonl", "--output", "p.jsonl"], in: directory)
    #expect(jsonl.status == 0 && jsonl.output.isEmpty)
    let lines = try String(contentsOfFile: directory.file("p.jsonl"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 9 && lines[8].contains("\"sample\":8"))
    #expect(try directory.names() == ["d", "p.jsonl", "r"])
  }

  @Test func everyStepAndEvaluationIsRecorded() throws {
    let directory = try TemporaryDirectory()
    let run = try Program.run(["--output", "r"] + Program.tiny + Program.tinyData, in: directory)
    #expect(run.status == 0, "\(run.error)")
    #expect(run.output.contains("best reachable"))
    let text = try String(contentsOfFile: directory.file("r/metrics.jsonl"), encoding: .utf8)
    let records = try text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    let events = records.map { ($0["event"] as? String ?? "") + ($0["split"] as? String ?? "") }
    #expect(
      events == [
        "start", "step", "placement", "step", "phases", "evaluationvalid", "step", "step", "phases", "evaluationvalid",
        "evaluationtest",
      ])
    #expect(records[0].keys.sorted() == ["environment", "event", "ranks", "step", "time", "workers"])
    #expect(
      records[1].keys.sorted() == [
        "environment", "epoch", "event", "gradient_norm", "learning_rate", "loss", "samples_per_second", "step",
        "terms", "time",
      ])
    let terms = try #require(records[1]["terms"] as? [String: Any])
    let names = [
      "alpha_bce", "alpha_mse", "aggregate_bce", "beta_bce", "beta_mse", "contrastive", "plain_bce",
      "reconstruction_mse",
      "shuffled_bce",
    ]
    #expect(Set(terms.keys) == Set(names))
    for (record, epoch) in [(records[4], 1), (records[8], 2)] {
      // A step's time, all of it, of the epoch's steps and of nothing else.
      let seconds = try #require(record["seconds"] as? [String: Double])
      let whole = try #require(record["seconds_per_step"] as? Double)
      #expect(abs(seconds.values.reduce(0, +) - whole) < 0.01 * whole && record["steps"] as? Int == 2)
      #expect(record["epoch"] as? Int == epoch && record["step"] as? Int == 2 * epoch)
      #expect(
        ["encoders forward", "weight gradients", "update", "wait", "between"].allSatisfy { seconds[$0] ?? 0 > 0 })
      #expect(seconds["scores"] == nil && seconds["communication"] == nil, "\(seconds)")
    }
    #expect(records[10].keys.sorted() == ["best", "environment", "epoch", "event", "metrics", "split", "step", "time"])
  }

  /// Which machine and program computed what, and when.
  @Test func whatComputesARunIsRecorded() throws {
    let directory = try TemporaryDirectory()
    let before = Date()
    let run = ["run", "--output", "r"] + Program.tiny + Program.tinyData
    #expect(try Program.run(run, in: directory).status == 0)
    let more = ["run", "--output", "r", "--resume", "--allow-changed", "epochs", "--epochs", "3", "--workers", "1"]
    #expect(try Program.run(more, in: directory).status == 0)
    func object(_ text: Data) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
    }
    let records = try String(contentsOfFile: directory.file("r/metrics.jsonl"), encoding: .utf8)
      .split(separator: "\n").map { try object(Data($0.utf8)) }
    let starts = records.filter { $0["event"] as? String == "start" }
    #expect(starts.map { $0["step"] as? Int } == [0, 4] && starts[1]["workers"] as? Int == 1)
    let result = try object(Data(contentsOf: URL(fileURLWithPath: directory.file("r/result.json"))))
    let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    // Times are cut to milliseconds.
    var last = before.addingTimeInterval(-0.001)
    for record in records + [result] {
      let time = try format.parse(try #require(record["time"] as? String, "\(record)"))
      #expect(time >= last && time <= Date())
      last = time
    }
    let version = try Program.run(["--version"], in: directory).output
    let processor = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
    let host = try String(contentsOfFile: "/proc/sys/kernel/hostname", encoding: .utf8)
    let config = try object(Data(contentsOf: URL(fileURLWithPath: directory.file("r/config.json"))))
    let written = try #require(config["written"] as? [String: Any])
    for record in records + [result, written] {
      let environment = try #require(record["environment"] as? [String: String])
      #expect(environment.keys.sorted() == ["cpu_model", "host", "instruction_set", "program"])
      for key in ["program", "instruction_set"] { #expect(version.contains(try #require(environment[key]))) }
      #expect(host.hasPrefix(try #require(environment["host"])))
      let model = try #require(environment["cpu_model"])
      #expect(processor.contains(model) || model == "an unknown processor")
    }
  }

  @Test func theDigestDoesNotDependOnTheWorkers() throws {
    let directory = try TemporaryDirectory()
    var digests = Set<String>()
    for workers in ["1", "2", "3"] {
      let run = try Program.run(
        ["run", "--output", "r" + workers, "--workers", workers, "--json"] + Program.tiny + Program.tinyData,
        in: directory)
      #expect(run.json["workers"] as? Int == Int(workers))
      digests.insert(run.json["digest"] as? String ?? run.error)
    }
    #expect(digests.count == 1, "\(digests)")
    let other = try Program.run(
      ["run", "--output", "r4", "--seed", "2", "--json"] + Program.tiny + Program.tinyData, in: directory)
    #expect(!digests.contains(other.json["digest"] as? String ?? ""))
  }

  @Test func aSecondRunReplacesTheFirstIfItIsAskedTo() throws {
    let directory = try TemporaryDirectory()
    let arguments = ["run", "--output", "r"] + Program.tiny + Program.tinyData
    #expect(try Program.run(arguments, in: directory).status == 0)
    let before = try Data(contentsOf: URL(fileURLWithPath: directory.file("r/result.json")))
    let refused = try Program.run(arguments + ["--seed", "2"], in: directory)
    #expect(refused.status == 73 && refused.output.isEmpty, "\(refused)")
    for words in ["r: expected no finished run", "r/result.json", "--overwrite"] {
      #expect(refused.error.contains(words), "\(refused.error)")
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: directory.file("r/result.json"))) == before)
    let second = try Program.run(arguments + ["--seed", "2", "--json", "--overwrite"], in: directory)
    #expect(second.status == 0)
    let checkpoints = try FileManager.default.contentsOfDirectory(atPath: directory.file("r/checkpoints"))
    #expect(checkpoints == ["step-000000004.safetensors"])
    #expect(try Program.run(["digest", "r"], in: directory).lines == [second.json["digest"] as? String])
  }

  @Test(arguments: [
    ["--help"], ["run", "--help"], ["generate", "--help"], ["evaluate", "--help"], ["predict", "--help"],
    ["replay", "--help"], ["digest", "--help"], ["verify", "--help"], ["topology", "--help"], ["--version"],
  ])
  func help(arguments: [String]) throws {
    let outcome = try Program.run(arguments, in: try TemporaryDirectory())
    #expect(outcome.status == 0 && !outcome.output.isEmpty && outcome.error.isEmpty)
  }

}
