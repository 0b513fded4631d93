import Foundation
import TestSupport
import Testing

@testable import Model

/// What the program says of its commands and options when it is asked by `--experimental-dump-help`.
private struct DumpedHelp: Decodable {
  struct Command: Decodable {
    let commandName: String
    let abstract: String?
    let arguments: [Argument]?
    let subcommands: [Command]?
  }

  struct Argument: Decodable {
    struct Name: Decodable {
      let kind: String
      let name: String

      var text: String { (kind == "long" ? "--" : "-") + name }
    }

    let kind: String
    let names: [Name]?
    let abstract: String?
    let valueName: String?
    let defaultValue: String?
    let sectionTitle: String?
    let parsingStrategy: String?

    /// The help without the default that stands at its end, and that default.
    var parts: (meaning: String, base: String) {
      let text = (abstract ?? "").trimmingCharacters(in: .whitespaces)
      if let match = text.wholeMatch(of: /(.*?) ?\(default: (.*)\)/.dotMatchesNewlines()) {
        return (String(match.1), String(match.2))
      }
      // What an option stands for without a value is no default of it.
      return (text, kind == "option" && parsingStrategy != "scanningForValue" ? defaultValue ?? "" : "")
    }

    var usage: String {
      let name = names?.first { $0.kind == "long" }?.text ?? names?.first?.text
      switch (kind, name) {
      case ("flag", let name?): return name
      case (_, let name?):
        return parsingStrategy == "scanningForValue" ? "\(name) [\(valueName ?? "")]" : "\(name) <\(valueName ?? "")>"
      default: return "<\(valueName ?? "")>"
      }
    }
  }

  let command: Command

  static func ofProgram() throws -> DumpedHelp {
    let outcome = try Program.run(["--experimental-dump-help"], in: try TemporaryDirectory())
    return try JSONDecoder().decode(DumpedHelp.self, from: Data(outcome.output.utf8))
  }

  func arguments(of command: String) throws -> [Argument] {
    try #require(self.command.subcommands?.first { $0.commandName == command }?.arguments)
  }
}

extension SettingChange {
  /// In the table of options.
  fileprivate var word: String {
    switch self {
    case .never: ""
    case .ifAllowed: "yes"
    case .freely: "freely"
    }
  }
}

/// docs/OPTIONS.md is made of what the program says: `CARAT_WRITE_DOCS=1 scripts/test --filter OptionsTests` writes it anew.
struct OptionsTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
  private static let document = root.appendingPathComponent("docs/OPTIONS.md")

  private func cell(_ text: String) -> String { text.replacing("|", with: "\\|").replacing("\n", with: " ") }

  private func render(_ help: DumpedHelp) -> String {
    var lines = [
      "# Commands and options", "",
      "Made of what `train --help` says; a test compares them. Settings are those options that decide a run's result: each has "
        + "its place in `config.json`, and those marked \"yes\" may differ when a run continues, with `--resume --allow-changed`; the one marked \"freely\" changes "
        + "no result.",
      "",
    ]
    let settings = Dictionary(uniqueKeysWithValues: AnySetting.all.map { ($0.name, $0) })
    for command in help.command.subcommands ?? [] where command.commandName != "help" {
      lines += ["## train \(command.commandName)", "", command.abstract ?? "", ""]
      let arguments = (command.arguments ?? []).filter { !["help", "version"].contains($0.names?.last?.name) }
      let isRun = command.commandName == "run"
      var sections: [String?] = []
      for argument in arguments where !sections.contains(argument.sectionTitle) {
        sections.append(argument.sectionTitle)
      }
      for section in sections {
        if let section { lines += ["### \(section)", ""] }
        lines +=
          isRun
          ? ["| option | default | meaning | in `config.json` | on resuming |", "|---|---|---|---|---|"]
          : ["| option | default | meaning |", "|---|---|---|"]
        for argument in arguments where argument.sectionTitle == section {
          let (meaning, base) = argument.parts
          let aliases = (argument.names ?? []).dropFirst().map(\.text)
          let also = aliases.isEmpty ? "" : " Also \(aliases.map { "`\($0)`" }.joined(separator: ", "))."
          var row = "| `\(cell(argument.usage))` | \(cell(base)) | \(cell(meaning))\(also) |"
          if isRun {
            let setting = argument.names?.first.flatMap { settings[$0.name] }
            row += " \(setting.map { "`\($0.key)`" } ?? "") | \(setting?.change.word ?? "") |"
          }
          lines.append(row)
        }
        lines.append("")
      }
    }
    return lines.joined(separator: "\n")
  }

  @Test func theDocumentSaysWhatTheProgramSays() throws {
    let text = render(try .ofProgram())
    if ProcessInfo.processInfo.environment["CARAT_WRITE_DOCS"] == "1" {
      try text.write(to: Self.document, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: Self.document, encoding: .utf8) == text)
  }

  @Test func everySettingIsAnOptionOfItsName() throws {
    let names = try DumpedHelp.ofProgram().arguments(of: "run").flatMap { $0.names ?? [] }.map(\.name)
    for setting in AnySetting.all {
      #expect(names.contains(setting.name) != AnySetting.withoutOption.contains(setting.name), "\(setting.name)")
    }
  }

  /// The README's table has the options that a newcomer needs.
  @Test func theReadmesDefaultsAreTheProgramsOwn() throws {
    let arguments = try DumpedHelp.ofProgram().arguments(of: "run")
    let readme = try String(contentsOf: Self.root.appendingPathComponent("README.md"), encoding: .utf8)
    let rows = readme.matches(of: /\| `--([a-z-]+)[^`]*` *\| *([^|]*?) *\|/)
    #expect(rows.count > 8)
    for row in rows {
      let argument = arguments.first { $0.names?.contains { $0.name == row.1 } == true }
      #expect(argument != nil, "--\(row.1)")
      if let base = argument?.parts.base, !base.isEmpty { #expect(row.2 == base, "--\(row.1)") }
    }
  }
}
