import Files
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
  /// Steps before it, in a row, that were left out for the same reason.
  public let skips: Int

  public var description: String {
    "step \(step) is not a finite number, first in \(found.description)"
      + (skips > 0 ? ", and \(skips) before it were left out" : "")
      + "; the state before it is in \(checkpoint): continue "
      + "with --resume and a lower --learning-rate (--allow-changed learning-rate)"
      + (skips > 0 ? "" : ", or leave such steps out (--on-nonfinite skip)")
  }
}

/// Collects what the workers find in a step that is repeated to find the first value that is not finite: the first in the
/// order of computation, of several samples the first in the batch, so the answer does not depend on the workers.
final class NonFiniteProbe: Sendable {
  private struct Finding: Codable {
    let order: Int
    let tensor: String
    let places: Range<Int>

    func precedes(_ other: Finding) -> Bool { (order, places.lowerBound) < (other.order, other.places.lowerBound) }
  }
  private let first = Mutex<Finding?>(nil)

  /// Notes a tensor with a value that is not finite; `order` is its place in the order of computation.
  func note(order: Int, _ tensor: String, places: Range<Int>) {
    let finding = Finding(order: order, tensor: tensor, places: places)
    first.withLock { if $0.map(finding.precedes) ?? true { $0 = finding } }
  }

  /// Looks at the gradients, which come after all that goes forward.
  var inspection: WeightGradients.Inspection {
    { [self] order, parameter, samples, leaf in
      if !leaf.isFinite { note(order: 1 << 20 + order, "gradient of \(parameter.name)", places: samples) }
    }
  }

  /// What was found first on any rank. All ranks have to call it, and get the same.
  func first(_ step: TrainingStep, _ batch: Batch) -> NonFinite {
    for parameter in step.model.layout.parameters where !step.state.parameters[parameter].isFinite {
      return NonFinite(tensor: parameter.name, samples: [], places: 0..<0)
    }
    let own = first.withLock { $0 }
    let all = step.ranks.communicator.gather((try? JSON.line(own)) ?? "").compactMap { text in
      try? JSON.decoder().decode(Finding.self, from: Data(text.utf8))
    }
    guard let found = all.min(by: { $0.precedes($1) }) else {
      return NonFinite(tensor: "the norm of all gradients", samples: [], places: 0..<0)
    }
    return NonFinite(tensor: found.tensor, samples: batch.numbers(found.places), places: found.places)
  }
}

extension Matrix {
  /// Whether all elements are.
  var isFinite: Bool {
    (0..<rows).allSatisfy { i in UnsafeBufferPointer(start: row(i), count: columns).allSatisfy(\.isFinite) }
  }
}

extension TrainingStep {
  /// Searches what the encoders' forward pass of the worker's samples of the n-th micro-batch left.
  func searchEncoders(_ worker: Int, _ n: Int, _ probe: NonFiniteProbe) {
    let w = workspaces[worker]
    let own = parts[w.group].microBatches[n]
    for sample in w.share(of: own.count) {
      var search = Search(probe: probe, place: own.encoders[0].sequences.place(sample))
      for (encoder, modality) in zip(own.encoders, model.configuration.modalities) {
        let (name, rows) = (modality.name, encoder.sequences.rows(sample))
        search.check("normalised features of \(name)", encoder.embeddings.features.rows(rows))
        search.check("embeddings of \(name)", encoder.embeddings.normalized.rows(rows))
        for (l, layer) in encoder.layers.enumerated() {
          search.check("output of \(name) layer \(l)", layer.normalized.rows(rows))
        }
      }
    }
  }

  /// Searches what followed, of the worker's samples.
  func searchHeads(_ worker: Int, _ probe: NonFiniteProbe) {
    let w = workspaces[worker]
    let (part, c) = (parts[w.group], model.configuration)
    for sample in w.share(of: part.count) {
      let place = part.samples.lowerBound + sample
      var search = Search(probe: probe, place: place, order: Search.heads)
      for level in Reconstruction.Level.allCases {
        for (modality, all) in zip(c.modalities, part.heads.reconstruction) {
          let rows = all.rows(sample * c.labels..<(sample + 1) * c.labels)
          search.check("\(level) vectors of \(modality.name)", rows.level(level))
          search.check("\(level) latents of \(modality.name)", rows.latent(level))
        }
      }
      search.check("scores", exchange.scores.rows(place..<place + 1))
      for term in LossTerm.allCases {
        search.check("loss term \(term.rawValue)", exchange.parts(of: term, sample: place))
      }
      let perSample = c.liveRowsPerSample
      search.check(
        "gradient of the unit latents", part.heads.unitGradient.rows(sample * perSample..<(sample + 1) * perSample))
    }
  }

  /// One sample's tensors, in the order of computation.
  private struct Search {
    /// What follows the encoders comes after all of theirs.
    static let heads = 1 << 16

    let probe: NonFiniteProbe
    /// In the batch.
    let place: Int
    var order = 0

    mutating func check(_ tensor: String, _ x: Matrix) {
      order += 1
      if !x.isFinite { probe.note(order: order, tensor, places: place..<place + 1) }
    }
  }
}
