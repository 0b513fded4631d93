import Files
import Foundation
import Tensor

/// One file of samples, mapped, validated and never loaded whole.
///
/// Shapes: N samples, M modalities, T steps and F features (which may differ from one modality to another), C labels.
public final class DatasetSplit: Sendable {
  /// "train", "valid", "test", or the name of the file.
  public let name: String
  public let path: String
  /// N.
  public let count: Int
  package let modalities: [ModalityData]
  /// C.
  package let labelCount: Int
  /// C different names; `label0` … where the file has none.
  public let labelNames: [String]
  /// The samples' ids, where the file has them.
  package let ids: SampleIDs?
  /// The file's metadata.
  package let metadata: [String: String]

  /// Whether the file has labels.
  package let hasLabels: Bool
  /// [N, C]; all 0 where the file has no labels.
  private let labels: Buffer

  /// Opens a file and reads all of it once, to refuse what would spoil a training run hours later.
  ///
  /// - Parameters:
  ///   - name: what messages call the split; by default the file's name without its extension.
  ///   - modalities: the tensors that are modalities, in the order the model takes them; by default those that the
  ///     metadata `modalities` lists, or text, visual and audio.
  ///   - labelsIfMissing: the names of the labels of a file that has none, whose samples are to be predicted; nil if
  ///     it has to have labels.
  /// - Throws: if a tensor is missing, of the wrong type or shape, or of another number of samples; if a feature is
  ///   NaN or infinite (−∞ in audio, the logarithm of silence, is accepted: it stands for 0), a label is neither
  ///   0 nor 1, a length is not in 1 … T, or two ids are the same.
  package init(
    path: String, name: String? = nil, modalities: [String]? = nil, labelsIfMissing: [String]? = nil
  ) throws(DataError) {
    let name = name ?? baseName(of: path)
    let file = try Self.open(path)
    let modalities = if let modalities { modalities } else { try Self.listedModalities(file) }
    let validation = DatasetValidation(path: path, split: name)
    let shape: (samples: Int, labels: Int)
    hasLabels = file.shape(of: "labels") != nil
    if let labelsIfMissing, !hasLabels {
      labelNames = labelsIfMissing
      shape = (try Self.sampleCount(file, modalities), labelsIfMissing.count)
      labels = Buffer(count: shape.samples * shape.labels)
    } else {
      shape = try Self.labelShape(file)
      let values = try file.floats("labels")
      try validation.check(labels: values, width: shape.labels)
      labels = Buffer(count: values.count)
      if let base = values.baseAddress { labels.base.update(from: base, count: values.count) }
      labelNames = try Self.labelNames(file, count: shape.labels)
    }
    var opened: [ModalityData] = []
    for modality in modalities {
      opened.append(try Self.modality(modality, in: file, samples: shape.samples, validation: validation))
    }
    self.name = name
    self.path = path
    count = shape.samples
    self.modalities = opened
    ids = try SampleIDs(file, samples: shape.samples)
    labelCount = shape.labels
    metadata = file.metadata
  }

  /// A sample's C labels, each 0 or 1, valid as long as this object lives.
  package func labels(ofSample sample: Int) -> UnsafeBufferPointer<Float> {
    precondition(sample >= 0 && sample < count, "sample \(sample) of \(count)")
    return UnsafeBufferPointer(start: labels.base + sample * labelCount, count: labelCount)
  }

  /// The labels that no sample has, in their order: what is measured of them counts as 0.
  package var absentLabels: [String] {
    zip(labelNames, labelSupport).filter { $1 == 0 }.map(\.0)
  }

  /// Samples that have each label.
  package var labelSupport: [Int] {
    (0..<labelCount).map { label in (0..<count).count { labels.base[$0 * labelCount + label] > 0 } }
  }

  /// Copies a sample's first `steps` steps of one modality to `destination`, [steps, F], with 0 for −∞.
  package func copyFeatures(
    sample: Int, modality index: Int, steps: Int, into destination: UnsafeMutablePointer<Float>
  ) {
    let modality = modalities[index]
    precondition(steps >= 0 && steps <= modality.steps, "\(steps) steps of \(modality.steps) of \(modality.name)")
    let count = steps * modality.features
    let source = UnsafeRawBufferPointer(rebasing: modality.rows[sample].prefix(count * MemoryLayout<Float>.stride))
    UnsafeMutableRawBufferPointer(start: destination, count: source.count).copyMemory(from: source)
    guard modality.hasNegativeInfinity else { return }
    for i in 0..<count where destination[i] == -.infinity { destination[i] = 0 }
  }

