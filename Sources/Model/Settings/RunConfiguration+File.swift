import Files
import Foundation

extension RunConfiguration {
  /// These settings with those that a JSON file gives: all of them, such as a run's `config.json`, or some.
  ///
  /// What the data decide (each modality's name, features and steps, the labels) has to agree with `self`.
  ///
  /// - Throws: naming a setting that is unknown, of the wrong type, or of other data.
  package func changed(byFile path: String) throws(DataError) -> RunConfiguration {
    var settings: RunConfiguration
    do {
      let file = try JSONSerialization.jsonObject(with: JSON.data(ofFile: path))
      let own = try JSONSerialization.jsonObject(with: JSON.encoder().encode(complete))
      let merged = try Self.merge(file, into: own, at: [])
      settings = try JSON.decoder().decode(RunConfiguration.self, from: JSONSerialization.data(withJSONObject: merged))
      // Of the history of the run that wrote the file.
      (settings.optimizer.scheduleStart, settings.changes) = (optimizer.scheduleStart, changes)
    } catch {
      throw Self.error(path, error)
    }
    for (own, other) in zip(model.modalities, settings.model.modalities)
    where (own.name, own.features, own.maximumSteps) != (other.name, other.features, other.maximumSteps) {
      throw Self.error(
        path, "settings for \(own.name) of \(own.maximumSteps) steps of \(own.features) features, as the data have it",
        "\(other.name) of \(other.maximumSteps) steps of \(other.features)")
    }
    guard settings.model.modalities.count == model.modalities.count, settings.labelNames == labelNames else {
      throw Self.error(
        path, "settings for \(model.modalities.count) modalities and the labels \(labelNames.joined(separator: ","))",
        "\(settings.model.modalities.count) and \(settings.labelNames.joined(separator: ","))")
    }
    return settings
  }

  /// Where a settings file says that the data are; nil if it does not.
  package static func dataSource(inFile path: String) throws(DataError) -> DataSource? {
    let source = try part(ofFile: path).data
    if case .generated(let settings) = source { try SyntheticDataset.checkRanges(settings, directory: path) }
    return source
  }

  /// Whether a settings file is of an earlier version, which cut batches into shards: that has no effect any more.
  package static func hasShards(inFile path: String) throws(DataError) -> Bool { try part(ofFile: path).shards != nil }

  /// Whether a settings file says how many epochs there are.
  package static func hasEpochs(inFile path: String) throws(DataError) -> Bool { try part(ofFile: path).epochs != nil }

  /// Whether a settings file is of a run that continued with changed settings, and so can't make the same run again.
  package static func hasChanges(inFile path: String) throws(DataError) -> Bool {
    try part(ofFile: path).changes?.isEmpty == false
  }

  /// What is asked for by itself.
  private struct Part: Decodable {
    var data: DataSource?
    var shards: Int?
    var epochs: Int?
    var changes: [Change]?
  }

  private static func part(ofFile path: String) throws(DataError) -> Part {
    do {
      return try JSON.decoder().decode(Part.self, from: JSON.data(ofFile: path))
    } catch {
      throw Self.error(path, error)
    }
  }

  /// With a value for what may be absent, so that its name is known.
  private var complete: RunConfiguration {
    var settings = self
    settings.data = data ?? .directory("")
    return settings
  }

  private struct Unknown: Error, CustomStringConvertible {
    let path: [String]
    var description: String { "'\(path.joined(separator: "."))'" }
  }

  /// A JSON value with what another has in its place, objects key by key and lists of equal length item by item.
  private static func merge(_ new: Any, into old: Any, at path: [String]) throws -> Any {
    if path == ["data"] { return new }
    if let new = new as? [String: Any], var merged = old as? [String: Any] {
      for (key, value) in new {
        if path.isEmpty && (key == WrittenSettings.key || EarlierVersions.settings.contains(key)) { continue }
        // What may be absent is not in the old settings.
        if isOptional(path + [key]) {
          merged[key] = value
          continue
        }
        guard let before = merged[key] else { throw Unknown(path: path + [key]) }
        merged[key] = try merge(value, into: before, at: path + [key])
      }
      return merged
    }
    if let new = new as? [Any], let old = old as? [Any], new.count == old.count {
      return try zip(new, old).enumerated().map { try merge($1.0, into: $1.1, at: path + ["\($0)"]) }
    }
    return new
  }

  private static func isOptional(_ path: [String]) -> Bool {
    let key = path.map { Int($0) == nil ? "." + $0 : "[]" }.joined().dropFirst()
    return ["changes", "optimizer.scheduleStart"].contains(key)
      || AnySetting.all.contains { $0.mayBeAbsent && $0.key == key }
  }

  /// What went wrong in reading, as an error of the file.
  private static func error(_ path: String, _ error: any Error) -> DataError {
    switch error {
    case let error as DataError: error
    case let error as Unknown: Self.error(path, "settings that this program knows", error.description)
    case let error as DecodingError: Self.error(path, "a JSON object of settings", JSON.reason(error))
    default: Self.error(path, "a JSON object of settings", (error as NSError).localizedDescription)
    }
  }

  private static func error(_ path: String, _ expected: String, _ found: String) -> DataError {
    DataError(
      file: path, expected: expected, found: found, remedy: "correct the file; a run's config.json is an example")
  }
}
