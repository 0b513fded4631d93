import ArgumentParser
import Model
import Parallel

struct Digest: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the SHA-256 of a run's training state.",
    discussion: """
      The state is all that training changes: parameters, the optimiser's moments, queue, prototypes, step. The run \
      printed the same digest at its end.
      """)

  @Argument(help: ArgumentHelp("The --output directory of a run.", valueName: "run"))
  var runDirectory: String

  func run() throws {
    let directory = RunDirectory(runDirectory)
    let configuration = try directory.readConfiguration()
    try configuration.requireMemory()
    let file = try directory.openState()
    let state = try TrainingState(CARAT(configuration.model), placement: Placement(.current(), workers: 1))
    try state.load(from: file)
    try say(state.digest())
  }
}
