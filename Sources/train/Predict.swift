import ArgumentParser
import Foundation
import Model

struct Predict: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score samples with a run's best weights: scores and labels as CSV or JSON Lines.")

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case csv, jsonl
  }

  @Argument(help: "The run's directory.")
  var directory: String

  @Option(help: "Data set directory, or one .safetensors file.")
  var data: String

  @Option(help: "The split of a data set directory: train, valid or test.")
  var split = "test"

  @Option(help: "File to write; by default the standard output.")
  var output: String?

  @Option(help: "csv, or jsonl for one JSON object a line.")
  var format = Format.csv

  @Option(help: "A score above this predicts its label; by default the run's own threshold.")
  var threshold: Float?

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  private struct Line: Encodable {
    let sample: Int
    let scores: [String: Float]
    let labels: [String]
  }

  func run() throws {
    let trained = try TrainedRun(directory, workers: workers)
    let split = try trained.open(data: data, split: split)
    let threshold = threshold ?? trained.configuration.threshold
    let scores = trained.evaluator.scores(of: split)
    let names = split.labelNames
    var text = ""
    if format == .csv {
      text += (["sample"] + names.map { "score_" + $0 } + names.map { "label_" + $0 }).map(quoted).joined(separator: ",") + "\n"
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    for sample in 0..<split.count {
      let row = scores[sample * names.count..<(sample + 1) * names.count]
      switch format {
      case .csv:
        text += "\(sample)," + row.map { "\($0)" }.joined(separator: ",") + ","
        text += row.map { $0 > threshold ? "1" : "0" }.joined(separator: ",") + "\n"
      case .jsonl:
        let line = Line(
          sample: sample, scores: Dictionary(uniqueKeysWithValues: zip(names, row)),
          labels: zip(names, row).filter { $0.1 > threshold }.map(\.0))
        text += String(decoding: try encoder.encode(line), as: UTF8.self) + "\n"
      }
    }
    guard let output else { return FileHandle.standardOutput.write(Data(text.utf8)) }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: output), options: .atomic)
    } catch {
      throw DataError(
        file: output, expected: "a file that can be written", found: error.localizedDescription,
        remedy: "choose another --output")
    }
  }

  /// A CSV field, in quotes where it needs them.
  private func quoted(_ field: String) -> String {
    field.contains { ",\"\n\r".contains($0) } ? "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : field
  }
}
