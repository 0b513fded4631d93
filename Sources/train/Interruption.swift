import Dispatch
import Foundation
import Synchronization
import Tensor

/// Requests from outside to stop: SIGTERM, SIGINT (Control-C), SIGQUIT (Control-\), SIGUSR1 and SIGUSR2 (what batch systems
/// and those who submit to them send before a time limit), SIGXCPU (a limit of processor time) and SIGHUP (a closed
/// terminal). A run asks between steps and ends with a checkpoint; a second SIGINT ends it at once.
///
/// Nothing is done inside a signal handler: Dispatch turns signals into blocks on a queue.
final class Interruption: Sendable {
  /// What a signal number is called.
  static let names: [Int32: String] = [
    SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGUSR1: "SIGUSR1", SIGUSR2: "SIGUSR2",
    SIGXCPU: "SIGXCPU", SIGHUP: "SIGHUP",
  ]

  private let received = Atomic<Int32>(0)
  private let queue = DispatchQueue(label: "carat.signals", qos: .userInteractive)
  nonisolated(unsafe) private var sources: [any DispatchSourceSignal] = []

  /// - Parameter tells: whether to say so on the standard error.
  init(tells: Bool = true) {
    for number in Self.names.keys {
      // What was ignored when the program started stays so: nohup, and jobs in the background of a script.
      if [SIGHUP, SIGINT, SIGQUIT].contains(number), Self.isIgnored(number) { continue }
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { [self] in
        let (isFirst, before) = received.compareExchange(expected: 0, desired: number, ordering: .relaxed)
        if !isFirst && number == SIGINT && before != 0 { _exit(128 + SIGINT) }
        if isFirst && tells {
          // Behind the ^C that a terminal shows.
          if isatty(STDERR_FILENO) == 1 { StandardError.write(lines: "") }
          let more =
            number == SIGINT ? "; a second Control-C stops at once, and nothing since the last checkpoint is kept" : ""
          StandardError.write(lines: "train: \(Self.names[number] ?? ""): saving, then stopping\(more)")
        }
      }
      source.resume()
      sources.append(source)
    }
  }

  /// The first signal that came; nil if none did.
  var signalNumber: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
