import ArgumentParser
import Model

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tell where two runs part: the first step, and the first tensor.",
    discussion: """
      Compares settings, the steps' digests (of runs with --log-digests; otherwise the loss terms in the metrics) and \
      the final states. Prints nothing and exits with 0 if the runs are equal; otherwise one line a fact, and 1.
      """)

  @Argument(help: "A run's directory.")
  var first: String

  @Argument(help: "Another run's directory.")
  var second: String

  func run() throws {
    let difference = try RunDifference(RunDirectory(first), RunDirectory(second))
    for line in difference.lines { try say(line) }
    if !difference.lines.isEmpty { throw ExitCode(1) }
  }
}
