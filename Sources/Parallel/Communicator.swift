import Tensor

/// Moves bytes between *ranks*, the R processes that train together, numbered from 0.
///
/// Vocabulary: a *message* is a run of bytes that one rank sends to a *peer*, another rank; an *exchange* is what all
/// ranks do together, each with the `Messages` that it sends and receives; a *gather* is an exchange by which all ranks
/// get all parts of a buffer, of which each had one.
///
/// All ranks start the same exchanges in the same order. One thread of a rank may use it at a time. An exchange has no
/// result that could be added in one order or another: whoever needs a sum adds what was received.
package protocol Communicator: AnyObject, Sendable {
  var rank: Int { get }
  /// Number of ranks, R.
  var size: Int { get }
  /// Starts an exchange. Until `finish`, what is sent may be read, and what is received may not be touched.
  func start(_ messages: Messages)
  /// Lets the exchanges that were started make progress, without waiting for them.
  func progress()
  /// Returns when all exchanges that were started are done.
  func finish()
}

/// The communicator of one process that trains alone.
package final class SoloCommunicator: Communicator {
  package let rank = 0
  package let size = 1

  package init() {}

  package func start(_ messages: Messages) {
    precondition(messages.sends.isEmpty && messages.receives.isEmpty, "messages to peers, of which there are none")
  }
  package func progress() {}
  package func finish() {}
}

/// What one rank sends and receives in an exchange. The k-th message from one rank to another is the k-th that the
/// other receives from it, and equally long.
///
/// Made once, at start-up, and used at every step.
package struct Messages: @unchecked Sendable {
  // Proof of Sendable: addresses, as `Matrix`; the phases of a step settle their use.

  /// Bytes that go to a peer or come from it.
  package struct Message {
    package let peer: Int
    package let bytes: UnsafeMutableRawBufferPointer
  }

  package private(set) var sends: [Message] = []
  package private(set) var receives: [Message] = []

  package init() {}

  package mutating func send(_ bytes: UnsafeMutableRawBufferPointer, to peer: Int) {
    if !bytes.isEmpty { sends.append(Message(peer: peer, bytes: bytes)) }
  }

  package mutating func receive(_ bytes: UnsafeMutableRawBufferPointer, from peer: Int) {
    if !bytes.isEmpty { receives.append(Message(peer: peer, bytes: bytes)) }
  }

  /// Adds a gather of a buffer of which rank r has the elements `parts[r]`. Each rank sends (R - 1) times its part, in
  /// one step.
  package mutating func gather<T: BitwiseCopyable>(
    _ buffer: UnsafeMutablePointer<T>, parts: [Range<Int>], rank: Int
  ) {
    for peer in Self.peers(of: rank, among: parts.count) {
      send(Self.bytes(buffer, parts[rank]), to: peer)
      receive(Self.bytes(buffer, parts[peer]), from: peer)
    }
  }

  /// Adds a gather of which rank 0 alone gets the parts of the others.
  package mutating func gatherAtFirst<T: BitwiseCopyable>(
    _ buffer: UnsafeMutablePointer<T>, parts: [Range<Int>], rank: Int
  ) {
    if rank > 0 { return send(Self.bytes(buffer, parts[rank]), to: 0) }
    for peer in parts.indices.dropFirst() { receive(Self.bytes(buffer, parts[peer]), from: peer) }
  }

  /// The same with the ranks counted around from another one.
  func shifted(by shift: Int, among size: Int) -> Messages {
    var shifted = Messages()
    for m in sends { shifted.send(m.bytes, to: (m.peer + shift) % size) }
    for m in receives { shifted.receive(m.bytes, from: (m.peer + shift) % size) }
    return shifted
  }

  /// The bytes of a part of a buffer.
  package static func bytes<T: BitwiseCopyable>(_ buffer: UnsafeMutablePointer<T>, _ part: Range<Int>)
    -> UnsafeMutableRawBufferPointer
  {
    UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: buffer + part.lowerBound, count: part.count))
  }

  /// All other ranks, beginning with the next: so that not all send to rank 0 first.
  package static func peers(of rank: Int, among size: Int) -> [Int] { (1..<max(size, 1)).map { (rank + $0) % size } }

  /// Bytes that this rank sends.
  package var sentBytes: Int { sends.reduce(0) { $0 + $1.bytes.count } }
}

extension Communicator {
  /// Starts an exchange and returns when it is done.
  package func exchange(_ messages: Messages) {
    start(messages)
    finish()
  }

  /// Every rank's value, in the order of the ranks. Returns when every rank has called it.
  package func gather<T: BitwiseCopyable>(_ value: T) -> [T] {
    var values = [T](repeating: value, count: size)
    values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      var messages = Messages()
      messages.gather(base, parts: (0..<size).map { $0..<$0 + 1 }, rank: rank)
      exchange(messages)
    }
    return values
  }

  /// Every rank's bytes, in the order of the ranks; their numbers may differ.
  package func gather(_ bytes: [UInt8]) -> [[UInt8]] {
    let counts = gather(bytes.count)
    let starts = counts.indices.map { counts[..<$0].reduce(0, +) }
    let parts = zip(starts, counts).map { $0..<$0 + $1 }
    var all = [UInt8](repeating: 0, count: counts.reduce(0, +))
    all.replaceSubrange(parts[rank], with: bytes)
    all.withUnsafeMutableBufferPointer { all in
      guard let base = all.baseAddress else { return }
      var messages = Messages()
      messages.gather(base, parts: parts, rank: rank)
      exchange(messages)
    }
    return parts.map { Array(all[$0]) }
  }

  /// Every rank's text, in the order of the ranks.
  package func gather(_ text: String) -> [String] {
    gather(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Gives values to one rank, and returns those that another gives this one. All ranks have to call it, each to another.
  package func pass<T: BitwiseCopyable>(_ values: [T], to receiver: Int, from sender: Int) -> [T] {
    if receiver == rank { return values }
    let counts = gather(values.count)
    return withUnsafeTemporaryAllocation(of: T.self, capacity: max(values.count, 1)) { given in
      _ = given.initialize(from: values)
      return [T](unsafeUninitializedCapacity: counts[sender]) { received, count in
        var messages = Messages()
        messages.send(
          UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: given[..<values.count])), to: receiver)
        messages.receive(
          UnsafeMutableRawBufferPointer(
            rebasing: UnsafeMutableRawBufferPointer(received)[..<(counts[sender] * MemoryLayout<T>.stride)]),
          from: sender)
        exchange(messages)
        count = counts[sender]
      }
    }
  }

  /// Rank 0's value, on all ranks.
  package func agree<T: BitwiseCopyable>(on value: T) -> T { gather(value)[0] }

  /// Returns when every rank is here.
  package func barrier() { _ = gather(UInt8(0)) }
}
