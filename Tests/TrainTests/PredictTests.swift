import Foundation
import TestSupport
import Testing

/// Sample ids on their way from a data set's file to the predictions; labels that no sample has; scores.
@Suite struct PredictTests {
  static let ids = ["a,b", "say \"hi\"", "two\r\nlines", "e,\u{301}x", "=1+1", " x ", "007", "日本"]

  /// Eight samples a split, with ids in the test split; nobody is tense but in the training split.
  private func trained(in directory: TemporaryDirectory) throws -> Program.Outcome {
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    for split in ["train", "valid", "test"] {
      var data = BadInputTests.SampleData()
      data.labels = [Float](repeating: 0, count: 16)
      for i in stride(from: 4, to: 16, by: 4) { data.labels[i] = 1 }
      if split == "train" { data.labels[9] = 1 }
      if split == "test" { data.ids = Self.ids }
      try data.write(to: directory.file("d/\(split).safetensors"))
    }
    return try Program.run(["run", "--data", "d", "--output", "r"] + Program.tiny, in: directory)
  }

  /// The records of a CSV text: RFC 4180, read scalar by scalar.
  static func records(ofCSV text: String) -> [[String]] {
    var records: [[String]] = [[]]
    var (field, isQuoted, wasQuote) = ("", false, false)
    for scalar in text.unicodeScalars {
      if scalar == "\"" {
        if !isQuoted && wasQuote { field.unicodeScalars.append(scalar) }
        (isQuoted, wasQuote) = (!isQuoted, isQuoted)
        continue
      }
      wasQuote = false
      if isQuoted || (scalar != "," && scalar != "\n") {
        field.unicodeScalars.append(scalar)
        continue
      }
      records[records.count - 1].append(field)
      field = ""
      if scalar == "\n" { records.append([]) }
    }
    return records.dropLast()
  }

