#if !MPI
  /// The twin of the communicator over MPI in a build without it: it can't join others.
  final class MPICommunicator: Communicator {
    static let library = "no MPI"

    let rank = 0
    let size = 1

    init(timeout: Duration) throws(LaunchError) {
      throw LaunchError(
        "this is one of \(Launcher.announced.size) processes, but the program was built without MPI: build it with "
          + "swift build -c release --traits MPI" + (Launcher.wayAlone.map { "; or, \($0)" } ?? ""))
    }

    func start(_ messages: Messages) {}
    func progress() {}
    func finish() {}
    func sumByLibrary(_ values: UnsafeMutablePointer<Float>, count: Int) {}
    func leave() {}
    func abort(status: Int32) {}
  }
#endif
