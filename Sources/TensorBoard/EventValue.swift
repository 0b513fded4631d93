import Foundation
internal import SwiftProtobuf

/// A value under a name, as one of TensorBoard's pages shows it.
package struct EventValue {
  let message: Tensorboard_Summary.Value

  private init(
    _ tag: String, _ value: Tensorboard_Summary.Value.OneOf_Value, plugin: String? = nil, content: Data = Data()
  ) {
    message = .with {
      $0.tag = tag
      $0.value = value
      guard let plugin else { return }
      $0.metadata.pluginData.pluginName = plugin
      $0.metadata.pluginData.content = content
    }
  }

  package static func scalar(_ tag: String, _ value: Double) -> EventValue {
    EventValue(tag, .simpleValue(Float(value)))
  }

  package static func histogram(_ tag: String, _ histogram: Histogram) -> EventValue {
    let message = Tensorboard_HistogramProto.with {
      ($0.min, $0.max, $0.num) = (histogram.minimum, histogram.maximum, Double(histogram.count))
      ($0.sum, $0.sumSquares) = (histogram.sum, histogram.sumOfSquares)
      $0.bucketLimit = histogram.limits
      $0.bucket = histogram.counts.map(Double.init)
    }
    return EventValue(tag, .histo(message))
  }

  package static func curve(_ tag: String, _ curve: PrecisionRecallCurve) throws -> EventValue {
    let counts = [curve.truePositives, curve.falsePositives, curve.trueNegatives, curve.falseNegatives]
    let rows = counts.map { $0.map(Float.init) } + [curve.precision, curve.recall].map { $0.map(Float.init) }
    let count = PrecisionRecallCurve.thresholds
    let content = try Tensorboard_PrCurvePluginData.with { $0.numThresholds = UInt32(count) }.serializedData()
    return EventValue(tag, .tensor(tensor(rows.flatMap(\.self), [6, count])), plugin: "pr_curves", content: content)
  }

  /// - Parameter text: Markdown.
  package static func text(_ tag: String, _ text: String) -> EventValue {
    let tensor = Tensorboard_TensorProto.with {
      $0.dtype = .dtString
      $0.tensorShape = shape([1])
      $0.stringVal = [Data(text.utf8)]
    }
    return EventValue(tag, .tensor(tensor), plugin: "text")
  }

  /// A run's settings, for the page that compares runs. What reads as a number is one.
  package static func settings(_ settings: [String: String]) throws -> EventValue {
    let content = Tensorboard_HParamsPluginData.with {
      $0.sessionStartInfo.startTimeSecs = Date().timeIntervalSince1970
      $0.sessionStartInfo.hparams = settings.mapValues { text in
        guard let number = Double(text), number.isFinite else { return Google_Protobuf_Value(stringValue: text) }
        return Google_Protobuf_Value(numberValue: number)
      }
    }
    return EventValue(
      "_hparams_/session_start_info", .tensor(tensor([0], [])), plugin: "hparams", content: try content.serializedData()
    )
  }

  private static func tensor(_ values: [Float], _ sizes: [Int]) -> Tensorboard_TensorProto {
    .with {
      $0.dtype = .dtFloat
      $0.tensorShape = shape(sizes)
      $0.floatVal = values
    }
  }

  private static func shape(_ sizes: [Int]) -> Tensorboard_TensorShapeProto {
    .with { $0.dim = sizes.map { size in .with { $0.size = Int64(size) } } }
  }
}