  @Test func idsComeOut() throws {
    let directory = try TemporaryDirectory()
    #expect(try trained(in: directory).status == 0)
    let csv = try Program.run(["predict", "r", "--data", "d"], in: directory)
    #expect(csv.status == 0, "\(csv)")
    let records = Self.records(ofCSV: csv.output)
    #expect(
      records[0] == [
        "id", "sample", "score_calm", "score_tense", "label_calm", "label_tense", "threshold_calm",
        "threshold_tense", "truth_calm", "truth_tense",
      ])
    #expect(records.dropFirst().map { Array($0[0].utf8) } == Self.ids.map { Array($0.utf8) })
    #expect(records.dropFirst().map { $0[1] } == (0..<8).map(String.init) && records.allSatisfy { $0.count == 10 })
    // Every fourth value is 1, but the first.
    #expect(records.dropFirst().map { $0[8] + $0[9] } == ["00", "00", "10", "00", "10", "00", "10", "00"])
    let jsonl = try Program.run(["predict", "r", "--data", "d", "--format", "jsonl"], in: directory)
    let objects = try jsonl.lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(objects.map { $0["id"] as? String } == Self.ids)
    #expect(objects.allSatisfy { $0.keys.sorted() == ["id", "labels", "sample", "scores", "thresholds", "truth"] })
    // A split without ids has none.
    let valid = try Program.run(["predict", "r", "--data", "d", "--split", "valid"], in: directory)
    #expect(valid.lines[0].hasPrefix("sample,score_calm") && valid.lines[1].hasPrefix("0,"))
    let line = try Program.run(["predict", "r", "--data", "d", "--split", "valid", "--format", "jsonl"], in: directory)
    #expect(line.json.keys.sorted() == ["labels", "sample", "scores", "thresholds", "truth"])
  }

  @Test func reasonsAreTold() throws {
    let directory = try TemporaryDirectory()
    #expect(try trained(in: directory).status == 0)
    let options = ["predict", "r", "--data", "d", "--threshold", "0", "--explain"]
    let csv = try Program.run(options + ["--embeddings", "e.safetensors"], in: directory)
    let records = Self.records(ofCSV: csv.output)
    #expect(records[0].suffix(4) == ["modality_calm", "modality_tense", "steps_calm", "steps_tense"], "\(csv)")
    for record in records.dropFirst() {
      #expect(record.suffix(4).prefix(2).allSatisfy { ["text", "visual", "audio"].contains($0) })
      #expect(record.suffix(2).allSatisfy { $0.contains(":") })
    }
    #expect(directory.exists("e.safetensors"))
    // No file is replaced.
    let again = try Program.run(options + ["--embeddings", "e.safetensors"], in: directory)
    #expect(again.status == 73 && again.output.isEmpty)
    #expect(try Program.run(options + ["--embeddings", "e.npz"], in: directory).status == 64)
    let jsonl = try Program.run(options + ["--format", "jsonl"], in: directory)
    let explanations = try #require(jsonl.json["explanations"] as? [String: [String: Any]])
    #expect(explanations.keys.sorted() == ["calm", "tense"])
  }

  @Test func whatHasToBeKnownOfDataIsSaid() throws {
    let directory = try TemporaryDirectory()
    let run = try trained(in: directory)
    let lines = run.lines.filter { $0.hasPrefix("labels that no sample has: tense in valid; tense in test; ") }
    #expect(lines.count == 1, "\(run)")
    #expect(!run.output.contains("ids that"))
    var data = BadInputTests.SampleData()
    data.ids = Array(Self.ids.dropFirst()) + ["another"]
    try data.write(to: directory.file("d/train.safetensors"))
    let again = try Program.run(["run", "--data", "d", "--output", "s"] + Program.tiny, in: directory)
    #expect(again.output.contains("ids that two splits have: 7 in train and test, such as ' x '"), "\(again)")
    let evaluated = try Program.run(["evaluate", "r", "--data", "d", "--json"], in: directory)
    #expect(evaluated.status == 0 && (evaluated.json["label_f1"] as? [String: Double])?["tense"] == 0)
    #expect(evaluated.lines.count == 1 && evaluated.error.split(separator: "\n").count == 1)
    #expect(evaluated.error.contains("tense in test"), "\(evaluated.error)")
    // Its own data set, and each label by itself.
    let own = try Program.run(["evaluate", "r", "--json"], in: directory)
    #expect(own.status == 0 && own.lines == evaluated.lines, "\(own)")
    let labels = try #require(own.json["labels"] as? [[String: Any]])
    #expect(labels.last?["name"] as? String == "tense" && labels.last?["support"] as? Int == 0)
    for label in labels {
      #expect(
        label.keys.sorted() == ["average_precision", "f1", "name", "precision", "recall", "support", "threshold"])
    }
    let table = try Program.run(["evaluate", "r"], in: directory).lines
    #expect(table.contains { $0.hasPrefix("Hamming loss") } && table.last?.contains("tense") == true, "\(table)")
    let trained = try Program.run(["evaluate", "r", "--data", "d", "--split", "train"], in: directory)
    #expect(trained.error.isEmpty, "\(trained.error)")
    // Thresholds of the validation split, beside the run's own; a label that no sample of it has keeps that.
    let tuned = try Program.run(["evaluate", "r", "--tune-threshold", "label", "--json"], in: directory)
    #expect(tuned.json["micro_f1"] as? Double == own.json["micro_f1"] as? Double, "\(tuned)")
    let second = try #require(tuned.json["tuned"] as? [String: Any])
    let thresholds = try #require(second["labels"] as? [[String: Any]]).compactMap { $0["threshold"] as? Double }
    #expect(second["tuning"] as? String == "label" && thresholds.last == 0.25 && Set(thresholds).count > 1, "\(second)")
    // As a table for other programs, and with intervals around the means.
    let csv = Self.records(ofCSV: try Program.run(["evaluate", "r", "--csv"], in: directory).output)
    #expect(csv.map { $0[0] } == ["label", "calm", "tense"] && csv.allSatisfy { $0.count == 7 }, "\(csv)")
    #expect(Double(csv[1][3]) == labels.first?["f1"] as? Double)
    let sure = try Program.run(["evaluate", "r", "--confidence", "200", "--json"], in: directory)
    let confidence = try #require(sure.json["confidence"] as? [String: Any])
    let intervals = try #require(confidence["intervals"] as? [String: [Double]])
    for (name, interval) in intervals {
      let value = try #require(own.json[name] as? Double)
      #expect(interval.count == 2 && interval[0] <= value && value <= interval[1], "\(name): \(interval), \(value)")
    }
    #expect(try Program.run(["evaluate", "r", "--confidence", "200", "--json"], in: directory).output == sure.output)
    #expect(try Program.run(["evaluate", "r", "--confidence", "20"], in: directory).output.contains("95 % 0."))
    for wrong in [["--json", "--csv"], ["--confidence", "0"], ["--csv", "--confidence", "9"]] {
      #expect(try Program.run(["evaluate", "r"] + wrong, in: directory).status == 64)
    }
    let same = try Program.run(["evaluate", "r", "--tune-threshold", "global", "--split", "valid"], in: directory)
    #expect(same.lines.first?.contains("tuned") == true && same.error.contains("the very samples"), "\(same)")
  }

  /// Scores of nothing but equal numbers, the true samples first or last: the share of them.
  @Test(arguments: [true, false]) func equalScores(trueFirst: Bool) throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    var data = BadInputTests.SampleData()
    data.features = data.features.map { ($0.name, $0.values.map { _ in 0 }) }
    data.lengths = nil
    // Both labels of two samples, or of the other six.
    let (first, others): (Float, Float) = trueFirst ? (1, 0) : (0, 1)
    data.labels = [Float](repeating: first, count: 4) + [Float](repeating: others, count: 12)
    for split in ["train", "valid", "test"] { try data.write(to: directory.file("d/\(split).safetensors")) }
    let run = try Program.run(["run", "--data", "d", "--output", "r", "--json"] + Program.tiny, in: directory)
    let evaluated = try Program.run(["evaluate", "r", "--data", "d", "--json"], in: directory)
    let share = trueFirst ? 0.25 : 0.75
    #expect(evaluated.json["mAP"] as? Double == share, "\(evaluated)")
    #expect((run.json["test"] as? [String: Any])?["mAP"] as? Double == share, "\(run)")
  }

  @Test func scoresThatAreNotFiniteEndIt() throws {
    let directory = try TemporaryDirectory()
    #expect(try trained(in: directory).status == 0)
    var data = BadInputTests.SampleData()
    for i in 6..<12 { data.features[0].values[i] = i % 2 == 0 ? 3e38 : -3e38 }
    try data.write(to: directory.file("large.safetensors"))
    for command in ["evaluate", "predict"] {
      let outcome = try Program.run([command, "r", "--data", "large.safetensors"], in: directory)
      #expect(outcome.status == 2, "\(outcome)")
      #expect(outcome.error.contains("large.safetensors: the scores of sample 1 are not finite"), "\(outcome.error)")
    }
  }
}
