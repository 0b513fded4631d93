/// In what two runs' settings differ, in the words of the command line.
package struct SettingsDifference: Sendable, Equatable {
  /// The option's name without its dashes, such as `learning-rate`; of a setting that has none, its own.
  package let name: String
  package let before: String
  package let now: String

  package init(name: String, before: String, now: String) { (self.name, self.before, self.now) = (name, before, now) }

  /// What a resumed run may change, if it is allowed. Other data of the same shape may take the place of a run's.
  package static let changeable = Set(AnySetting.all.filter { $0.change != .never }.map(\.name)).union(["data"])

  /// All differences that results may show. Where the data lie does not matter; what they decide of the settings is checked with them.
  package static func all(_ before: RunConfiguration, _ now: RunConfiguration) -> [SettingsDifference] {
    AnySetting.all.filter { $0.change != .freely }.compactMap { setting in
      let (old, new) = (setting.text(before), setting.text(now))
      return old == new
        ? nil : SettingsDifference(name: setting.name, before: old ?? "absent", now: new ?? "absent")
    }
  }

  package var description: String {
    "\(AnySetting.withoutOption.contains(name) ? "" : "--")\(name) was \(before), is \(now)"
  }
}
