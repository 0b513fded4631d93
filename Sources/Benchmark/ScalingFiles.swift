import Files
import Foundation
import Model
import Parallel

/// The files of a scaling experiment: `scaling.jsonl` with one object a line (`event` says whether it describes the
/// machine, is a measurement, emulated, or a summary), and `scaling.csv` with one row a summary.
package final class ScalingFiles {
  package let records: String
  package let table: String
  private let lines: JSONLinesFile

  private struct Record<Content: Encodable>: Encodable {
    let event: String
    let content: Content

    private enum CodingKeys: String, CodingKey { case event }

    func encode(to encoder: any Encoder) throws {
      try content.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(event, forKey: .event)
    }
  }

  /// Makes the directory if it is not there, and starts an empty `scaling.jsonl`.
  package init(directory: String, machine: MachineDescription) throws {
    let directory = RunDirectory(directory)
    try directory.create()
    (records, table) = (directory.path + "/scaling.jsonl", directory.path + "/scaling.csv")
    lines = try JSONLinesFile(records)
    try lines.append(Record(event: "machine", content: machine))
  }

  package func append(_ measurement: ScalingMeasurement) throws {
    try lines.append(Record(event: "measurement", content: measurement))
  }

  package func append(_ point: EmulatedScaling.Point) throws {
    try lines.append(Record(event: "emulated", content: point))
  }

  /// Ends the records where there are no summaries.
  package func finish() throws { try lines.sync() }

  /// Ends both files.
  package func finish(_ summaries: [ScalingSummary]) throws {
    for summary in summaries { try lines.append(Record(event: "summary", content: summary)) }
    try lines.sync()
    try DurableFile.write(Array(Self.text(summaries).utf8), to: table)
  }

  /// Times are in seconds per step; a phase's column has the phase's name.
  private static func text(_ summaries: [ScalingSummary]) -> String {
    let phases = Set(summaries.flatMap(\.phases.keys)).sorted()
    func spreads(_ s: ScalingSummary) -> [Spread] {
      [s.secondsPerStep, s.samplesPerSecond, s.speedup, s.efficiency, s.workEfficiency, s.sgemmGFLOPS, s.sgemmShare]
    }
    let names = [
      "seconds_per_step", "samples_per_second", "speedup", "efficiency", "work_efficiency", "sgemm_gflops",
      "sgemm_share",
    ]
    let head =
      ["mode", "workers", "ranks", "batch_size", "repeats"]
      + names.flatMap { [$0, $0 + "_min", $0 + "_max"] } + phases
    var text = head.joined(separator: ",") + "\n"
    for s in summaries {
      var cells = [s.mode.rawValue] + [s.workers, s.ranks, s.batchSize, s.repeats].map(String.init)
      for spread in spreads(s) { cells += ["\(spread.median)", "\(spread.least)", "\(spread.greatest)"] }
      for phase in phases { cells.append("\(s.phases[phase] ?? 0)") }
      text += cells.joined(separator: ",") + "\n"
    }
    return text
  }
}
