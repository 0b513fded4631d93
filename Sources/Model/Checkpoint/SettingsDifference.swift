import Files

/// In what two runs' settings differ, in the words of the command line.
package struct SettingsDifference: Sendable, Equatable {
  /// The option's name without its dashes, such as `learning-rate`; of a setting that has none, its own.
  package let name: String
  package let before: String
  package let now: String

  package init(name: String, before: String, now: String) { (self.name, self.before, self.now) = (name, before, now) }

  /// What a resumed run may change, if it is allowed: all that does not decide the shape of the state or the place in
  /// an epoch.
  package static let changeable = Set([
    "learning-rate", "warmup", "weight-decay", "maximum-norm", "epochs", "max-steps", "threshold", "dropout",
    "temperature",
    "prototype-momentum", "key-momentum", "anchors", "seed", "data", "on-nonfinite",
  ]).union(LossTerm.allCases.map { name(ofWeight: $0.rawValue) })

  /// Options that are not named as their settings are.
  private static let options = ["alignedSteps": "aligned-length", "onNonFinite": "on-nonfinite"]
  /// Settings that only a settings file changes, and no option.
  private static let withoutOption = Set(["maximum-norm"])

  /// All differences, by the paths of the settings; what an option sets for several modalities alike is one.
  package static func all(_ before: RunConfiguration, _ now: RunConfiguration) throws -> [SettingsDifference] {
    let (old, new) = (try JSON.leaves(of: before), try JSON.leaves(of: now))
    var differences: [SettingsDifference] = []
    for key in Set(old.keys).union(new.keys).sorted() {
      // Where the data lie does not matter, the number of steps follows from other settings, and the rest is history.
      let isOther = ["optimizer.totalSteps", "optimizer.scheduleStart.", "changes[", "data."].contains(
        where: key.hasPrefix)
      if old[key] == new[key] || isOther { continue }
      let difference = SettingsDifference(
        name: name(of: key), before: old[key] ?? "absent", now: new[key] ?? "absent")
      if !differences.contains(difference) { differences.append(difference) }
    }
    return differences
  }

  package var description: String {
    "\(Self.withoutOption.contains(name) ? "" : "--")\(name) was \(before), is \(now)"
  }

  /// An option for a path in the settings: `optimizer.learningRate` is `learning-rate`.
  static func name(of path: String) -> String {
    let parts = path.split(separator: ".")
    guard let last = parts.last else { return path }
    if parts.dropLast().last == "weights" { return name(ofWeight: String(last)) }
    if let option = options[String(last)] { return option }
    var name = ""
    for letter in last {
      if letter.isUppercase { name += "-" }
      name += letter.lowercased()
    }
    return name.replacing("_", with: "-")
  }

  private static func name(ofWeight term: String) -> String { term.replacing("_", with: "-") + "-weight" }
}
