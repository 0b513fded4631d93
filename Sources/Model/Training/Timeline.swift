import Foundation
import Parallel

/// When each worker did what: spans in memory that is planned ahead, a clock reading at each end.
package final class Timeline: @unchecked Sendable {
  // Proof of Sendable: a worker writes its own spans only; they are read while the team rests.

  /// A stretch of one worker's time. Spans nest.
  package struct Span: Sendable {
    package let name: String
    /// Nanoseconds of the monotonic clock.
    package let start: UInt64
    package let end: UInt64
    package var seconds: Double { Double(end - start) * 1e-9 }
  }

  private let spans: [UnsafeMutableBufferPointer<Span>]
  private let counts: UnsafeMutablePointer<Int>

  /// Room for `capacity` spans a worker; later ones are not recorded.
  package init(workers: Int, capacity: Int) {
    spans = (0..<workers).map { _ in .allocate(capacity: capacity) }
    // A cache line apart, so that workers do not share one.
    counts = .allocate(capacity: workers * 8)
    counts.initialize(repeating: 0, count: workers * 8)
  }

  deinit {
    removeAll()
    for s in spans { s.deallocate() }
    counts.deallocate()
  }

  /// The monotonic clock, in nanoseconds.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  @inline(__always)
  func record(_ worker: Int, _ name: String, from start: UInt64, to end: UInt64) {
    let count = counts[worker * 8]
    guard count < spans[worker].count else { return }
    spans[worker].initializeElement(at: count, to: Span(name: name, start: start, end: end))
    counts[worker * 8] = count + 1
  }

  /// One worker's spans, in the order of their ends.
  package func spans(ofWorker worker: Int) -> UnsafeMutableBufferPointer<Span>.SubSequence {
    spans[worker][0..<counts[worker * 8]]
  }

  /// Forgets all spans.
  package func removeAll() {
    for worker in spans.indices {
      _ = spans[worker][0..<counts[worker * 8]].deinitialize()
      counts[worker * 8] = 0
    }
  }

  /// Seconds in all spans of each name, the mean over workers.
  package func secondsByName() -> [String: Double] {
    var sums = [String: Double]()
    for worker in spans.indices {
      for span in spans(ofWorker: worker) { sums[span.name, default: 0] += span.seconds }
    }
    return sums.mapValues { $0 / Double(spans.count) }
  }

  /// All spans in Chrome's trace format, which Perfetto opens: a row a worker, named by node and core.
  package func trace(_ placement: Placement) -> String {
    let first = spans.indices.compactMap { spans(ofWorker: $0).first?.start }.min() ?? 0
    var text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
    for (worker, place) in placement.workers.enumerated() {
      text +=
        "{\"ph\":\"M\",\"pid\":0,\"tid\":\(worker),\"name\":\"thread_name\","
        + "\"args\":{\"name\":\"worker \(worker) (node \(place.node), core \(place.cpu))\"}},\n"
    }
    text += "{\"ph\":\"M\",\"pid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"train\"}}"
    for worker in spans.indices {
      for span in spans(ofWorker: worker) {
        let start = Double(span.start - min(first, span.start)) / 1000
        text +=
          ",\n{\"ph\":\"X\",\"pid\":0,\"tid\":\(worker),\"name\":\"\(span.name)\",\"ts\":\(start),"
          + "\"dur\":\(Double(span.end - span.start) / 1000)}"
      }
    }
    return text + "\n]}\n"
  }
}
