import Files
import Foundation
import Model
import Synchronization
import Tensor

/// Ends the program with one line and a status of its own where the processor or the kernel stops it: a broken
/// precondition on any worker (which ends all of them: none waits for another that is gone), or a data file that became
/// shorter while it was mapped.
enum FatalSignals {
  /// `EX_SOFTWARE`
  static let internalError: Int32 = 70
  /// `EX_DATAERR`
  static let wrongData: Int32 = 65

  private static let hasBegun = Atomic<Bool>(false)

  static func install() {
    // Made now, so that no handler has to.
    hasBegun.store(false, ordering: .relaxed)
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] {
      var action = sigaction()
      action.__sigaction_handler.sa_sigaction = { number, info, _ in FatalSignals.end(number, info) }
      action.sa_flags = SA_SIGINFO
      sigaction(number, &action, nil)
    }
  }

  /// Only what may be done in a handler: writes text that is there, and ends.
  private static func end(_ number: Int32, _ info: UnsafeMutablePointer<siginfo_t>?) {
    // Workers may fail together: the first one's line is the one, and its exit ends the others.
    if hasBegun.exchange(true, ordering: .sequentiallyConsistent) { while true { pause() } }
    if StopMessage.isWritten.load(ordering: .sequentiallyConsistent) { _exit(internalError) }
    if number == SIGBUS, let address = info?.pointee._sifields._sigfault.si_addr,
      let path = MappedFiles.path(at: address)
    {
      write("train: ")
      StandardError.write(UnsafeRawBufferPointer(start: path, count: strlen(path)))
      write(
        ": expected a file that stays as it is, found it shorter than when it was opened; put it back and --resume\n")
      _exit(wrongData)
    }
    write("train: internal error: stopped by the system (")
    switch number {
    case SIGILL, SIGTRAP: write("a broken precondition, or an overflow")
    case SIGSEGV, SIGBUS: write("a memory access that is not allowed")
    case SIGFPE: write("an impossible operation")
    default: write("abort")
    }
    write("); this is a bug, please report it; checkpoints are whole, continue with --resume\n")
    _exit(internalError)
  }

  private static func write(_ text: StaticString) {
    StandardError.write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
