import ArgumentParser
import Foundation
import Model
import Parallel

/// The program: each subcommand in its own file.
@main
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Trains CARAT, multi-modal multi-label emotion recognition, on the cores of this machine.",
    discussion: """
      A sample is three sequences (text, visual, audio) and a set of emotions. `train run` trains on a data set \
      directory, or on a generated one where none is given; every result is the same bits for any number of workers.
      """,
    subcommands: [Run.self, Generate.self, Evaluate.self, Predict.self, Replay.self, Digest.self, Bench.self],
    defaultSubcommand: Run.self)

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      end(with: error)
    }
  }

  /// One clear line on the standard error and an exit status by kind: 64 usage, 65 data, 71 the system is short of
  /// something. Help and the parser's own messages go the parser's way.
  private static func end(with error: Error) -> Never {
    let status: Int32
    switch error {
    case is DataError: status = 65
    case is MemoryError: status = 71
    case is ShardPlanError: status = 64
    default: exit(withError: error)
    }
    FileHandle.standardError.write(Data("train: \(error)\n".utf8))
    Foundation.exit(status)
  }
}
