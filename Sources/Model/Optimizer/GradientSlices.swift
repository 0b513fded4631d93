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
  /// Runs of chunks; a rank alone has one segment.
  let segments: [Range<Int>]
  private let ranks: Ranks

  static let chunkSize = 8192

  init(_ model: CARAT, ranks: Ranks) {
    let tensors = Array(model.trained)
    let chunks = tensors.enumerated().flatMap { i, tensor in
      stride(from: tensor.range.lowerBound, to: tensor.range.upperBound, by: Self.chunkSize).map {
        Chunk(range: $0..<min($0 + Self.chunkSize, tensor.range.upperBound), tensor: i)
      }
    }
    self.tensors = tensors
    self.chunks = chunks
    self.ranks = ranks
    segments =
      ranks.size == 1
      ? [0..<chunks.count]
      : model.segments.map { segment in
        let first = chunks.firstIndex { $0.range.lowerBound >= segment.lowerBound } ?? chunks.count
        return first..<(chunks.firstIndex { $0.range.lowerBound >= segment.upperBound } ?? chunks.count)
      }
  }

  /// A segment's place in the flat buffer.
  func range(ofSegment segment: Int) -> Range<Int> { range(ofChunks: segments[segment]) }

  /// A worker's chunks of a segment, by its number among all.
  func chunks(segment: Int, worker: Int) -> Range<Int> {
    let all = segments[segment]
    let own = slice(of: all.count, part: worker, parts: ranks.workerCount, alignment: 1)
    return all.lowerBound + own.lowerBound..<all.lowerBound + own.upperBound
  }

  /// Each rank's chunks of a segment.
  func chunkParts(segment: Int) -> [Range<Int>] { ranks.parts { chunks(segment: segment, worker: $0) } }

  /// Each rank's part of a segment in the flat buffer.
  func parts(segment: Int) -> [Range<Int>] { chunkParts(segment: segment).map(range(ofChunks:)) }

  private func range(ofChunks run: Range<Int>) -> Range<Int> {
    run.isEmpty ? 0..<0 : chunks[run.lowerBound].range.lowerBound..<chunks[run.upperBound - 1].range.upperBound
  }
}
