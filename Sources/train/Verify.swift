import ArgumentParser
import Files
import Foundation
import Model

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compare a run's files with their checksums, or its steps with a repetition.",
    discussion: """
      Reads every byte of the run's checkpoints and best weights, and of the data set that it was trained on. Prints one \
      line a file; exits with 1 if any is damaged, changed or missing.

      With --replay, the steps between the checkpoints that are there (see `run --keep`) are taken again, on this machine and \
      with these workers, and loss terms and digests are compared: proof that the run can be reproduced, or the first \
      step that can't, and then 1.
      """)

  @Argument(help: ArgumentHelp("The --output directory of a run, or one .safetensors file.", valueName: "path"))
  var path: String

  @Option("Where the run's data set is now; by default where it was.", value: "directory")
  var data: String?

  @Flag(help: "Repeat the steps between the run's checkpoints and compare bits.")
  var replay = false

  @Flag(
    help: "With --replay: also those before the first checkpoint, from the initial weights; not of a run with --init.")
  var fromStart = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func validate() throws {
    if fromStart && !replay { throw ValidationError("--from-start goes with --replay.") }
    if replay && path.hasSuffix(".safetensors") {
      throw ValidationError("--replay repeats a run: give its directory, not a file.")
    }
  }

  func run() throws {
    if replay { return try repeatSteps() }
    let findings = try path.hasSuffix(".safetensors") ? [Finding(file: path)] : findings(in: RunDirectory(path))
    for finding in findings { try say("\(finding.file): \(finding.problem ?? "good")") }
    if findings.contains(where: { $0.problem != nil }) { throw ExitCode(1) }
  }

  private func repeatSteps() throws {
    var isSame = true
    try RunReplay(RunDirectory(path), data: data, team: try workers.makeTeam()).run(fromStart: fromStart) {
      try say($0.text)
      isSame = isSame && $0.isSame
    }
    if !isSame { throw ExitCode(1) }
  }

  private func findings(in directory: RunDirectory) throws -> [Finding] {
    let configuration = try directory.readConfiguration()
    let checkpoints = directory.checkpoints.files()
    var findings = checkpoints.map { Finding(file: $0) }
    if FileManager.default.fileExists(atPath: directory.best) { findings.append(Finding(file: directory.best)) }
    guard !findings.isEmpty else {
      throw DataError(
        file: directory.path, expected: "checkpoints or best weights to verify", found: "none",
        remedy: "give the --output directory of a run that has written some")
    }
    guard let newest = try? directory.openCheckpoint() else { return findings }
    let recorded =
      if case .directory(let path) = configuration.data { path } else { directory.generatedData }
    for (split, file) in zip(Dataset.splitNames, newest.record.data.files) {
      findings.append(Finding(data: Dataset.path(of: split, in: data ?? recorded), file))
    }
    return findings
  }

  private struct Finding {
    let file: String
    let problem: String?

    /// Of a file of the data set, whatever of it the run uses.
    init(data path: String, _ fingerprint: DatasetFingerprint.File) {
      file = path
      do throws(DataError) {
        let differences = try fingerprint.differences(from: path, whole: true)
        problem = differences.isEmpty ? nil : differences.joined(separator: "; ")
      } catch {
        problem = "expected \(error.expected), found \(error.found)"
      }
    }

    init(file: String) {
      self.file = file
      do throws(DataError) {
        try SafetensorsFile(path: file).verifyChecksums()
        problem = nil
      } catch {
        problem = "expected \(error.expected), found \(error.found)"
      }
    }
  }
}
