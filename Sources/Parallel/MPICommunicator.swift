#if MPI
  import CMPI
  import Foundation
  import Synchronization
  import Tensor

  /// The communicator of processes that a launcher started together, over MPI.
  ///
  /// Messages never block in MPI: whoever waits asks again and again whether they are done, and lets others run in
  /// between. So a second thread can call MPI too, one at a time (`MPI_THREAD_SERIALIZED`): the *pulse*, which tells all
  /// peers every second or so that this process runs, whatever it does otherwise, and watches theirs. A rank that is
  /// silent for longer than the timeout (dead, stopped, cut off) is missing: the lowest rank that isn't says which, and
  /// ends all.
  final class MPICommunicator: Communicator, @unchecked Sendable {
    // Proof of Sendable: MPI's state and the requests are touched under `calls` only.

    let rank: Int
    let size: Int
    /// Each rank's host.
    private let hosts: Mutex<[String]>
    private let world: carat_communicator
    /// Held for the duration of each call of MPI.
    private let calls = Mutex<Void>(())
    private var requests: [carat_request] = []
    private let pulse: Pulse

    /// The exit status of ranks that lost one of them.
    static let lostRank: Int32 = 76

    static var library: String {
      var text = [CChar](repeating: 0, count: Int(carat_mpi_max_version))
      var length: Int32 = 0
      guard carat_mpi_version(&text, &length) == carat_mpi_success else { return "MPI" }
      let line = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return line.split { ",\n".contains($0) }.first.map(String.init) ?? "MPI"
    }

    init(timeout: Duration) throws(LaunchError) {
      var hasThreads: Int32 = 0
      var (world, pulses) = (carat_mpi_world(), carat_mpi_world())
      var (rank, size): (Int32, Int32) = (0, 1)
      guard carat_mpi_init(&hasThreads) == carat_mpi_success,
        carat_mpi_duplicate(carat_mpi_world(), &world) == carat_mpi_success,
        carat_mpi_duplicate(carat_mpi_world(), &pulses) == carat_mpi_success,
        carat_mpi_rank(world, &rank) == carat_mpi_success, carat_mpi_size(world, &size) == carat_mpi_success
      else { throw LaunchError("MPI does not start") }
      guard hasThreads != 0 else {
        throw LaunchError("\(Self.library) was built without threads: take one with MPI_THREAD_SERIALIZED")
      }
      self.world = world
      self.rank = Int(rank)
      self.size = Int(size)
      hosts = Mutex([])
      pulse = Pulse(communicator: pulses, rank: Int(rank), size: Int(size), timeout: timeout)
      let names = gather(Host.name)
      hosts.withLock { $0 = names }
      Thread { [self] in pulse.run(calls: calls, onLoss: lose) }.start()
    }

    // MARK: Messages

    /// The largest piece of a message: MPI counts in 32 bits.
    private static let pieceBytes = 1 << 30

    func start(_ messages: Messages) {
      calls.withLock { _ in
        // Receives first: a message that is awaited needs no buffer in between.
        for message in messages.receives {
          forEachPiece(of: message) { bytes, count, peer, request in
            carat_mpi_receive(bytes, count, peer, 0, world, &request)
          }
        }
        for message in messages.sends {
          forEachPiece(of: message) { bytes, count, peer, request in
            carat_mpi_send(bytes, count, peer, 0, world, &request)
          }
        }
      }
    }

    private func forEachPiece(
      of message: Messages.Message,
      _ body: (UnsafeMutableRawPointer?, Int32, Int32, inout carat_request) -> Int32
    ) {
      for start in stride(from: 0, to: message.bytes.count, by: Self.pieceBytes) {
        var request = carat_mpi_no_request()
        let count = min(Self.pieceBytes, message.bytes.count - start)
        check(body(message.bytes.baseAddress.map { $0 + start }, Int32(count), Int32(message.peer), &request))
        requests.append(request)
      }
    }

    func progress() { _ = areDone() }

    private func areDone() -> Bool {
      calls.withLock { _ in
        if requests.isEmpty { return true }
        var done: Int32 = 0
        check(carat_mpi_test_all(&requests, Int32(requests.count), &done))
        if done != 0 { requests.removeAll(keepingCapacity: true) }
        return done != 0
      }
    }

    /// Looks, and lets another thread run where there is one; after some milliseconds it sleeps between looks, for
    /// whoever keeps it waiting is at something longer.
    func finish() {
      var looks = 0
      while !areDone() {
        looks += 1
        if looks < Self.hastyLooks { sched_yield() } else { usleep(Self.pauseMicroseconds) }
      }
    }

    private static let hastyLooks = 20_000
    private static let pauseMicroseconds: UInt32 = 50

    func sumByLibrary(_ values: UnsafeMutablePointer<Float>, count: Int) {
      calls.withLock { _ in check(carat_mpi_sum(values, Int32(count), world)) }
    }

    // MARK: The end

    func leave() {
      // Until all are here, the others want to hear this one's pulse.
      barrier()
      pulse.stop()
      calls.withLock { _ in
        pulse.close()
        _ = carat_mpi_finalize()
      }
    }

    /// Ends all ranks. Does not return.
    func abort(status: Int32) {
      calls.withLock { _ in
        _ = carat_mpi_abort(status)
        // The launcher ends this process, and if it can't: so be it.
        sleep(5)
        _exit(status)
      }
    }

    private func lose(_ missing: [Int]) {
      let hosts = hosts.withLock { $0 }
      let alive = (0..<size).filter { !missing.contains($0) }
      // The lowest rank speaks; the others only if it does not come to that.
      if alive.first != rank { usleep(2_000_000) }
      let names = missing.map { "rank \($0) on host \(hosts.indices.contains($0) ? hosts[$0] : "unknown")" }
      let text =
        "\(names.joined(separator: ", ")): no sign of life for \(pulse.timeout.components.seconds) s (dead, stopped or "
        + "cut off); ending all ranks"
      tell(text)
      abort(status: Self.lostRank)
    }

    private func tell(_ text: String) { StandardError.write(lines: "train: \(text)") }

    /// What fails in MPI is beyond repair: says what, and ends all ranks. Called with `calls` held.
    private func check(_ status: Int32) {
      guard status != carat_mpi_success else { return }
      var text = [CChar](repeating: 0, count: Int(carat_mpi_max_text))
      var length: Int32 = 0
      _ = carat_mpi_text(status, &text, &length)
      let reason = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      tell("rank \(rank) on host \(Host.name): \(reason); ending all ranks")
      _ = carat_mpi_abort(Self.lostRank)
      _exit(Self.lostRank)
    }
  }

  /// Tells all peers again and again that this process runs, and listens to theirs.
  private final class Pulse: @unchecked Sendable {
    // Proof of Sendable: the requests are touched by the pulse's thread, or after it has ended.

    let timeout: Duration
    private let communicator: carat_communicator
    private let peers: [Int]
    private var sends: [carat_request]
    private var receives: [carat_request]
    private let beats: UnsafeMutablePointer<UInt8>
    private let isStopped = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)

    init(communicator: carat_communicator, rank: Int, size: Int, timeout: Duration) {
      self.communicator = communicator
      self.timeout = timeout
      peers = Messages.peers(of: rank, among: size)
      sends = peers.map { _ in carat_mpi_no_request() }
      receives = sends
      beats = .allocate(capacity: 2 * peers.count)
      beats.initialize(repeating: 1, count: 2 * peers.count)
    }

    /// Returns when it was stopped.
    func run(calls: borrowing Mutex<Void>, onLoss: ([Int]) -> Void) {
      let pause = min(timeout / 10, .seconds(1))
      var silence = Silence(peers: peers.count, timeout: timeout, now: .now)
      while !isStopped.load(ordering: .acquiring) {
        calls.withLock { _ in beat(&silence) }
        let missing = silence.missing(now: .now).map { peers[$0] }
        if !missing.isEmpty { return onLoss(missing.sorted()) }
        Thread.sleep(forTimeInterval: Double(pause.components.seconds) + Double(pause.components.attoseconds) * 1e-18)
      }
      ended.signal()
    }

    private func beat(_ silence: inout Silence) {
      for (i, peer) in peers.enumerated() {
        // To a peer that does not take them, one is under way at a time.
        if isDone(&sends[i]) { _ = carat_mpi_send(beats + i, 1, Int32(peer), 0, communicator, &sends[i]) }
        var isNew = carat_mpi_is_null(receives[i]) != 0
        while true {
          if isNew {
            let status = carat_mpi_receive(
              beats + peers.count + i, 1, Int32(peer), 0, communicator, &receives[i])
            if status != carat_mpi_success { break }
          }
          guard isDone(&receives[i]) else { break }
          silence.heard(i, now: .now)
          isNew = true
        }
      }
    }

    private func isDone(_ request: inout carat_request) -> Bool {
      var done: Int32 = 0
      return carat_mpi_test(&request, &done) == carat_mpi_success && done != 0
    }

    /// Gives up what is still awaited.
    func close() {
      for i in receives.indices where carat_mpi_is_null(receives[i]) == 0 {
        if carat_mpi_cancel(&receives[i]) == carat_mpi_success { while !isDone(&receives[i]) {} }
      }
    }

    func stop() {
      isStopped.store(true, ordering: .releasing)
      ended.wait()
    }
  }
#endif
