import ArgumentParser
import Foundation
import Logging
import Model
import Parallel

/// The program: each subcommand in its own file.
@main
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Trains CARAT, a model of emotions in text, video and sound, on the cores of this machine.",
    discussion: """
      A sample is three sequences of feature vectors (text, visual, audio) and a set of labels, such as emotions. \
      `train run` learns to predict the labels; without a data set it shows itself on a generated one:

        train run --epochs 2                         generated data
        train run --data DIR --output RUN            your data
        train evaluate RUN --data DIR                metrics on the test split
        train predict RUN --data FILE.safetensors    scores of other samples

      Exit status: 0 done, or stopped by SIGTERM, SIGUSR1 or SIGHUP and saved (see --requeue-exit); 1 a replay or two \
      runs differ, or a file is damaged; 2 a step that is not finite; 64 wrong usage or settings; 65 wrong or unreadable \
      data; 70 a bug; 71 too little memory; 73 an output that can't be created; 74 writing failed; 75 another run is in \
      the directory; 130 stopped by Control-C.
      """,
    version: "0.1.0",
    subcommands: [
      Run.self, Generate.self, Evaluate.self, Predict.self, Verify.self, Replay.self, Digest.self, Diff.self, Bench.self,
      ShowTopology.self,
    ],
    defaultSubcommand: Run.self)

  static func main() {
    // A reader of the output that goes away is met where the output is written.
    signal(SIGPIPE, SIG_IGN)
    // A file-size limit is an error of the write, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    FatalSignals.install()
    LoggingSystem.bootstrap { _ in LogLines() }
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      end(with: error)
    }
  }

  /// One clear line on the standard error and an exit status by kind. Help and the parser's own messages go the
  /// parser's way.
  private static func end(with error: Error) -> Never {
    let status: Int32
    switch error {
    case is SettingsError, is ShardPlanError: status = 64
    case let error as DataError:
      status =
        switch error.kind {
        case .input: 65
        case .creation: 73
        case .writing: 74
        }
    case is Diverged: status = 2
    case is RunLocked: status = 75
    case is MemoryShortage, is MemoryError: status = 71
    default: exit(withError: error)
    }
    FileHandle.standardError.write(Data("train: \(error)\n".utf8))
    Foundation.exit(status)
  }
}
