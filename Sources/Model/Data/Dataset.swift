import Files
import Foundation

/// A dataset directory: `train.safetensors`, `valid.safetensors` and `test.safetensors`, alike but for their samples.
///
/// Every file has a float32 tensor [N, T, F] for each modality, `labels` [N, C] of 0 and 1, for padded sequences an
/// integer tensor `<modality>_length` [N], and may name the labels in its metadata: `label_names`, separated by commas.
/// A tensor `ids`, U8 [N, L], may name the samples: see `SampleIDs`.
/// Modalities other than text, visual and audio are listed, in the model's order, in the metadata `modalities`.
public struct Dataset: Sendable {
  /// The modalities of CARAT, in its order.
  package static let modalityNames = ["text", "visual", "audio"]

  /// The splits, in the order of their files in a fingerprint.
  package static let splitNames = ["train", "valid", "test"]

  public let train: DatasetSplit
  public let valid: DatasetSplit
  public let test: DatasetSplit

  /// Opens and validates all three splits; see `DatasetSplit.init`.
  ///
  /// - Parameters:
  ///   - directory: its path.
  ///   - modalities: those to open; by default all that the training split has.
  /// - Throws: if a file is missing or bad, or the splits differ in steps, features, labels or label names.
  public init(directory: String, modalities: [String]? = nil) throws(DataError) {
    var isDirectory: ObjCBool = false
    guard !FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory) || isDirectory.boolValue else {
      throw ConvertibleFile.error(ofFileAt: directory)
        ?? DataError(
          file: directory, expected: "a data set directory with train, valid and test.safetensors", found: "a file",
          remedy: "give the directory, not a file in it")
    }
    train = try Self.open("train", in: directory, modalities: modalities)
    let names = train.modalities.map(\.name)
    valid = try Self.open("valid", in: directory, modalities: names)
    test = try Self.open("test", in: directory, modalities: names)
    try valid.requireShape(of: train)
    try test.requireShape(of: train)
  }

  /// Opens one split by its name: "train", "valid" or "test".
  package static func open(
    _ split: String, in directory: String, modalities: [String]? = nil
  ) throws(DataError) -> DatasetSplit {
    try DatasetSplit(path: Self.path(of: split, in: directory), name: split, modalities: modalities)
  }

  /// Where a directory has a split: `<split>.safetensors`.
  package static func path(of split: String, in directory: String) -> String {
    directory + (directory.hasSuffix("/") ? "" : "/") + split + ".safetensors"
  }

  /// Whether a path is that of a file of samples, there or to be there by its name, and not of a directory.
  package static func isFile(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
    return exists ? !isDirectory.boolValue : path.hasSuffix(".safetensors")
  }
}

extension DatasetSplit {
  /// What a model sees of a split: T and F of each modality, and the labels in their order.
  private var shape: [(what: String, value: String)] {
    modalities.map { ("\($0.name) of \($0.steps) steps with", "\($0.features) features") }
      + [("labels", labelNames.joined(separator: ","))]
  }

  func requireShape(of other: DatasetSplit) throws(DataError) {
    for (mine, theirs) in zip(shape, other.shape) where mine != theirs {
      throw DataError(
        file: path, expected: "\(theirs.what) \(theirs.value), as in split \(other.name)",
        found: "\(mine.what) \(mine.value)", remedy: "make all splits of a dataset with the same settings")
    }
  }

  /// - Throws: if a model of these settings can't take the samples: modalities, features and labels have to be its own, and
  ///   sequences no longer than it has position embeddings.
  func requireShape(of settings: RunConfiguration) throws(DataError) {
    let own = settings.model.modalities
    guard modalities.map(\.name) == own.map(\.name) else {
      throw DataError(
        file: path, expected: "the modalities \(own.map(\.name).joined(separator: ","))",
        found: modalities.map(\.name).joined(separator: ","),
        remedy: "use data of the shape that the run was trained on")
    }
    for (own, found) in zip(own, modalities)
    where found.features != own.features || found.steps > own.maximumSteps {
      throw DataError(
        file: path, expected: "\(own.name) of at most \(own.maximumSteps) steps of \(own.features) features",
        found: "\(found.steps) steps of \(found.features)", remedy: "use data of the shape that the run was trained on")
    }
    guard labelNames == settings.labelNames else {
      throw DataError(
        file: path, expected: "the labels \(settings.labelNames.joined(separator: ","))",
        found: labelNames.joined(separator: ","), remedy: "use data with the labels that the run was trained on")
    }
  }
}
