import ArgumentParser
import Files
import Foundation
import Logging
import Model
import Parallel
import Tensor

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
        train evaluate RUN                           metrics on the test split
        train predict RUN --data FILE.safetensors    scores of other samples

      Exit status: 0 done, or stopped by SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU or SIGHUP and saved (see --requeue-exit); \
      1 a replay or two runs differ, or a file is damaged; 2 a step or scores that are not finite; 64 wrong usage or \
      settings; 65 wrong or unreadable \
      data; 69 ranks that can't be started together; 70 a bug; 71 too little memory; 73 an output that can't be created; 74 writing failed; 75 another run is in \
      the directory; 76 a rank was lost; 130 stopped by Control-C.
      """,
    version: "\(programVersion) (\(InstructionSet.description))",
    subcommands: [
      Run.self, Generate.self, Evaluate.self, Predict.self, Verify.self, Replay.self, Digest.self, Diff.self,
      Bench.self, Scale.self,
      ShowTopology.self,
    ],
    defaultSubcommand: Run.self)

  static func main() {
    reserveStandardStreams()
    // A reader of the output that goes away is met where the output is written.
    signal(SIGPIPE, SIG_IGN)
    // A file-size limit is an error of the write, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    _ = FloatingPointEnvironment.useDefault()
    FatalSignals.install()
    LoggingSystem.bootstrap { _ in LogLines() }
    var kind: ParsableCommand.Type = Self.self
    do {
      try requireText(CommandLine.unsafeArgv)
      try requireCommand(CommandLine.arguments.dropFirst().first)
      var command = try parseAsRoot()
      kind = type(of: command)
      try command.run()
      Launcher.leave()
    } catch {
      end(with: error, in: kind)
    }
  }

  /// The default command takes no arguments without an option: what looks like one is a command, mistyped.
  private static func requireCommand(_ first: String?) throws {
    let names = configuration.subcommands.map { $0._commandName }
    guard let first, !first.hasPrefix("-"), first != "help", !names.contains(first) else { return }
    let nearest = nearest(to: first, among: names + ["help"]).map { "; did you mean '\($0)'?" } ?? "."
    throw ValidationError("There is no command '\(first)' among \(names.joined(separator: ", "))\(nearest)")
  }

  /// Swift would repair an argument that is not UTF-8, and its name would be that of another file.
  private static func requireText(_ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws(SettingsError)
  {
    // The first is the program.
    var i = arguments[0] == nil ? 0 : 1
    while let argument = arguments[i] {
      guard String(validatingCString: argument) != nil else {
        throw SettingsError(
          description:
            "argument \(i), '\(String(cString: argument))', is not UTF-8; rename the file, or give a path in "
            + "UTF-8 that leads to it")
      }
      i += 1
    }
  }

  /// One clear line on the standard error and an exit status by kind; the parser's messages are followed by the usage of
  /// the command. Help goes to the standard output. Where ranks fail, all end; rank 0 speaks first, and alone if it is in
  /// time.
  private static func end(with error: Error, in command: ParsableCommand.Type) -> Never {
    if let code = error as? ExitCode {
      Launcher.leave()
      Launcher.end(status: code.rawValue)
    }
    let (rank, size) = Launcher.announced
    if rank > 0 { Thread.sleep(forTimeInterval: 3) }
    if let status = status(of: error) {
      let place = rank > 0 ? "rank \(rank) of \(size) on host \(Host.name): " : ""
      StandardError.write(lines: "train: \(place)\(error)")
      Launcher.end(status: status)
    }
    let status = exitCode(for: error).rawValue
    let text = message(error, in: command)
    if status != EXIT_SUCCESS {
      StandardError.write(lines: text.split(separator: "\n").map(String.init))
      Launcher.end(status: status)
    }
    do throws(DataError) {
      try printOut(text)
    } catch {
      end(with: error, in: command)
    }
    Launcher.end(status: EXIT_SUCCESS)
  }

  /// The parser's words. Of an error that is found after parsing, it knows the command by its type only.
  private static func message(_ error: Error, in command: ParsableCommand.Type) -> String {
    guard let error = error as? ValidationError else { return fullMessage(for: error) }
    let names = command == Self.self ? "train" : "train \(command._commandName)"
    return "Error: \(error.message)\nUsage: \(usageString(for: command))\n  See '\(names) --help' for more information."
  }

  private static func status(of error: Error) -> Int32? {
    switch error {
    case is SettingsError, is RanksDiffer: 64
    case let error as DataError:
      switch error.kind {
      case .input: 65
      case .creation: 73
      case .writing: 74
      }
    case is Diverged, is NonFiniteScores: 2
    case is LaunchError: 69
    case is RunLocked: 75
    case is MemoryShortage, is MemoryError, is FaultyProcessor, is Unsettled, is DifferentCopies: 71
    default: nil
    }
  }
}
