import Foundation
import TestSupport
import Testing

/// One run whose digest is committed: every machine, instruction set and layout has to reproduce it. Dropout, momentum keys,
/// sequences of all lengths and soft alignment take part.
@Suite struct ReferenceRunTests {
  struct ReferenceRun: Decodable {
    /// Of `train run`.
    let options: [String]
    let digest: String
  }

  static func read() throws -> ReferenceRun {
    let file = try #require(Bundle.module.url(forResource: "reference-run", withExtension: "json"))
    return try JSONDecoder().decode(ReferenceRun.self, from: Data(contentsOf: file))
  }

  @Test(arguments: [1, 2, 3]) func everyMachineReproducesTheDigest(workers: Int) throws {
    let reference = try Self.read()
    let outcome = try Program.run(
      ["run", "--output", "r", "--json", "--workers", "\(workers)"] + reference.options, in: try TemporaryDirectory())
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.json["digest"] as? String == reference.digest)
  }
}
