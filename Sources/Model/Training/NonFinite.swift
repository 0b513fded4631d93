import Foundation
import Parallel
import Synchronization
import Tensor

/// The first tensor of a step, in the order of computation, with a value that is not finite.
public struct NonFinite: Codable, Sendable, Equatable {
  /// A parameter's name, "gradient of" one, or what a stage made.
  public let tensor: String
  /// The samples concerned, by their numbers in the training split; none where it is not a matter of samples.
  public let samples: [Int]
  /// Their places in the batch.
  public let places: Range<Int>

  /// In words: `gradient of T2C, samples 17, 4, 99 (places 0 to 2 of the batch)`.
  public var description: String {
    guard let last = places.last else { return tensor }
    let numbers = samples.prefix(8).map(String.init).joined(separator: ", ") + (samples.count > 8 ? ", …" : "")
    return places.count == 1
      ? "\(tensor), sample \(numbers) (place \(last) of the batch)"
      : "\(tensor), samples \(numbers) (places \(places.lowerBound) to \(last) of the batch)"
  }
}

/// A step whose loss or gradients are not finite numbers.
public struct Diverged: Error, CustomStringConvertible, Sendable {
  public let step: Int
  public let found: NonFinite
  /// The state before the step.
  public let checkpoint: String

  public var description: String {
    "step \(step) is not a finite number, first in \(found.description); the state before it is in \(checkpoint): go on "
      + "with --resume and a lower --learning-rate (--allow-changed learning-rate), or leave such steps out "
      + "(--on-nonfinite skip)"
  }
}

/// Collects what the workers find in a step that is repeated to find the first value that is not finite. Each shard is
/// searched in the order in which it is computed, so the answer does not depend on the workers.
final class NonFiniteProbe: Sendable {
  private struct Finding: Codable {
    let order: Int
    let tensor: String
    let places: Range<Int>
  }
  private let findings: Mutex<[Finding?]>
  /// Gradients seen of each shard.
  private let leaves: Mutex<[Int]>

  init(shards: Int) {
    findings = Mutex(Array(repeating: nil, count: shards))
    leaves = Mutex(Array(repeating: 0, count: shards))
  }

  /// Notes a tensor of a shard; `order` is its place in the order of computation.
  func note(shard: Int, order: Int, _ tensor: String, places: Range<Int>) {
    findings.withLock {
      if order < $0[shard]?.order ?? .max { $0[shard] = Finding(order: order, tensor: tensor, places: places) }
    }
  }

  /// Where a shard's next gradient stands in the order: after all that goes forward.
  func nextLeaf(ofShard shard: Int) -> Int {
    leaves.withLock {
      $0[shard] += 1
      return 1 << 20 + $0[shard]
    }
  }

  /// What was found first: of several shards, in the first. All ranks have to call it, and get the same.
  func first(_ step: TrainingStep) -> NonFinite {
    for parameter in step.model.layout.parameters where !step.state.parameters[parameter].isFinite {
      return NonFinite(tensor: parameter.name, samples: [], places: 0..<0)
    }
    let own = findings.withLock { $0.compactMap { $0 }.min { $0.order < $1.order } }
    let all = step.ranks.communicator.gather((try? JSON.line(own)) ?? "").compactMap { text in
      try? JSON.decoder().decode(Finding.self, from: Data(text.utf8))
    }
    guard let found = all.min(by: { $0.order < $1.order }) else {
      return NonFinite(tensor: "the norm of all gradients", samples: [], places: 0..<0)
    }
    return NonFinite(
      tensor: found.tensor, samples: step.batch.numbers(found.places), places: found.places)
  }
}

extension Matrix {
  /// Whether all elements are.
  var isFinite: Bool {
    (0..<rows).allSatisfy { i in UnsafeBufferPointer(start: row(i), count: columns).allSatisfy(\.isFinite) }
  }
}

extension TrainingStep {
  /// Searches what a shard's forward pass left.
  func look(at shard: Shard, _ probe: NonFiniteProbe) {
    let C = model.configuration.labels
    var order = 0
    /// Finds the first bad row of a tensor; `sample` says whose a row is.
    func look(_ tensor: String, _ x: Matrix, sample: (Int) -> Int) {
      order += 1
      guard let row = (0..<x.rows).first(where: { !x.rows($0..<$0 + 1).isFinite }) else { return }
      let place = shard.first + sample(row)
      probe.note(shard: shard.index, order: order, tensor, places: place..<place + 1)
    }
    for (m, encoder) in shard.encoders.enumerated() {
      let name = model.configuration.modalities[m].name
      let rows = encoder.sequences.rowCount
      let sample = { (row: Int) in (0..<shard.count).first { encoder.sequences.rows($0).contains(row) } ?? 0 }
      look("normalised features of \(name)", encoder.embeddings.features.rows(0..<rows), sample: sample)
      look("embeddings of \(name)", encoder.embeddings.normalized.rows(0..<rows), sample: sample)
      for (l, layer) in encoder.layers.enumerated() {
        look("output of \(name) layer \(l)", layer.normalized.rows(0..<rows), sample: sample)
      }
    }
    for level in Reconstruction.Level.allCases {
      for (m, rows) in shard.reconstruction.enumerated() {
        let name = model.configuration.modalities[m].name
        look("\(level) vectors of \(name)", rows.level(level)) { $0 / C }
        look("\(level) latents of \(name)", rows.latent(level)) { $0 / C }
      }
    }
    look("scores", exchange.scores.rows(shard.first..<shard.first + shard.count)) { $0 }
    for term in LossTerm.allCases {
      let terms = exchange.terms.rows(shard.first..<shard.first + shard.count)
      look("loss term \(term.rawValue)", terms.columns(term.index..<term.index + 1)) { $0 }
    }
    let perSample = model.configuration.liveRowsPerSample
    look("gradient of the unit latents", shard.unitGradient) { $0 / perSample }
  }

  /// The worker's part of the reduction tree, whose leaves are searched while a probe is set.
  func tree(ofWorker worker: Int, _ probe: NonFiniteProbe?) -> TreeAccumulator {
    var tree = gradients[worker]
    guard let probe else { return tree }
    tree.inspect = { [self] shard, group, leaf in
      let order = probe.nextLeaf(ofShard: shard)
      let values = Parameters(UnsafeMutablePointer(mutating: leaf), from: group.lowerBound)
      for parameter in model.trained where group.contains(parameter.offset) && !values[parameter].isFinite {
        probe.note(
          shard: shard, order: order, "gradient of \(parameter.name)", places: plan.samples(ofShard: shard))
        break
      }
    }
    return tree
  }
}
