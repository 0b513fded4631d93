import Foundation

/// Data and weights in another format, given where a safetensors file is expected: known by their first bytes, and told
/// of with the one command that converts them.
package enum ConvertibleFile {
  case npz, npy, hdf5, pickle, torch

  /// - Parameter bytes: the first of a file, 64 of them where there are so many.
  /// - Returns: nil if they start like nothing that is known.
  init?(_ bytes: [UInt8]) {
    func starts(_ start: [UInt8]) -> Bool { bytes.starts(with: start) }
    if starts([0x50, 0x4B, 3, 4]) {
      // The first entry's name, whose length is the 27th byte, follows a header of 30 bytes: NumPy's end in ".npy".
      let name = bytes.dropFirst(30).prefix(bytes.count > 26 ? Int(bytes[26]) : 0)
      self = name.suffix(4).elementsEqual(".npy".utf8) ? .npz : .torch
    } else if starts([0x50, 0x4B, 5, 6]) {
      self = .npz
    } else if starts([0x93] + Array("NUMPY".utf8)) {
      self = .npy
    } else if starts([0x89] + Array("HDF".utf8)) {
      self = .hdf5
    } else if bytes.count > 8, bytes[0] == 0x80, (2...5).contains(bytes[1]), !Self.isHeaderLength(bytes) {
      self = .pickle
    } else {
      return nil
    }
  }

  /// Whether the bytes may be the length of a safetensors header, and its first.
  private static func isHeaderLength(_ bytes: [UInt8]) -> Bool {
    bytes[3..<8].allSatisfy { $0 == 0 } && bytes[8] == UInt8(ascii: "{")
  }

  private var name: String {
    switch self {
    case .npz: "an npz file"
    case .npy: "an npy array"
    case .hdf5: "an HDF5 file, such as a computational sequence"
    case .pickle: "a pickle, or an older torch file"
    case .torch: "a zip file, such as torch.save writes"
    }
  }

  private func remedy(_ path: String) -> String {
    switch self {
    case .npz, .hdf5: "convert it: \(Self.command(path))"
    case .npy: "put the arrays into one file with numpy.savez, then: scripts/convert FILE.npz -o OUT"
    case .pickle, .torch:
      "convert it: \(Self.command(path)), or, if it has weights: scripts/weights \(Self.quoted(path)) OUT.safetensors"
    }
  }

  /// What is wrong with a file that is of such a format; nil if it is not, or can't be read.
  package static func error(ofFileAt path: String) -> DataError? {
    // Without O_NONBLOCK the opening of a named pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let start = [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
      count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
    }
    return ConvertibleFile(start).map { kind in
      DataError(
        file: path, expected: "a \(SafetensorsHeader.kind)", found: kind.name, remedy: kind.remedy(path))
    }
  }

  /// The one command that makes a data set directory of what a directory holds; nil if it holds nothing of the kind.
  package static func command(forDirectory directory: String) -> String? {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    func first(_ endings: [String]) -> String? { names.first { name in endings.contains { name.hasSuffix($0) } } }
    if first([".npz", ".csd"]) != nil { return command(directory) }
    return first([".pkl", ".pickle", ".pt"]).map { command(directory + (directory.hasSuffix("/") ? "" : "/") + $0) }
  }

  private static func command(_ path: String) -> String { "scripts/convert \(quoted(path)) -o OUT" }

  /// A path as a shell takes it.
  private static func quoted(_ path: String) -> String {
    let plain = "/._-+,@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8
    if path.utf8.allSatisfy({ $0 >= 0x80 || plain.contains($0) }) { return path }
    return "'" + path.unicodeScalars.map { $0 == "'" ? "'\\''" : String($0) }.joined() + "'"
  }
}
