import Files
import Foundation
import TestSupport
import Testing

/// Names that would drive a terminal, files that only stand for others, commands started in another way than meant.
@Suite struct MistakeTests {
  static let esc = "\u{1B}[2J"

  /// A data set of a label and a modality whose names are not for the eye.
  func write(_ directory: TemporaryDirectory) throws {
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    for split in ["train", "valid", "test"] {
      var data = BadInputTests.SampleData()
      data.labelNames = "calm\(Self.esc),ten\u{9B}se\nline"
      try data.write(to: directory.file("d/\(split).safetensors"))
    }
  }

  @Test func namesDoNotDriveATerminal() throws {
    let directory = try TemporaryDirectory()
    try write(directory)
    let output = "r\u{1B}[31m"
    let run = try Program.run(["run", "--data", "d", "--output", output, "--json"] + Program.tiny, in: directory)
    #expect(run.status == 0, "\(run.error)")
    let others = [
      ["evaluate", output, "--data", "d"], ["evaluate", output, "--data", "d", "--json"], ["verify", output],
      ["predict", output, "--data", "nowhere\u{7}"], ["digest", "none\u{1B}"], ["run", "--fo\u{1B}o"],
      ["evaluate", output, "--data", "d", "--split", "x\u{9B}"],
    ]
    for outcome in try [run] + others.map({ try Program.run($0, in: directory) }) {
      let all = outcome.output + outcome.error
      #expect(
        !all.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control }, "\(all)")
      #expect(!outcome.signalled)
    }
    #expect(run.output.contains("labels calm\\u{1b}[2J, ten\\u{9b}se\\u{a}line"), "\(run.output)")
    // JSON and CSV are data: the names come back as they were.
    let labels = ((run.json["test"] as? [String: Any])?["label_f1"] as? [String: Any])?.keys.sorted()
    #expect(labels == ["calm\(Self.esc)", "ten\u{9B}se\nline"])
    let scores = try Program.run(["predict", output, "--data", "d"], in: directory)
    #expect(scores.output.hasPrefix("sample,\"score_calm\(Self.esc)\",\"score_ten\u{9B}se\nline\",\"label_calm"))
  }

  @Test(arguments: [
    ("evalute", "evaluate"), ("rnu", "run"), ("predcit", "predict"), ("topolgy", "topology"), ("hlep", "help"),
    ("xyz", nil), ("", nil),
  ]) func aMistypedCommandIsToldTheNearest(typed: String, meant: String?) throws {
    let outcome = try Program.run([typed], in: TemporaryDirectory())
    #expect(outcome.status == 64)
    #expect(outcome.error.contains("There is no command '\(typed)'"), "\(outcome.error)")
    #expect(outcome.error.contains("did you mean") == (meant != nil), "\(outcome.error)")
    if let meant { #expect(outcome.error.contains("did you mean '\(meant)'?"), "\(outcome.error)") }
  }

  /// What everybody needs comes first.
  @Test func helpBeginsWithTheBasics() throws {
    let help = try Program.run(["run", "--help"], in: TemporaryDirectory()).output
    let options = help.split(separator: "\n").compactMap { line in
      line.hasPrefix("  --") ? String(line.dropFirst(2).prefix { $0 != " " && $0 != "," }) : nil
    }
    #expect(
      options.prefix(9) == [
        "--data", "--output", "--resume", "--overwrite", "--preset", "--epochs", "--batch-size", "--learning-rate",
        "--seed",
      ])
    #expect(help.contains("train run --data"))
  }

  static let strangers = [
    ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer", "git lfs pull"),
    ("\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>", "web page", "download"),
    ("<html lang=en>", "web page", "download"),
    ("PK\u{3}\u{4}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "zip file", "scripts/convert"),
  ]

  @Test(arguments: strangers) func filesThatStandForOthers(content: String, found: String, remedy: String) throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    let run = ["run", "--output", "r", "--data", "d"] + Program.tiny
    #expect(try Program.run(run, in: directory).status == 0)
    try Data(content.utf8).write(to: URL(fileURLWithPath: directory.file("x.safetensors")))
    let other = ["run", "--output", "s", "--data", "d"] + Program.tiny
    for arguments in [
      ["predict", "r", "--data", "x.safetensors"], ["evaluate", "r", "--data", "d", "--weights", "x.safetensors"],
      other + ["--init", "x.safetensors"], other + ["--config", "x.safetensors"], ["replay", "x.safetensors"],
    ] {
      let outcome = try Program.run(arguments, in: directory)
      #expect(outcome.status == 65 && outcome.error.split(separator: "\n").count == 1, "\(outcome)")
      for words in ["x.safetensors: expected", found, remedy] {
        #expect(outcome.error.contains(words), "\(outcome.error)")
      }
    }
    try FileManager.default.copyItem(atPath: directory.file("d"), toPath: directory.file("e"))
    try Data(content.utf8).write(to: URL(fileURLWithPath: directory.file("e/valid.safetensors")))
    let data = try Program.run(["run", "--output", "s", "--data", "e"] + Program.tiny, in: directory)
    #expect(data.status == 65 && data.error.contains("e/valid.safetensors") && data.error.contains(found))
    #expect(!directory.exists("s"))
  }

  @Test(arguments: [
    (["bench", "--features", "x"], "--features", "train bench"),
    (["scale", "--output", "s", "--length", "0"], "--length", "train scale"),
    (["topology", "--features", "1,2"], "--features", "train topology"),
    (["evaluate", "r", "--dat", "d"], "--data", "train evaluate"),
    (["run", "--layers", "x"], "--layers", "train run"), (["--layers", "x"], "--layers", "train run"),
    (["evalute", "r"], "evaluate", "train"),
  ]) func usageIsThatOfTheCommand(arguments: [String], named: String, command: String) throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(arguments, in: directory)
    #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome)")
    #expect(outcome.error.contains(named))
    #expect(
      outcome.error.contains("Usage: \(command) ") && outcome.error.contains("See '\(command) --help'"), "\(outcome)")
  }

  /// srun starts four tasks, each of which was to be a run of its own.
  @Test func aTaskOfSeveralIsToldHowToRunAlone() throws {
    let directory = try TemporaryDirectory()
    let tasks = ["SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4", "OMPI_COMM_WORLD_SIZE": "4"]
    let run = ["run", "--output", "r"] + Program.tiny + Program.tinyData
    #expect(try Program.run(run, in: directory).status == 0)
    for arguments in [run + ["--overwrite"], ["evaluate", "r", "--data", "r/data"]] {
      let outcome = try Program.run(arguments, in: directory, environment: tasks)
      #expect(outcome.status == 69, "\(outcome)")
      #expect(outcome.error.contains("env -u OMPI_COMM_WORLD_SIZE -u SLURM_STEP_NUM_TASKS"), "\(outcome.error)")
    }
    let alone = try Program.run(
      run + ["--overwrite"], in: directory, shell: "unset OMPI_COMM_WORLD_SIZE SLURM_STEP_NUM_TASKS", environment: tasks
    )
    #expect(alone.status == 0, "\(alone.error)")
  }
}
