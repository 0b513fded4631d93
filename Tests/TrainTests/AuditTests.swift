import Foundation
import TestSupport
import Testing

/// Cores that compute wrongly, asked for by `CARAT_FAULT`.
struct AuditTests {
  static let options = [
    "run", "--samples", "64,16,16", "--steps", "5", "--features", "8,7,9", "--layers", "1,1,1", "--hidden-size", "16",
    "--heads", "2", "--feed-forward-size", "16", "--latent-size", "8", "--queue-size", "100", "--batch-size", "8",
    "--epochs", "2", "--learning-rate", "3e-3", "--workers", "2", "--quiet", "--json",
  ]

  func run(_ more: [String], fault: String? = nil, in directory: TemporaryDirectory) throws -> Program.Outcome {
    try Program.run(
      Self.options + ["--output", "r", "--overwrite"] + more, in: directory,
      environment: fault.map { ["CARAT_FAULT": $0] } ?? [:])
  }

  func faults(_ directory: TemporaryDirectory) throws -> [[String: Any]] { try records("fault", directory) }

  func records(_ event: String, _ directory: TemporaryDirectory) throws -> [[String: Any]] {
    try String(contentsOfFile: directory.file("r/metrics.jsonl"), encoding: .utf8).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }.filter { $0["event"] as? String == event }
  }

  static let audits = [
    ["--audit-every", "1"], ["--audit-every", "1", "--accumulate", "2"],
    ["--audit", "replay", "--checkpoint-every", "3"],
  ]

  @Test(.timeLimit(.minutes(5)), arguments: audits) func aFaultIsFoundAndUndone(_ audit: [String]) throws {
    let directory = try TemporaryDirectory()
    let right = try #require(try run([], in: directory).json["digest"] as? String)
    let audited = try run(audit, in: directory)
    #expect(audited.json["digest"] as? String == right && audited.error.isEmpty)
    let counts = try #require(audited.json["audit"] as? [String: Int])
    #expect(counts == ["steps": 16, "faults": 0])
    var found = 0
    for (worker, product) in [(0, 200), (1, 1500), (0, 2222), (1, 3001), (0, 4100)] {
      let run = try run(audit, fault: "flip:\(worker):\(product)", in: directory)
      #expect(run.status == 0 && run.json["digest"] as? String == right, "\(worker):\(product): \(run)")
      #expect((run.json["audit"] as? [String: Int])?["faults"] == (try faults(directory).count))
      // Steps that were undone are told with no epoch's time.
      let told = try records("phases", directory).map { $0["steps"] as? Int ?? 0 }
      #expect(told.count == 2 && told.allSatisfy { (1...8).contains($0) }, "\(told)")
      for fault in try faults(directory) {
        found += 1
        #expect(fault["seat"] as? Int == worker && fault["action"] as? String == "avoid", "\(worker):\(product)")
        let cpu = try #require(fault["cpu"] as? Int)
        #expect(run.error.contains("CPU \(cpu) of host"))
      }
    }
    // Where they fall depends on when a checkpoint's file was written; some fall where they change nothing.
    #expect(found >= 2, "few of five faults were found: the test shows little")
    // A core that errs again and again gets no more work.
    for worker in [0, 1] {
      let run = try run(audit, fault: "flip:\(worker):90:every", in: directory)
      #expect(run.status == 0 && run.json["digest"] as? String == right, "\(worker): \(run)")
      let own = try faults(directory)
      #expect(!own.isEmpty && own.allSatisfy { $0["seat"] as? Int == worker })
      #expect(Set(own.compactMap { $0["step"] as? Int }).count == 1, "found again after it was to be avoided: \(own)")
    }
  }

  /// One core alone: faults that do not come again are found and undone, each is recorded, and the record stays when the run goes back.
  @Test(.timeLimit(.minutes(3))) func everyFaultIsRecorded() throws {
    let directory = try TemporaryDirectory()
    let right = try #require(try run([], in: directory).json["digest"] as? String)
    var (returns, unsettled) = (0, 0)
    for product in [20, 3500, 6000, 8000] {
      let run = try Program.run(
        Self.options + [
          "--output", "r", "--overwrite", "--workers", "1", "--audit", "replay", "--checkpoint-every", "5",
        ],
        in: directory, cpus: "0", environment: ["CARAT_FAULT": "flip:0:\(product):every"])
      let events = try faults(directory)
      #expect(!events.isEmpty && events.allSatisfy { $0["seat"] as? Int == 0 })
      returns += Set(events.compactMap { $0["step"] as? Int }).count > 1 ? 1 : 0
      if run.status == 71 {
        unsettled += 1
        #expect(run.error.contains("the only one of rank 0") && run.error.contains("--resume without it"), "\(run)")
        #expect(events.last?["action"] as? String == "stop")
        continue
      }
      #expect(run.status == 0 && run.json["digest"] as? String == right, "\(product): \(run)")
      #expect((run.json["audit"] as? [String: Int])?["faults"] == events.count, "\(product)")
    }
    #expect(
      returns > 0 && unsettled > 0,
      "\(returns) runs with several faults, \(unsettled) that ended: the test shows little")
  }

  /// Without audits the same faults change the result: otherwise the tests above show nothing.
  @Test func unauditedFaultsSpoilARun() throws {
    let directory = try TemporaryDirectory()
    let right = try run([], in: directory).json["digest"] as? String
    let spoiled = try run([], fault: "flip:1:90:every", in: directory)
    #expect(right != nil && spoiled.json["digest"] as? String != right)
  }

  @Test(arguments: audits) func aRunMayStop(_ audit: [String]) throws {
    let directory = try TemporaryDirectory()
    let right = try #require(try run([], in: directory).json["digest"] as? String)
    let stopped = try run(audit + ["--on-fault", "stop"], fault: "flip:0:90:every", in: directory)
    #expect(stopped.status == 71 && stopped.error.contains("continue with --resume"), "\(stopped)")
    let resumed = try Program.run(Self.options + ["--output", "r", "--resume"], in: directory)
    #expect(resumed.json["digest"] as? String == right)
  }

  /// In an evaluation too, of the weights or their average, and at the end, when the best ones are in the place of the last.
  @Test(.timeLimit(.minutes(5)), arguments: [audits[0], audits[2]]) func anEvaluationsFaultIsNamed(_ audit: [String])
    throws
  {
    let directory = try TemporaryDirectory()
    let options = ["--average-weights", "0.9", "--epochs", "1"]
    let right = try #require(try run(options, in: directory).json["digest"] as? String)
    /// Whether a fault fell into the test: it comes after the validations.
    var hits: Set<Bool> = []
    // Where evaluations lie among the products is not known here.
    for product in stride(from: 3500, to: 20000, by: 100) where hits.count < 2 {
      let stopped = try run(options + audit + ["--on-fault", "stop"], fault: "flip:1:\(product)", in: directory)
      guard stopped.status == 71, let fault = try faults(directory).first,
        (fault["stage"] as? String)?.hasPrefix("evaluation, ") == true
      else { continue }
      #expect(fault["seat"] as? Int == 1 && fault["step"] as? Int == 8 && stopped.error.contains("evaluation, "))
      let isInTest = try !records("evaluation", directory).isEmpty
      if hits.insert(isInTest).inserted {
        let resumed = try Program.run(Self.options + options + ["--output", "r", "--resume"], in: directory)
        #expect(resumed.json["digest"] as? String == right, "\(product): \(resumed)")
      }
    }
    #expect(hits == [false, true], "the test shows little")
  }

  @Test func optionsThatContradict() throws {
    let directory = try TemporaryDirectory()
    for wrong in [["--audit-every", "0"], ["--audit-every", "2", "--audit", "replay"], ["--on-fault", "stop"]] {
      let refused = try run(wrong, in: directory)
      #expect(refused.status == 64, "\(wrong): \(refused)")
    }
  }

  // MARK: train verify --replay

  @Test func stepsAreRepeated() throws {
    let directory = try TemporaryDirectory()
    let run = try run(["--checkpoint-every", "5", "--keep", "9"], in: directory)
    let digest = try #require(run.json["digest"] as? String)
    let verified = try Program.run(["verify", "r", "--replay", "--from-start", "--workers", "1"], in: directory)
    #expect(verified.status == 0 && verified.lines.allSatisfy { $0.contains("the same bits") }, "\(verified)")
    #expect(verified.lines.count >= 2 && verified.lines.last?.hasSuffix(digest) == true)
    // A step that came out otherwise is named, and ends it.
    let path = directory.file("r/metrics.jsonl")
    var lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    let i = try #require(lines.firstIndex { $0.contains("\"event\":\"step\"") && $0.contains("\"step\":7,") })
    lines[i] = lines[i].replacing(/"contrastive":[0-9.]+/, with: "\"contrastive\":1.5")
    try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    let differs = try Program.run(["verify", "r", "--replay", "--from-start"], in: directory)
    #expect(differs.status == 1 && differs.lines.last?.hasPrefix("step 7: loss term contrastive was 1.5, is ") == true)
    // A core that errs is no reproduction.
    let spoiled = try Program.run(
      ["verify", "r", "--replay", "--workers", "2"], in: directory, environment: ["CARAT_FAULT": "flip:0:50:every"])
    #expect(spoiled.status == 1, "\(spoiled)")
  }

  /// Steps that are left out, as not finite, are no faults, and are repeated like others.
  @Test(.timeLimit(.minutes(3)), arguments: audits) func stepsThatAreLeftOut(_ audit: [String]) throws {
    let directory = try TemporaryDirectory()
    let skipping = ["--on-nonfinite", "skip", "--learning-rate", "900", "--keep", "9"]
    let right = try run(skipping + ["--checkpoint-every", "5"], in: directory)
    let text = try String(contentsOfFile: directory.file("r/metrics.jsonl"), encoding: .utf8)
    #expect(right.status == 0 && text.contains("\"nonfinite\""), "no step was left out: the test shows nothing")
    let verified = try Program.run(["verify", "r", "--replay", "--from-start"], in: directory)
    #expect(verified.status == 0, "\(verified)")
    let audited = try run(skipping + audit, in: directory)
    #expect(audited.status == 0 && audited.json["digest"] as? String == right.json["digest"] as? String, "\(audited)")
    #expect(try faults(directory).isEmpty)
  }

  @Test func whatCantBeRepeatedIsSaid() throws {
    let directory = try TemporaryDirectory()
    _ = try run(["--keep", "1"], in: directory)
    let one = try Program.run(["verify", "r", "--replay"], in: directory)
    #expect(one.status == 65 && one.error.contains("--from-start"), "\(one)")
    let file = try Program.run(["verify", "r/best.safetensors", "--replay"], in: directory)
    #expect(file.status == 64)
  }
}
