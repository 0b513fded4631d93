import Foundation
import Synchronization

/// Lets a core compute wrongly now and then, as a few in several thousand machines do without a sign: a test of audits that
/// needs no such core.
///
/// The environment variable `CARAT_FAULT` holds `flip:<worker>:<n>`: of the n-th matrix product on that worker's core, counted
/// from 1, one bit of one element is inverted, and a line says so; with `:every` behind it, of every n-th. Workers are counted over all ranks.
/// Without the variable nothing happens.
package enum ProductFault {
  private struct Plan {
    let core: Int
    let count: Int
    let repeats: Bool
  }

  private static let plan: Plan? = {
    let text = ProcessInfo.processInfo.environment["CARAT_FAULT"] ?? ""
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts[0] == "flip" else { return nil }
    guard parts.count == 3 || parts.count == 4 && parts[3] == "every", let core = Int(parts[1]),
      core >= 0, let count = Int(parts[2]), count > 0
    else {
      StandardError.write(lines: ["CARAT_FAULT=\(text): expected flip:<worker>:<n>[:every]; no fault is made"])
      return nil
    }
    return Plan(core: core, count: count, repeats: parts.count == 4)
  }()

  /// Whether a fault was asked for.
  static let isPlanned = plan != nil

  private static let products = Atomic<Int>(0)
  /// A thread's core, one more than its number; nil where it has none.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key, nil)
    precondition(status == 0, "no key for a thread's own value: \(status)")
    return key
  }()

  /// Tells on which worker's core the calling thread works.
  package static func setCore(_ core: Int?) {
    if isPlanned { pthread_setspecific(key, UnsafeRawPointer(bitPattern: core.map { $0 + 1 } ?? 0)) }
  }

  /// Spoils the result [rows, columns] of a product if that is due.
  static func spoil(_ c: Matrix) {
    guard let plan, c.count > 0, Int(bitPattern: pthread_getspecific(key)) == plan.core + 1 else { return }
    let number = products.wrappingAdd(1, ordering: .relaxed).newValue
    guard plan.repeats ? number % plan.count == 0 : number == plan.count else { return }
    var random = SplitMix64(seed: UInt64(number))
    let (element, bit) = (Int(random.next() % UInt64(c.count)), UInt32(random.next() % 32))
    let place = c.row(element / c.columns) + element % c.columns
    place.pointee = Float(bitPattern: place.pointee.bitPattern ^ 1 << bit)
    if number == plan.count {
      StandardError.write(lines: [
        "CARAT_FAULT: bit \(bit) of element \(element) of product \(number), [\(c.rows), \(c.columns)], on core \(plan.core)"
      ])
    }
  }
}
