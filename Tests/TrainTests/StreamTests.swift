import Foundation
import TestSupport
import Testing

/// Standard streams that are closed, full, or that nobody reads: no command stops in the middle of what it does, and none
/// ends as if all were well where its result is lost.
@Suite struct StreamTests {
  enum Spoiled: String, CaseIterable, Sendable {
    case closed, full, broken
  }

  /// What a command does with its standard output.
  enum Output: Sendable {
    /// It is the result: status 74 if it can't be written. A reader that is gone has what it wanted.
    case result
    /// It tells a person how things go.
    case progress
  }

  struct Command: Sendable, CustomTestStringConvertible {
    let arguments: [String]
    let output: Output
    let status: Int32
    var testDescription: String { arguments.prefix(2).joined(separator: " ") }

    init(_ arguments: [String], _ output: Output = .result, status: Int32 = 0) {
      (self.arguments, self.output, self.status) = (arguments, output, status)
    }
  }

  static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../ModelTests/Golden/one-sample.safetensors").standardized.path
  static let sizes = Array(Program.tiny.dropLast(2)) + ["--length", "4", "--features", "5,4,3", "--labels", "3"]
  static let training = ["run", "--output", "r"] + Program.tiny + ["--data", "d"]

  static let commands = [
    Command(["generate", "--output", "g"] + Program.tinyData),
    Command(training, .progress), Command(training + ["--json"]),
    Command(["evaluate", "whole", "--data", "d"]), Command(["evaluate", "whole", "--data", "d", "--json"]),
    Command(["predict", "whole", "--data", "d"]), Command(["predict", "whole", "--data", "d", "--format", "jsonl"]),
    Command(["verify", "whole"]), Command(["digest", "whole"]), Command(["diff", "whole", "other"], status: 1),
    Command(["bench", "--workers", "1", "--timed-steps", "1", "--json"] + sizes),
    Command(
      ["scale", "--output", "s", "--workers", "1", "--mode", "strong", "--repeats", "1", "--timed-steps", "1"] + sizes),
    Command(["replay", golden]), Command(["topology"] + sizes), Command(["--help"]), Command(["--version"]),
    Command(["run", "--generate-completion-script", "bash"]),
    Command(["run", "--no-such-option"], .progress, status: 64),
    Command(["predict", "nowhere", "--data", "d"], .progress, status: 65),
  ]

  /// A data set and two runs on it, which no command changes.
  static let prepared = Result {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    for (run, seed) in [("whole", "1"), ("other", "2")] {
      let arguments = ["run", "--output", run, "--data", "d", "--seed", seed] + Program.tiny
      #expect(try Program.run(arguments, in: directory).status == 0)
    }
    return directory
  }

  /// A directory of a test's own, with links to what is prepared.
  static func makeDirectory() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    for name in ["d", "whole", "other"] {
      try FileManager.default.createSymbolicLink(
        atPath: directory.file(name), withDestinationPath: prepared.get().file(name))
    }
    return directory
  }

  /// Runs a program with some streams spoiled.
  static func run(
    _ arguments: [String], in directory: TemporaryDirectory, _ spoiled: [Int32: Spoiled]
  ) throws -> Program.Outcome {
    var streams: [Int32: FileHandle] = [:]
    var closing: [String] = [":"]
    for (stream, how) in spoiled {
      switch how {
      case .closed: closing.append("exec \(stream)\(stream == STDIN_FILENO ? "<" : ">")&-")
      case .full: streams[stream] = FileHandle(forUpdatingAtPath: "/dev/full")
      case .broken:
        let pipe = Pipe()
        let (own, gone) = (pipe.fileHandleForWriting, pipe.fileHandleForReading)
        try (stream == STDIN_FILENO ? own : gone).close()
        streams[stream] = stream == STDIN_FILENO ? gone : own
      }
    }
    return try Program.run(
      arguments, in: directory, shell: closing.joined(separator: "; "), streams: streams)
  }

  @Test(arguments: commands) func everyCommand(_ command: Command) throws {
    let directory = try Self.makeDirectory()
    for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
      for how in Spoiled.allCases {
        let outcome = try Self.run(command.arguments, in: directory, [stream: how])
        let isLost = stream == STDOUT_FILENO && how != .broken && command.output == .result
        #expect(
          outcome.status == (isLost ? 74 : command.status) && !outcome.signalled,
          "\(how.rawValue) \(stream): \(outcome)")
        if isLost {
          #expect(outcome.error.hasPrefix("train: standard output: expected"), "\(outcome.error)")
        }
        if command.arguments[0] == "run" && command.status == 0 && command.arguments.contains("--output") {
          #expect(directory.exists("r/result.json") && directory.exists("r/checkpoints"), "\(how.rawValue) \(stream)")
          try FileManager.default.removeItem(atPath: directory.file("r"))
        }
      }
    }
  }

  /// Without streams no data file gets the number of one, and what is told goes nowhere.
  @Test func noStreamAtAll() throws {
    let directory = try Self.makeDirectory()
    let before = try Data(contentsOf: URL(fileURLWithPath: directory.file("d/train.safetensors")))
    let outcome = try Self.run(
      Self.training + ["--verbose", "--workers", "3"], in: directory, [0: .closed, 1: .closed, 2: .closed])
    #expect(outcome.status == 0 && !outcome.signalled)
    #expect(try Data(contentsOf: URL(fileURLWithPath: directory.file("d/train.safetensors"))) == before)
    let (digest, whole) = (
      try Program.run(["digest", "r"], in: directory), try Program.run(["digest", "whole"], in: directory)
    )
    #expect(digest.status == 0 && digest.output == whole.output)
  }
}
