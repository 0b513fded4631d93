import Files
import Foundation

/// Thresholds that weights are kept with, in a safetensors file's metadata: a JSON list, one a label.
enum KeptThresholds {
  static let key = "carat.thresholds"

  static func metadata(_ thresholds: [Float]?) throws -> [String: String] {
    try thresholds.map { [key: try JSON.line($0)] } ?? [:]
  }

  /// Those of a file, one for each of so many labels; nil if it has none.
  static func read(_ file: SafetensorsFile, labels: Int) throws(DataError) -> [Float]? {
    guard let text = file.metadata[key] else { return nil }
    let thresholds = try? JSON.decoder().decode([Float].self, from: Data(text.utf8))
    guard let thresholds, thresholds.count == labels, thresholds.allSatisfy({ $0 >= 0 && $0 <= 1 }) else {
      throw DataError(
        file: file.path, expected: "\(labels) thresholds between 0 and 1 in the metadata \(key)", found: text,
        remedy: "give --threshold with weights of your own making that lack this metadata")
    }
    return thresholds
  }
}
