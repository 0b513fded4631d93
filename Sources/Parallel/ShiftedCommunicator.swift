import Tensor

/// The communicator of a process that is another rank than its own: process p is rank p + shift, counted around.
package final class ShiftedCommunicator: Communicator {
  package let rank: Int
  package let size: Int
  private let own: any Communicator
  /// From a rank to its process.
  private let back: Int

  package init(_ own: any Communicator, by shift: Int) {
    precondition((0..<own.size).contains(shift), "a shift by \(shift) of \(own.size) ranks")
    self.own = own
    (rank, size) = ((own.rank + shift) % own.size, own.size)
    back = own.size - shift
  }

  package func start(_ messages: Messages) { own.start(messages.shifted(by: back, among: size)) }
  package func progress() { own.progress() }
  package func finish() { own.finish() }
}
