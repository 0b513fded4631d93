import Foundation

/// The files of a run.
public struct RunDirectory: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  /// All settings, as JSON.
  public var configuration: String { path + "/config.json" }
  /// One JSON object a step and one an evaluation.
  public var metrics: String { path + "/metrics.jsonl" }
  /// The weights of the best epoch under their PyTorch names, safetensors.
  public var best: String { path + "/best.safetensors" }
  /// The whole state after the last step, safetensors.
  public var state: String { path + "/state.safetensors" }

  /// Makes the directory, with those above it.
  public func create() throws(DataError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw DataError(
        file: path, expected: "a directory that can be written", found: error.localizedDescription,
        remedy: "choose another --output")
    }
    guard access(path, W_OK) == 0 else {
      throw DataError(
        file: path, expected: "a directory that can be written", found: "no permission", remedy: "choose another --output")
    }
  }

  public func write(_ configuration: RunConfiguration) throws(DataError) {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try encoder.encode(configuration).write(to: URL(fileURLWithPath: self.configuration), options: .atomic)
    } catch {
      throw DataError(
        file: self.configuration, expected: "to write the run's settings", found: error.localizedDescription,
        remedy: "free space or choose another --output")
    }
  }

  public func readConfiguration() throws(DataError) -> RunConfiguration {
    let found: String
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: configuration))
      let value = try JSONDecoder().decode(RunConfiguration.self, from: data)
      guard let contradiction = value.model.contradiction else { return value }
      found = contradiction
    } catch let error as DecodingError {
      found = "\(error)"
    } catch {
      found = error.localizedDescription
    }
    throw DataError(
      file: configuration, expected: "the settings of a finished run", found: found,
      remedy: "give the --output directory of a run")
  }
}
