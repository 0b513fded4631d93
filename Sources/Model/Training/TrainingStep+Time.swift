// How a phase runs: in turn where cores are emulated, timed, checked by audits, and with a barrier behind it.
extension TrainingStep {
  /// What one phase does on this worker, then the barrier that ends it.
  func phase(
    _ worker: Int, _ phase: StepPhase, microBatch: Int = 0, part: Int = 0, _ x: Inputs, _ body: () -> Void
  ) {
    times.time(worker, phase) { work(worker, phase.name, body) }
    if let notes = x.notes {
      let stage = Stage(phase: phase, microBatch: microBatch, part: part)
      times.time(worker, .audit) { note(worker, stage, x, in: notes) }
    }
    wait(worker)
  }

  private func wait(_ worker: Int) { times.time(worker, .wait) { span(worker, StepPhase.wait.name, team.barrier) } }

  private func work(_ worker: Int, _ name: String, _ body: () -> Void) {
    if let turns { turns.take(worker, name) { span(worker, name, body) } } else { span(worker, name, body) }
  }

  /// What worker 0 does with the other ranks, if there are any, while the others wait.
  func communicate(_ worker: Int, _ name: String, _ body: () -> Void) {
    guard ranks.size > 1 else { return }
    times.time(worker, .communication) { work(worker, name) { if worker == 0 { body() } } }
    wait(worker)
  }

  /// Records a stretch of a worker's time if someone wants to see it.
  func span(_ worker: Int, _ name: String, _ body: () -> Void) {
    guard let timeline else { return body() }
    let start = Timeline.now()
    body()
    timeline.record(worker, name, from: start, to: Timeline.now())
  }
}
