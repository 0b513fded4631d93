import Files
import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

extension Teams {
  struct ReplayTests {
    /// The golden files of the package.
    static let files: [String] = {
      let directory = Bundle.module.url(forResource: "Golden", withExtension: nil)
      let found = directory.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0.path) } ?? []
      return found.filter { $0.hasSuffix(".safetensors") }.sorted()
    }()

    static func path(_ file: String) throws -> String {
      let directory = try #require(Bundle.module.url(forResource: "Golden", withExtension: nil))
      return directory.appendingPathComponent(file).path
    }

    /// Larger golden files that may lie beside the package.
    static let beside: [String] = {
      var directory = URL(fileURLWithPath: #filePath)
      for _ in 0..<5 { directory.deleteLastPathComponent() }
      directory.appendPathComponent("shared/golden")
      let found = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
      return found.filter { $0.hasSuffix(".safetensors") }.sorted()
        .map { directory.appendingPathComponent($0).path }
    }()

    static func describe(_ replay: Replay) -> Comment {
      let steps = replay.steps.map { "\($0.terms) \($0.scores) \($0.gradients)" }.joined(separator: "; ")
      return "\(steps); state \(replay.state); evaluation \(replay.evaluation)"
    }

    @Test func thereAreFiles() { #expect(Self.files.count >= 4) }

    @Test(arguments: files, [1, 2, 3]) func agreesWithTheReference(_ file: String, _ workers: Int) throws {
      let golden = try GoldenFile(path: Self.path(file))
      let team = makeTeam(workers)
      let replay = try Replay(golden, team: team)
      #expect(replay.passes, Self.describe(replay))
      #expect(replay.steps.count == golden.steps)
    }

    @Test(.enabled(if: !beside.isEmpty), arguments: beside) func agreesWithFilesBeside(_ path: String) throws {
      let replay = try Replay(GoldenFile(path: path), team: makeTeam(2))
      #expect(replay.passes, Self.describe(replay))
    }

    /// Masks are what the reference does with padding; leaving it out is another way to the same.
    @Test(arguments: files) func agreesWithMasks(_ file: String) throws {
      let replay = try Replay(GoldenFile(path: Self.path(file)).with(.mask), team: makeTeam(2))
      #expect(replay.passes, Self.describe(replay))
    }

    /// Attending to padding is the reference with masks of ones alone.
    @Test(arguments: files) func attendingAgreesWithoutPadding(_ file: String) throws {
      let replay = try Replay(GoldenFile(path: Self.path(file)).with(.attend), team: makeTeam(2))
      #expect(replay.passes != (file.contains("ragged") || file.contains("one-sample")), Self.describe(replay))
    }

    // MARK: A replay can fail

    /// A copy of a golden file with one tensor's bytes changed, or left out, or other metadata.
    func damaged(
      _ directory: TemporaryDirectory, without: String? = nil,
      metadata change: (inout [String: String]) -> Void = { _ in },
      _ tensor: String = "", _ body: (UnsafeMutableRawBufferPointer) -> Void = { _ in }
    ) throws -> String {
      let file = try SafetensorsFile(path: Self.path("all-anchors.safetensors"))
      var owned: [UnsafeMutableRawBufferPointer] = []
      defer { for copy in owned { copy.deallocate() } }
      var tensors: [TensorSource] = []
      for name in file.names where name != without {
        let bytes = try #require(file.bytes(of: name))
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        copy.copyMemory(from: bytes)
        owned.append(copy)
        if name == tensor { body(copy) }
        tensors.append(
          TensorSource(
            name: name, element: try #require(file.dtype(of: name)), shape: try #require(file.shape(of: name)),
            bytes: UnsafeRawBufferPointer(copy)))
      }
      if let without { #expect(file.names.contains(without)) }
      if !tensor.isEmpty { #expect(file.names.contains(tensor)) }
      var metadata = file.metadata
      change(&metadata)
      let path = directory.file("damaged.safetensors")
      try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
      return path
    }

    func replay(_ path: String) throws -> Replay { try Replay(GoldenFile(path: path), team: makeTeam(1)) }

    @Test(arguments: [
      ("feature_sizes", "[4611686018427387904, 3, 3]"), ("max_positions", "[9223372036854775807, 3, 3]"),
      ("aligned_length", "-9223372036854775808"), ("layers", "[1001, 1, 1]"), ("hidden", "-2"), ("steps", "0"),
      ("labels", "1099511627776"), ("queue", "9223372036854775807"), ("lr", "1e999"),
    ]) func impossibleSettingsAreRefused(name: String, value: String) throws {
      let directory = try TemporaryDirectory()
      let pattern = try Regex("\"\(name)\": (\\[[^\\]]*\\]|[^,}]*)")
      let path = try damaged(
        directory,
        metadata: {
          let text = $0["config"] ?? ""
          #expect(text.contains(pattern))
          let own = name == "aligned_length" ? text.replacing("\"aligned\": true", with: "\"aligned\": false") : text
          $0["config"] = own.replacing(pattern, with: "\"\(name)\": \(value)")
        })
      #expect(throws: DataError.self) { _ = try GoldenFile(path: path) }
    }

    @Test func aCopyStillAgrees() throws {
      let directory = try TemporaryDirectory()
      #expect(try replay(damaged(directory)).passes)
    }

    @Test(arguments: [
      "step1.gradient.proj_visual.linear.0.weight", "step0.gradient.text.embeddings.position_embeddings.weight",
      "step1.term.alpha_mse", "step0.loss", "step1.scores", "final.queue", "final.queue_label",
      "final.audio_neg_protos",
      "final.text.encoder.layer.1.output.dense.bias", "eval.scores", "initial.de_proj_text.output.bias",
    ]) func oneChangedValueIsFound(_ tensor: String) throws {
      let directory = try TemporaryDirectory()
      let path = try damaged(directory, tensor) { bytes in
        let floats = bytes.bindMemory(to: Float.self)
        // The largest one, so that a change of 1 % exceeds the tolerance of the tensor.
        if let i = floats.indices.max(by: { abs(floats[$0]) < abs(floats[$1]) }) { floats[i] *= 1.01 }
      }
      let replay = try replay(path)
      #expect(!replay.passes, Self.describe(replay))
      let parts = tensor.split(separator: ".", maxSplits: 2).map(String.init)
      if parts[0].hasPrefix("step"), let k = Int(parts[0].dropFirst(4)), parts.count == 3 {
        #expect([replay.steps[k].gradients.name, replay.steps[k].terms.name].contains(parts[2]))
        #expect(replay.steps[1 - k].gradients.difference < Replay.tensorTolerance)
      }
    }

    @Test func notANumberIsFound() throws {
      let directory = try TemporaryDirectory()
      let path = try damaged(directory, "step0.gradient.agg.output.weight") {
        $0.bindMemory(to: Float.self)[3] = .nan
      }
      #expect(try !replay(path).passes)
    }

    func message(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "nothing thrown"
      } catch let error as DataError {
        return error.description
      } catch {
        return "another error: \(error)"
      }
    }

    @Test(arguments: [
      ("step0.sample_permutation", Int32(4)), ("step1.sample_permutation", -1), ("step0.modality_permutation", 3),
      ("step1.modality_permutation", -1),
    ]) func permutationsOutOfRangeAreRefused(_ tensor: String, _ value: Int32) throws {
      let directory = try TemporaryDirectory()
      let path = try damaged(directory, tensor) { $0.bindMemory(to: Int32.self)[5] = value }
      let text = message { _ = try replay(path) }
      #expect(text.contains("permutations of 4 samples and 3 modalities") && text.contains("\(value)"), "\(text)")
    }

    @Test(arguments: [
      "step1.text", "step0.audio_mask", "step1.sample_permutation", "step0.term.contrastive", "step1.loss",
      "step0.gradient.va2t.output.bias", "initial.text.pooler.dense.weight", "initial.queue_ptr",
      "final.visual_clf_weight", "eval.scores", "step1.scores",
    ]) func missingTensorsAreNamed(_ tensor: String) throws {
      let directory = try TemporaryDirectory()
      let path = try damaged(directory, without: tensor)
      let text = message { _ = try replay(path) }
      #expect(text.contains("a tensor '\(tensor)'"), "\(text)")
    }

    @Test func othersFilesAreRefused() throws {
      let directory = try TemporaryDirectory()
      for (change, expected) in [
        ({ $0["format"] = "carat-golden-2" }, "format 'carat-golden-2'"), ({ $0["format"] = nil }, "format 'none'"),
        ({ $0["config"] = nil }, "golden"), ({ $0["config"] = "{" }, "settings"),
        (
          { $0["config"] = $0["config"]?.replacingOccurrences(of: "\"hidden\": 8", with: "\"hidden\": 9") }, "divisible"
        ),
        (
          { $0["config"] = $0["config"]?.replacingOccurrences(of: "\"aligned\": true", with: "\"aligned\": false") },
          "v2t_ctc"
        ),
      ] as [((inout [String: String]) -> Void, String)] {
        let path = try damaged(directory, metadata: change)
        let text = message { _ = try replay(path) }
        #expect(text.contains(expected), "\(text)")
      }
    }

    @Test func masksWithHolesAreRefused() throws {
      let directory = try TemporaryDirectory()
      let path = try damaged(directory, "step1.visual_mask") { $0.bindMemory(to: Float.self)[7] = 0 }
      let text = message { _ = try replay(path) }
      #expect(text.contains("masks of ones, then zeros") && text.contains("sample 1"), "\(text)")
    }
  }
}
