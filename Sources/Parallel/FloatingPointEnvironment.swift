import Glibc

/// How a thread's floating-point arithmetic rounds. Results are the same bits everywhere only where denormal numbers are
/// kept and rounding is to nearest; a library that was compiled with fast mathematics turns the former off when it is
/// loaded, for the thread that loads it and those that this one starts.
package struct FloatingPointEnvironment {
  private var before = fenv_t()

  /// Sets the calling thread's to the default: rounding to nearest, denormal numbers kept, no traps.
  ///
  /// - Returns: what it was.
  package static func useDefault() -> FloatingPointEnvironment {
    var environment = FloatingPointEnvironment()
    fegetenv(&environment.before)
    // FE_DFL_ENV, a macro that Swift does not import.
    fesetenv(UnsafePointer(bitPattern: -1))
    return environment
  }

  /// Puts back what it was, on the same thread.
  package func restore() {
    var before = before
    fesetenv(&before)
  }
}
