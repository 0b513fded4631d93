extension DatasetSplit: SampleSource {
  /// Pages of the next samples are read in the background; those of the last ones leave this process's memory.
  package func prepare(_ next: some Collection<Int>, done: some Collection<Int>) {
    for modality in modalities {
      for sample in done { modality.advise(.release, sample: sample) }
      for sample in next { modality.advise(.willNeed, sample: sample) }
    }
  }

  package func steps(modality: Int) -> Int { modalities[modality].steps }

  package func length(sample: Int, modality: Int) -> Int { modalities[modality].lengths[sample] }

  /// [N, C] row by row.
  package var allLabels: [Float] { (0..<count).flatMap { labels(ofSample: $0) } }
}
