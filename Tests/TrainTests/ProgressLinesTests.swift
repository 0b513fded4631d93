import Foundation
import TestSupport
import Testing

/// The line that a run prints after an epoch.
@Suite struct ProgressLinesTests {
  @Test func anEpochThatOnlyHadToBeEvaluatedHasNoLoss() throws {
    let directory = try TemporaryDirectory()
    let run = ["run", "--output", "r", "--checkpoint-every", "2", "--keep", "9"] + Program.tiny + Program.tinyData
    #expect(try Program.run(run, in: directory).status == 0)
    // 2 steps an epoch: the second step's checkpoint is from before the evaluation.
    try FileManager.default.removeItem(atPath: directory.file("r/checkpoints/step-000000004.safetensors"))
    let resumed = try Program.run(["run", "--output", "r", "--resume"], in: directory)
    let epochs = resumed.lines.filter { $0.hasPrefix("epoch ") }
    #expect(epochs.count == 2, "\(resumed)")
    #expect(epochs.first?.hasPrefix("epoch 1/2  valid micro-F1 ") == true, "\(epochs)")
    #expect(epochs.last?.contains("loss ") == true && epochs.last?.contains("samples/s") == true, "\(epochs)")
  }

  @Test func stepsThatWereLeftOutHaveNoPartInTheLoss() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    for split in ["train", "valid", "test"] {
      var data = BadInputTests.SampleData()
      if split == "train" { for i in 0..<6 { data.features[0].values[i] = 3e38 } }
      try data.write(to: directory.file("d/\(split).safetensors"))
    }
    let run = ["run", "--data", "d", "--output", "r", "--on-nonfinite", "skip"] + Program.tiny
    let outcome = try Program.run(run + ["--batch-size", "2", "--epochs", "1"], in: directory)
    #expect(outcome.status == 0 && outcome.output.contains("left out"), "\(outcome)")
    let losses = try String(contentsOfFile: directory.file("r/metrics.jsonl"), encoding: .utf8).split(separator: "\n")
      .compactMap { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
      .filter { $0["event"] as? String == "step" }.compactMap { $0["loss"] as? Double }
    #expect(losses.count == 3)
    let mean = String(format: "loss %.4f ", losses.reduce(0, +) / Double(losses.count))
    #expect(outcome.output.contains(mean), "\(mean): \(outcome.output)")
  }
}
