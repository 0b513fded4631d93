import Files
import Foundation
import Model
import TestSupport
import Testing

/// What is wrong is said in one line, with the right exit status, and nothing is written.
@Suite struct BadInputTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let arguments: [String]
    let status: Int32
    /// What the message has to name.
    let named: [String]
    var testDescription: String { arguments.joined(separator: " ") }

    init(_ arguments: String, _ status: Int32, _ named: String...) {
      self.arguments = arguments.split(separator: " ").map(String.init)
      self.status = status
      self.named = named
    }
  }

  /// After the tiny settings, which each of these contradicts or overrides.
  static let settings: [Case] = [
    Case("--heads 3", 64, "hidden size 16", "3 heads"),
    Case("--layers 1,1", 64, "--layers", "1,1"),
    Case("--layers 1,1,x", 64, "--layers", "1,1,x"),
    Case("--layers 1,1,-1", 64, "--layers", "1,1,-1"),
    Case("--threshold 1.5", 64, "threshold", "1.5"),
    Case("--threshold nan", 64, "threshold", "nan"),
    Case("--hidden-size -16", 64, "hidden size", "-16"),
    Case("--hidden-size 0", 64, "hidden size", "0"),
    Case("--hidden-size x", 64, "--hidden-size", "x"),
    Case("--queue-size -1", 64, "queue size", "-1"),
    Case("--batch-size 0", 64, "batch size", "0"),
    Case("--batch-size -8", 64, "batch size", "-8"),
    Case("--batch-size 21", 64, "21", "20"),
    Case("--epochs 0", 64, "epochs"),
    Case("--epochs 1000000000000", 64, "epochs", "1000000000000"),
    Case("--learning-rate 0", 64, "learning rate"),
    Case("--learning-rate -1e-3", 64, "learning rate", "-0.001"),
    Case("--learning-rate inf", 64, "learning rate"),
    Case("--warmup 1", 64, "warm-up"),
    Case("--weight-decay -1", 64, "weight decay"),
    Case("--dropout 1", 64, "dropout"),
    Case("--temperature 0", 64, "temperature"),
    Case("--prototype-momentum 2", 64, "prototype momentum"),
    Case("--beta-bce-weight inf", 64, "beta_bce"),
    Case("--anchors some", 64, "--anchors", "some"),
    Case("--workers 0", 64, "--workers"),
    Case("--workers 100000", 64, "--workers"),
    Case("--seed -1", 64, "--seed"),
    Case("--samples 0,1,1", 64, "--samples"),
    Case("--samples 99999999999,1,1", 64, "--samples"),
    Case("--steps 0", 64, "--steps"), Case("--steps 5,6", 64, "--steps"), Case("--steps 5,x,6,7", 64, "--steps"),
    Case("--features 2,4,3", 64, "--features"),
    Case("--labels 17", 64, "--labels", "16"),
    Case("--labels 4", 64, "--features", "labels, 4"),
    Case("--no-such-option", 64, "--no-such-option"),
    Case("stray", 64, "stray"),
    Case("--hidden-size 1000000", 71, "parameters", "--hidden-size"),
    Case("--queue-size 1000000000 --latent-size 100000", 71, "the queue", "--queue-size"),
    Case("--workers 640 --hidden-size 1024 --feed-forward-size 100000 --layers 30,30,30", 71, "--hidden-size"),
    Case("--samples 10000000,1,1 --steps 100000", 71, "--samples"),
    Case("--layers 1000,1000,1000 --hidden-size 65536", 71, "--layers"),
  ]

  @Test(arguments: settings) func wrongSettings(wrong: Case) throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(
      ["run", "--output", "r"] + Program.tiny + Program.tinyData + wrong.arguments, in: directory)
    try Self.check(outcome, wrong)
    #expect(try directory.names() == [])
  }

  static func check(_ outcome: Program.Outcome, _ wrong: Case) throws {
    #expect(outcome.status == wrong.status && !outcome.signalled, "\(outcome.error)")
    for word in wrong.named { #expect(outcome.error.contains(word), "\(outcome.error)") }
    // The parser's errors are followed by its usage.
    let message = outcome.error.split(separator: "\n").prefix { !$0.hasPrefix("Help:") && !$0.hasPrefix("Usage:") }
    #expect(message.count == 1, "\(outcome.error)")
    #expect(outcome.output.isEmpty)
  }

  // MARK: Data

  /// A data set of 8 samples a split, 2 steps, 3 features, 2 labels, of which a test spoils something.
  struct SampleData: Sendable {
    var features: [(name: String, values: [Float])] = ["text", "visual", "audio"].map {
      ($0, (0..<48).map { Float($0) / 48 })
    }
    var lengths: [Int32]? = [2, 1, 2, 1, 2, 1, 2, 1]
    var labels: [Float] = (0..<16).map { Float($0 / 2 % 2) }
    var labelWidth = 2
    var featureType = SafetensorsElement.float32
    var labelNames: String? = "calm,tense"
    var ids: [String] = []

    func write(to path: String) throws {
      var owned: [UnsafeMutableRawBufferPointer] = []
      defer { owned.forEach { $0.deallocate() } }
      func bytes<T>(_ values: [T]) -> UnsafeRawBufferPointer {
        let copy = UnsafeMutableRawBufferPointer.allocate(
          byteCount: values.count * MemoryLayout<T>.stride, alignment: 8)
        values.withUnsafeBytes { copy.copyMemory(from: $0) }
        owned.append(copy)
        return UnsafeRawBufferPointer(copy)
      }
      var tensors = features.map {
        TensorSource(name: $0.name, element: featureType, shape: [$0.values.count / 6, 2, 3], bytes: bytes($0.values))
      }
      if let lengths {
        tensors.append(
          TensorSource(name: "text_length", element: .int32, shape: [lengths.count], bytes: bytes(lengths)))
      }
      if !labels.isEmpty {
        let shape = [labels.count / labelWidth, labelWidth]
        tensors.append(TensorSource(name: "labels", element: .float32, shape: shape, bytes: bytes(labels)))
      }
      if let width = ids.map(\.utf8.count).max() {
        let rows = ids.flatMap { Array($0.utf8) + [UInt8](repeating: 0, count: width - $0.utf8.count) }
        tensors.append(TensorSource(name: "ids", element: .uint8, shape: [ids.count, width], bytes: bytes(rows)))
      }
      try SafetensorsWriter(tensors: tensors, metadata: labelNames.map { ["label_names": $0] } ?? [:]).write(to: path)
    }
  }

  struct Spoiled: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let named: [String]
    let spoil: @Sendable (inout SampleData) -> Void

    init(_ description: String, _ named: String..., spoil: @escaping @Sendable (inout SampleData) -> Void) {
      testDescription = description
      self.named = named
      self.spoil = spoil
    }
  }

  static let spoiled: [Spoiled] = [
    Spoiled("NaN", "nan", "split valid", "sample 3", "text", "step 0", "feature 2") {
      $0.features[0].values[20] = .nan
    },
    Spoiled("+inf in audio", "inf", "sample 0", "audio") { $0.features[2].values[0] = .infinity },
    Spoiled("-inf in text", "-inf", "sample 0", "text") { $0.features[0].values[0] = -.infinity },
    Spoiled("label 2", "0 or 1", "2.0", "sample 1", "label 1") { $0.labels[3] = 2 },
    Spoiled("label NaN", "0 or 1", "nan") { $0.labels[3] = .nan },
    Spoiled("length 0", "text_length", "0", "sample 2") { $0.lengths?[2] = 0 },
    Spoiled("length 3", "text_length", "3", "sample 2") { $0.lengths?[2] = 3 },
    Spoiled("too few lengths", "text_length", "[8]", "[7]") { $0.lengths?.removeLast() },
    Spoiled("missing modality", "a tensor 'visual'", "text") { $0.features.remove(at: 1) },
    Spoiled("missing labels", "a tensor 'labels'") { $0.labels = [] },
    Spoiled("fewer samples of a modality", "'audio'", "[8, any, any]", "[7, 2, 3]") {
      $0.features[2].values.removeLast(6)
    },
    Spoiled("wrong type", "'text' of type F32", "I32") { $0.featureType = .int32 },
    Spoiled("other labels", "labels", "sad,calm") { $0.labelNames = "sad,calm" },
    Spoiled("too few label names", "label_names", "calm") { $0.labelNames = "calm" },
    Spoiled("other number of labels", "labels") {
      ($0.labelWidth, $0.labelNames) = (1, nil); $0.labels.removeLast(8)
    },
  ]

  @Test(arguments: spoiled) func wrongData(spoiled: Spoiled) throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    for split in ["train", "valid", "test"] {
      var data = SampleData()
      if split == "valid" { spoiled.spoil(&data) }
      try data.write(to: directory.file("d/\(split).safetensors"))
    }
    let outcome = try Program.run(["run", "--data", "d", "--output", "r"] + Program.tiny, in: directory)
    let wrong = Case("run --data d", 65)
    try Self.check(outcome, wrong)
    #expect(outcome.error.contains("d/valid.safetensors: expected"))
    for word in spoiled.named { #expect(outcome.error.contains(word), "\(outcome.error)") }
    #expect(try directory.names() == ["d"])
  }

  @Test func silenceInAudioIsAccepted() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    var data = SampleData()
    data.features[2].values[7] = -.infinity
    for split in ["train", "valid", "test"] { try data.write(to: directory.file("d/\(split).safetensors")) }
    #expect(try Program.run(["run", "--data", "d", "--output", "r"] + Program.tiny, in: directory).status == 0)
  }

  @Test func wrongFiles() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    #expect(try Program.run(["run", "--data", "d", "--output", "r"] + Program.tiny, in: directory).status == 0)
    let other = ["--samples", "8,8,8", "--steps", "4", "--features", "5,4,4", "--labels", "3"]
    #expect(try Program.run(["generate", "--output", "other"] + other, in: directory).status == 0)
    let whole = try Data(contentsOf: URL(fileURLWithPath: directory.file("d/test.safetensors")))
    for (name, bytes) in [("cut", whole.dropLast(1)), ("short", whole.prefix(5)), ("empty", Data())] {
      try bytes.write(to: URL(fileURLWithPath: directory.file(name + ".safetensors")))
    }
    try Data("{}".utf8).write(to: URL(fileURLWithPath: directory.file("file")))
    for (name, config) in [("text", "hello"), ("none", "{}")] {
      try FileManager.default.createDirectory(atPath: directory.file(name), withIntermediateDirectories: false)
      try Data(config.utf8).write(to: URL(fileURLWithPath: directory.file(name + "/config.json")))
    }
    try FileManager.default.createDirectory(atPath: directory.file("begun"), withIntermediateDirectories: false)
    try FileManager.default.copyItem(
      atPath: directory.file("r/config.json"), toPath: directory.file("begun/config.json"))
    // As NumPy starts one.
    let npz = Data("PK\u{3}\u{4}".utf8) + Data(count: 22) + Data([8, 0, 0, 0]) + Data("text.npy".utf8)
    try npz.write(to: URL(fileURLWithPath: directory.file("all.npz")))
    try FileManager.default.createDirectory(atPath: directory.file("npz"), withIntermediateDirectories: false)
    try npz.write(to: URL(fileURLWithPath: directory.file("npz/train.npz")))
    let before = try directory.names()
    let cases: [Case] = [
      Case("run --output n --data nowhere", 65, "nowhere/train.safetensors", "no such file"),
      Case("run --output n --data file", 65, "file: expected a data set directory", "a file"),
      Case("run --output n --data d/train.safetensors", 65, "give the directory"),
      Case("run --output file --data d --batch-size 8", 73, "file: expected a directory", "choose another --output"),
      Case("run --output file/n --batch-size 8", 73, "file is a file", "choose another --output"),
      Case("run --output n --data all.npz", 65, "an npz file", "scripts/convert all.npz -o OUT"),
      Case("run --output n --data npz", 65, "npz/train.safetensors", "scripts/convert npz -o OUT"),
      Case("evaluate r --data npz", 65, "npz/test.safetensors", "scripts/convert npz -o OUT"),
      Case("predict r --data all.npz", 65, "an npz file", "scripts/convert all.npz -o OUT"),
      Case("evaluate r --data d --weights all.npz", 65, "an npz file"),
      Case("run --output n --data d", 64, "batch of 64", "20"),
      Case("generate --output file", 73, "file"),
      Case("generate", 64, "--output"),
      Case("digest d", 65, "d/checkpoints", "--output directory of a run"),
      Case("digest nowhere", 65, "nowhere/checkpoints", "no such file"),
      Case("digest begun", 65, "begun/checkpoints", "while it trains"),
      Case("verify nowhere", 65, "nowhere/config.json", "no such file"),
      Case("verify text", 65, "text/config.json"),
      Case("verify none", 65, "none/config.json"),
      Case("digest", 64, "<run>"),
      Case("evaluate begun --data d", 65, "begun/best.safetensors", "first epoch"),
      Case("evaluate d --data d", 65, "d/config.json"),
      Case("evaluate r --data other", 65, "other/test.safetensors", "audio", "3 features", "4"),
      Case("evaluate r --data cut.safetensors", 65, "cut.safetensors", "damaged"),
      Case("evaluate r --data short.safetensors", 65, "short.safetensors", "5 bytes"),
      Case("evaluate r --data empty.safetensors", 65, "empty.safetensors", "0 bytes"),
      Case("evaluate r --data r/best.safetensors", 65, "r/best.safetensors", "labels"),
      Case("evaluate r --data d --split fourth", 64, "--split", "fourth"),
      Case("evaluate r --data d --threshold 2", 64, "--threshold", "2"),
      Case("predict r --data d --output nowhere/p", 73, "nowhere/p"),
      Case("predict r --data d --format xml", 64, "--format", "xml"),
      Case("replay nowhere", 65, "nowhere"),
      Case("replay file", 65, "file"),
      Case("replay r/best.safetensors", 65, "carat-golden-1"),
      Case("replay cut.safetensors", 65, "damaged"),
    ]
    for wrong in cases {
      let outcome = try Program.run(wrong.arguments, in: directory)
      try Self.check(outcome, wrong)
      #expect(try directory.names() == before, "\(wrong.arguments)")
    }
  }

  @Test func generatedDataReplaceNobodysOwn() throws {
    let directory = try TemporaryDirectory()
    try SampleData().write(to: directory.file("valid.safetensors"))
    let outcome = try Program.run(["generate", "--output", "."] + Program.tinyData, in: directory)
    try Self.check(outcome, Case("generate", 65, "valid.safetensors", "would be lost"))
    #expect(try directory.names() == ["valid.safetensors"])
  }

  @Test func predictionsNeedNoLabels() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    for split in ["train", "valid", "test"] { try SampleData().write(to: directory.file("d/\(split).safetensors")) }
    #expect(try Program.run(["run", "--data", "d", "--output", "r"] + Program.tiny, in: directory).status == 0)
    var data = SampleData()
    (data.labels, data.labelNames) = ([], nil)
    try data.write(to: directory.file("new.safetensors"))
    let labelled = try Program.run(["predict", "r", "--data", "d"], in: directory)
    let unlabelled = try Program.run(["predict", "r", "--data", "new.safetensors"], in: directory)
    #expect(
      labelled.lines.count == 9
        && labelled.lines.map { $0.split(separator: ",").dropLast(2).joined(separator: ",") } == unlabelled.lines,
      "\(unlabelled.error)")
    let evaluated = try Program.run(["evaluate", "r", "--data", "new.safetensors"], in: directory)
    try Self.check(evaluated, Case("evaluate", 65, "labels"))
  }
}