  private static func open(_ path: String) throws(DataError) -> SafetensorsFile {
    guard FileManager.default.fileExists(atPath: path) else {
      let isSplit = Dataset.splitNames.contains(baseName(of: path))
      let command = isSplit ? ConvertibleFile.command(forDirectory: parentDirectory(of: path)) : nil
      throw DataError(
        file: path, expected: "a dataset file with modalities [N, T, F] and labels [N, C]", found: "no such file",
        remedy: command.map { "convert what is in the directory: \($0)" }
          ?? "give a directory with train.safetensors, valid.safetensors and test.safetensors")
    }
    return try SafetensorsFile(path: path)
  }

  /// Names in a file's metadata, separated by commas: the text and its parts; nil if there is none.
  private static func list(_ key: String, _ file: SafetensorsFile) -> (text: String, names: [String])? {
    file.metadata[key].map { text in
      let parts = text.split(separator: ",", omittingEmptySubsequences: false)
      return (text, parts.map { $0.trimmingCharacters(in: .whitespaces) })
    }
  }

  /// The modalities that a file's metadata lists; CARAT's three if it lists none.
  private static func listedModalities(_ file: SafetensorsFile) throws(DataError) -> [String] {
    guard let (text, names) = list("modalities", file) else { return Dataset.modalityNames }
    guard !names.contains(""), Set(names).count == names.count else {
      throw DataError(
        file: file.path, expected: "names of different modalities, separated by commas, in modalities",
        found: "'\(text)'", remedy: "name each modality's tensor once, or leave modalities out")
    }
    return names
  }

  private static func labelShape(_ file: SafetensorsFile) throws(DataError) -> (samples: Int, labels: Int) {
    _ = try file.floatBytes("labels", shape: [nil, nil])
    guard let shape = file.shape(of: "labels"), shape[0] > 0, (1...1 << 20).contains(shape[1]) else {
      throw DataError(
        file: file.path, expected: "at least one sample and 1 to 1048576 labels",
        found: "labels of shape \(file.shape(of: "labels") ?? [])", remedy: "check what wrote the file")
    }
    return (shape[0], shape[1])
  }

  /// N, by the first modality.
  private static func sampleCount(_ file: SafetensorsFile, _ modalities: [String]) throws(DataError) -> Int {
    let name = modalities.first ?? "labels"
    _ = try file.floatBytes(name, shape: [nil, nil, nil])
    guard let count = file.shape(of: name)?.first, count > 0 else {
      throw DataError(
        file: file.path, expected: "at least one sample", found: "\(name) of shape \(file.shape(of: name) ?? [])",
        remedy: "check what wrote the file")
    }
    return count
  }

  private static func modality(
    _ name: String, in file: SafetensorsFile, samples: Int, validation: DatasetValidation
  ) throws(DataError) -> ModalityData {
    _ = try file.floatBytes(name, shape: [samples, nil, nil])
    guard let shape = file.shape(of: name), shape[1] > 0, shape[2] > 0 else {
      throw DataError(
        file: file.path, expected: "at least one step and one feature of \(name)",
        found: "shape \(file.shape(of: name) ?? [])", remedy: "leave the modality out, or check what wrote the file")
    }
    let steps = shape[1]
    var lengths = [Int](repeating: steps, count: samples)
    if file.shape(of: name + "_length") != nil {
      lengths = try file.int32s(name + "_length", shape: [samples]).map(Int.init)
      try validation.check(lengths: lengths, of: name, steps: steps)
    }
    let rows = try FloatRows(file, name: name, width: steps * shape[2])
    let infinite = try validation.check(features: rows, of: name, samples: samples, width: shape[2])
    return ModalityData(
      name: name, steps: steps, features: shape[2], lengths: lengths, hasNegativeInfinity: infinite, rows: rows)
  }

  private static func labelNames(_ file: SafetensorsFile, count: Int) throws(DataError) -> [String] {
    guard let (text, names) = list("label_names", file) else { return (0..<count).map { "label\($0)" } }
    guard names.count == count, Set(names).count == count else {
      throw DataError(
        file: file.path, expected: "\(count) different label_names separated by commas", found: "'\(text)'",
        remedy: "give every column of labels its name, or leave label_names out")
    }
    return names
  }
}
