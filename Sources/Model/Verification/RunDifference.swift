import Files
import Foundation

/// Where two runs part, in words.
package struct RunDifference: Sendable {
  /// One line a fact; empty if nothing differs.
  package let lines: [String]

  /// Compares settings, step digests (or, without them, the loss terms in the metrics) and final states.
  ///
  /// - Throws: `DataError` if a directory holds no run.
  package init(_ first: RunDirectory, _ second: RunDirectory) throws {
    var lines = try Self.settings(first, second)
    if FileManager.default.fileExists(atPath: first.digests),
      FileManager.default.fileExists(atPath: second.digests)
    {
      lines += try Self.steps(first, second)
    } else {
      lines += try Self.metrics(first, second)
    }
    lines += try Self.states(first, second)
    self.lines = lines
  }

  private static func settings(_ first: RunDirectory, _ second: RunDirectory) throws -> [String] {
    let (a, b) = try (leaves(first), leaves(second))
    return Set(a.keys).union(b.keys).sorted().compactMap { key in
      a[key] == b[key]
        ? nil : "Setting \(key) is \(a[key] ?? "absent") in the first run, \(b[key] ?? "absent") in the second."
    }
  }

  private static func leaves(_ run: RunDirectory) throws -> [String: String] {
    guard var leaves = try? JSON.leaves(of: JSON.data(ofFile: run.configuration)) else {
      throw DataError(
        file: run.configuration, expected: "the settings of a run", found: "no JSON",
        remedy: "give the directories of two runs")
    }
    leaves = leaves.filter { !$0.key.hasPrefix(WrittenSettings.key + ".") }
    for setting in AnySetting.all where setting.change == .freely { leaves[setting.key] = nil }
    return leaves
  }

  /// Compares the newest checkpoints' training states.
  private static func states(_ first: RunDirectory, _ second: RunDirectory) throws -> [String] {
    let (a, b) = try (first.openCheckpoint(), second.openCheckpoint())
    var tensors: (a: [String: FileBytes], b: [String: FileBytes]) = ([:], [:])
    a.forEachStateTensor { tensors.a[$0] = $1 }
    b.forEachStateTensor { tensors.b[$0] = $1 }
    let names = Set(tensors.a.keys).union(tensors.b.keys).sorted().filter { name in
      guard let x = tensors.a[name], let y = tensors.b[name] else { return true }
      return !x.bytes.elementsEqual(y.bytes)
    }
    let steps = a.record.step == b.record.step ? "" : " (steps \(a.record.step) and \(b.record.step))"
    return names.isEmpty ? [] : ["The final states\(steps) differ in \(named(names))."]
  }

  private static func steps(_ first: RunDirectory, _ second: RunDirectory) throws -> [String] {
    let (a, b) = try (
      records(first.digests, as: StepDigests.self), records(second.digests, as: StepDigests.self)
    )
    for (x, y) in zip(a, b) where x != y {
      guard x.step == y.step else {
        return ["The first run's step \(x.step) stands where the second has step \(y.step)."]
      }
      let parts: [(String, [String])] = [
        ("loss terms", differing(x.terms.keys.sorted(), { x.terms[$0] }, { y.terms[$0] })),
        ("gradients", differing(x.gradients.keys.sorted(), { x.gradients[$0] }, { y.gradients[$0] })),
        ("parameters", differing(x.parameters.keys.sorted(), { x.parameters[$0] }, { y.parameters[$0] })),
      ]
      return [
        "The runs part at step \(x.step): "
          + parts.map { $0.1.isEmpty ? "its \($0.0) agree" : "its \($0.0) differ in \(named($0.1))" }
          .joined(separator: "; ") + "."
      ]
    }
    return a.count == b.count
      ? [] : ["The first run has \(a.count) steps, the second \(b.count); they agree as far as both go."]
  }

  private struct Metrics: Decodable {
    let event: String
    let step: Int
    let terms: [String: Double]?
  }

  private static func metrics(_ first: RunDirectory, _ second: RunDirectory) throws -> [String] {
    let (a, b) = try (
      records(first.metrics, as: Metrics.self).filter { $0.event == "step" },
      records(second.metrics, as: Metrics.self).filter { $0.event == "step" }
    )
    for (x, y) in zip(a, b) where x.step != y.step || x.terms != y.terms {
      let terms = differing((x.terms ?? [:]).keys.sorted(), { x.terms?[$0] }, { y.terms?[$0] })
      return [
        "The runs part at step \(x.step) or the one before: its loss terms differ in \(named(terms)). "
          + "Runs with --log-digests tell the tensor."
      ]
    }
    return a.count == b.count
      ? [] : ["The first run has \(a.count) steps, the second \(b.count); they agree as far as both go."]
  }

  private static func records<T: Decodable>(_ path: String, as type: T.Type) throws -> [T] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw DataError(
        file: path, expected: "a run's records", found: "no such file", remedy: "give the directories of two runs")
    }
    let decoder = JSON.decoder()
    return try data.split(separator: UInt8(ascii: "\n")).enumerated().map { number, line in
      do {
        return try decoder.decode(T.self, from: Data(line))
      } catch {
        throw DataError(
          file: path, expected: "one record a line", found: "something else in line \(number + 1)",
          remedy: "give the directories of two runs that were not changed")
      }
    }
  }

  private static func differing<V: Equatable>(
    _ names: [String], _ a: (String) -> V?, _ b: (String) -> V?
  ) -> [String] {
    names.filter { a($0) != b($0) }
  }

  /// The first name, and how many more.
  private static func named(_ names: [String]) -> String {
    guard let first = names.first else { return "nothing" }
    return names.count == 1 ? first : "\(first) and \(names.count - 1) more"
  }
}
