import Files
import Foundation
import TestSupport

/// The built `train`, run as people run it.
enum Program {
  struct Outcome {
    let status: Int32
    let signalled: Bool
    let output: String
    let error: String

    var lines: [String] { output.split(separator: "\n").map(String.init) }
    /// The keys of the last line, a JSON object.
    var json: [String: Any] {
      let object = try? JSONSerialization.jsonObject(with: Data((lines.last ?? "").utf8))
      return object as? [String: Any] ?? [:]
    }
  }

  /// Beside the test bundle; otherwise in the package's own build directory.
  static let path: String? = {
    let beside = CommandLine.arguments.prefix(1).map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
    let build = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../.build")
    let directories = beside + ["release", "debug"].map { build.appendingPathComponent($0) }
    return directories.map { $0.appendingPathComponent("train").standardized.path }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  static let taskset = "/usr/bin/taskset"

  /// Sizes that train in milliseconds.
  static let tiny = [
    "--layers", "1,1,1", "--hidden-size", "16", "--heads", "2", "--feed-forward-size", "16", "--latent-size", "8",
    "--queue-size", "64", "--batch-size", "8", "--epochs", "2",
  ]
  static let tinyData = ["--samples", "20,9,10", "--steps", "4", "--features", "5,4,3", "--labels", "3"]

  /// A program that runs, its output going to files: nobody has to read meanwhile.
  final class Running {
    private let process = Process()
    private let files: (output: String, error: String)

    var identifier: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    /// What was printed so far.
    var output: String { (try? String(contentsOfFile: files.output, encoding: .utf8)) ?? "" }

    /// - Parameters:
    ///   - cpus: what taskset leaves the program, if it is to be restricted.
    ///   - shell: commands of a shell before it becomes the program, such as `ulimit`.
    ///   - streams: what 0, 1 or 2 is instead of nothing or a file.
    init(
      _ arguments: [String], in directory: TemporaryDirectory, cpus: String? = nil, shell: String? = nil,
      environment: [String: String] = [:], streams: [Int32: FileHandle] = [:]
    ) throws {
      struct NotBuilt: Error {}
      guard let path else { throw NotBuilt() }
      files = (directory.file("stdout-\(UUID())"), directory.file("stderr-\(UUID())"))
      for file in [files.output, files.error] { _ = FileManager.default.createFile(atPath: file, contents: nil) }
      var command = [path] + arguments
      if let shell { command = ["/bin/sh", "-c", shell + "; exec \"$@\"", "sh"] + command }
      if let cpus { command = [taskset, "-c", cpus] + command }
      process.executableURL = URL(fileURLWithPath: command[0])
      process.arguments = Array(command.dropFirst())
      process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
      process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
      process.standardInput = streams[STDIN_FILENO] ?? FileHandle.nullDevice
      process.standardOutput = streams[STDOUT_FILENO] ?? FileHandle(forWritingAtPath: files.output)
      process.standardError = streams[STDERR_FILENO] ?? FileHandle(forWritingAtPath: files.error)
      try process.run()
    }

    deinit { for file in [files.output, files.error] { try? FileManager.default.removeItem(atPath: file) } }

    func end() throws -> Outcome {
      process.waitUntilExit()
      return Outcome(
        status: process.terminationStatus, signalled: process.terminationReason == .uncaughtSignal,
        output: try String(contentsOfFile: files.output, encoding: .utf8),
        error: try String(contentsOfFile: files.error, encoding: .utf8))
    }
  }

  static func run(
    _ arguments: [String], in directory: TemporaryDirectory, cpus: String? = nil, shell: String? = nil,
    environment: [String: String] = [:], streams: [Int32: FileHandle] = [:]
  ) throws -> Outcome {
    try Running(
      arguments, in: directory, cpus: cpus, shell: shell, environment: environment, streams: streams
    ).end()
  }
}
