import ArgumentParser
import Model
import Parallel

struct Digest: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the SHA-256 of a run's whole training state: parameters, moments, queue, prototypes, step.")

  @Argument(help: "The run's directory.")
  var directory: String

  func run() throws {
    let files = RunDirectory(directory)
    let configuration = try files.readConfiguration()
    let state = try TrainingState(
      CARAT(configuration.model), placement: Placement(.current(), workers: 1))
    try state.load(from: SafetensorsFile(path: files.state))
    print(state.digest())
  }
}
