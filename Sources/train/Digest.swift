import ArgumentParser
import Model

struct Digest: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the SHA-256 of a run's training state.",
    discussion: """
      The state is all that training changes: parameters, the optimiser's moments, queue, prototypes, step, as in the \
      newest checkpoint. The run printed the same digest at its end.
      """)

  @Argument(help: ArgumentHelp("The --output directory of a run.", valueName: "run"))
  var runDirectory: String

  func run() throws {
    try say(RunDirectory(runDirectory).openCheckpoint().digest())
  }
}
