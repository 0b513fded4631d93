import Parallel

/// How the flat buffers of the trained parameters are dealt out to all workers of all ranks.
///
/// A *chunk* lies within one tensor, a *segment* is a run of chunks whose gradients are finished together (an encoder,
/// or what follows the encoders), a *slice* is the run of a segment's chunks that one worker has, and a rank's *part*
/// of a segment is its workers' slices together. Norms are sums over chunks in the layout's order, so they do not depend
/// on where slices end.
struct GradientSlices {
  struct Chunk {
    let range: Range<Int>
    let tensor: Int
  }

  let tensors: [Parameter]
  let chunks: [Chunk]
  /// Runs of chunks: the segments of the model, or one of all where nothing is gained by parting them.
  let segments: [Range<Int>]
  private let ranks: Ranks
  /// Floats of all chunks before each.
  private let before: [Int]

  static let chunkSize = 4096

  init(_ model: CARATModel, ranks: Ranks) {
    let tensors = Array(model.trained)
    let chunks = tensors.enumerated().flatMap { i, tensor in
      stride(from: tensor.range.lowerBound, to: tensor.range.upperBound, by: Self.chunkSize).map {
        Chunk(range: $0..<min($0 + Self.chunkSize, tensor.range.upperBound), tensor: i)
      }
    }
    self.tensors = tensors
    self.chunks = chunks
    self.ranks = ranks
    before = chunks.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.range.count) }
    segments =
      ranks.size == 1 && !model.configuration.takesLayersInTurn
      ? [0..<chunks.count]
      : model.segments.map { segment in
        let first = chunks.firstIndex { $0.range.lowerBound >= segment.lowerBound } ?? chunks.count
        return first..<(chunks.firstIndex { $0.range.lowerBound >= segment.upperBound } ?? chunks.count)
      }
  }

  /// A segment's place in the flat buffer.
  func range(ofSegment segment: Int) -> Range<Int> { range(ofChunks: segments[segment]) }

  /// A worker's chunks of a segment, by its number among all: those whose middles lie in its share of the floats.
  func chunks(segment: Int, worker: Int) -> Range<Int> {
    let all = segments[segment]
    let floats = before[all.upperBound] - before[all.lowerBound]
    let share = slice(of: floats, part: worker, parts: ranks.workerCount)
    func chunk(_ position: Int) -> Int {
      all.partitioningIndex { before[$0] + chunks[$0].range.count / 2 - before[all.lowerBound] >= position }
    }
    return chunk(share.lowerBound)..<(share.upperBound == floats ? all.upperBound : chunk(share.upperBound))
  }

  /// Floats of a worker's slices of all segments.
  func floats(ofWorker worker: Int) -> Int {
    segments.indices.reduce(0) { sum, segment in
      let own = chunks(segment: segment, worker: worker)
      return sum + before[own.upperBound] - before[own.lowerBound]
    }
  }

  /// Each rank's chunks of a segment.
  func chunkParts(segment: Int) -> [Range<Int>] { ranks.parts { chunks(segment: segment, worker: $0) } }

  /// Each rank's part of a segment in the flat buffer.
  func parts(segment: Int) -> [Range<Int>] { chunkParts(segment: segment).map(range(ofChunks:)) }

  private func range(ofChunks run: Range<Int>) -> Range<Int> {
    run.isEmpty ? 0..<0 : chunks[run.lowerBound].range.lowerBound..<chunks[run.upperBound - 1].range.upperBound
  }
}

extension Range<Int> {
  /// The first number for which something holds that holds for all after it.
  fileprivate func partitioningIndex(where holds: (Int) -> Bool) -> Int {
    var (low, high) = (lowerBound, upperBound)
    while low < high {
      let middle = (low + high) / 2
      if holds(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
