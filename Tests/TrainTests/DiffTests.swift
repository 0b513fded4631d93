import Foundation
import TestSupport
import Testing

/// `train diff`, on runs with and without digests of their steps.
@Suite struct DiffTests {
  private func directory() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    let generated = try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory)
    #expect(generated.status == 0, "\(generated.error)")
    return directory
  }

  private func train(_ output: String, _ more: [String], in directory: TemporaryDirectory) throws {
    let run = try Program.run(["run", "--data", "d", "--output", output] + Program.tiny + more, in: directory)
    #expect(run.status == 0, "\(run.error)")
  }

  @Test func runsOnOtherWorkersAreEqual() throws {
    let directory = try directory()
    try train("a", ["--log-digests", "--workers", "1"], in: directory)
    try train("b", ["--log-digests", "--workers", "3"], in: directory)
    let outcome = try Program.run(["diff", "a", "b"], in: directory)
    #expect(outcome.status == 0 && outcome.output.isEmpty, "\(outcome.output)")
  }

  @Test func theFirstStepAndTensorAreNamed() throws {
    let directory = try directory()
    try train("a", ["--log-digests"], in: directory)
    try train("b", ["--log-digests", "--weight-decay", "0.5"], in: directory)
    let outcome = try Program.run(["diff", "a", "b"], in: directory)
    #expect(outcome.status == 1)
    let full = try Program.run(["diff", "a", "b"], in: directory, shell: "exec >/dev/full")
    #expect(full.status == 74 && full.error.contains("standard output"), "\(full)")
    #expect(outcome.lines.contains { $0.hasPrefix("Setting optimizer.weightDecay is 0.01") }, "\(outcome.output)")
    // The first step's rate is 0, so weight decay first shows in the second step's parameters.
    #expect(
      outcome.lines.contains {
        $0.hasPrefix("The runs part at step 2: its loss terms agree; its gradients agree; its parameters differ in ")
      }, "\(outcome.output)")
    #expect(outcome.lines.contains { $0.hasPrefix("The final states differ in ") })
  }

  @Test func metricsServeWithoutDigests() throws {
    let directory = try directory()
    try train("a", [], in: directory)
    try train("b", ["--seed", "2"], in: directory)
    let outcome = try Program.run(["diff", "a", "b"], in: directory)
    #expect(outcome.status == 1)
    #expect(outcome.lines.contains { $0.hasPrefix("The runs part at step 1 ") }, "\(outcome.output)")
  }

  @Test func whatIsNoRunIsRefused() throws {
    let directory = try directory()
    let outcome = try Program.run(["diff", "d", "d"], in: directory)
    #expect(outcome.status == 65)
    #expect(outcome.error.contains("d/config.json") && outcome.error.split(separator: "\n").count == 1)
  }
}
