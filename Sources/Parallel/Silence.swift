/// For how long each peer has not been heard of: who is silent for too long is missing.
struct Silence {
  private let timeout: Duration
  private var lastHeard: [ContinuousClock.Instant]
  private var lastLook: ContinuousClock.Instant

  init(peers: Int, timeout: Duration, now: ContinuousClock.Instant) {
    self.timeout = timeout
    lastHeard = Array(repeating: now, count: peers)
    lastLook = now
  }

  mutating func heard(_ peer: Int, now: ContinuousClock.Instant) { lastHeard[peer] = now }

  /// The peers that are missing.
  ///
  /// Who looks after a long pause was stopped itself and could hear nothing: then everyone's time begins anew.
  mutating func missing(now: ContinuousClock.Instant) -> [Int] {
    if now - lastLook > timeout / 2 { lastHeard = lastHeard.map { _ in now } }
    lastLook = now
    return lastHeard.indices.filter { now - lastHeard[$0] > timeout }
  }
}
