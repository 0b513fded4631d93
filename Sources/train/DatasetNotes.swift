import Model

// What is no error in data, and has to be known of what is measured on them; a line each.

/// Labels that no sample of a split has; nil if there are none.
func absentLabels(of splits: [DatasetSplit]) -> String? {
  let parts = splits.compactMap { split in
    let absent = split.absentLabels
    return absent.isEmpty ? nil : "\(absent.joined(separator: ", ")) in \(split.name)"
  }
  guard !parts.isEmpty else { return nil }
  return "labels that no sample has: \(parts.joined(separator: "; ")); the F1 and average precision of such a label "
    + "are 0, in the means too"
}

/// Ids that two splits have: what is trained on should not be measured on; nil if there are none.
func commonIDs(of dataset: Dataset) -> String? {
  let splits = [dataset.train, dataset.valid, dataset.test]
  let parts = splits.indices.flatMap { i in
    splits.dropFirst(i + 1).compactMap { other -> String? in
      guard let mine = splits[i].ids, let theirs = other.ids, let common = mine.common(with: theirs) else { return nil }
      return "\(common.count) in \(splits[i].name) and \(other.name), such as '\(common.first)'"
    }
  }
  guard !parts.isEmpty else { return nil }
  return "ids that two splits have: \(parts.joined(separator: "; ")); if these are the same samples, the metrics are "
    + "too high"
}
