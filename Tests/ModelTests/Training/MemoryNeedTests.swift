import TestSupport
import Testing

@testable import Model
@testable import Parallel

extension Teams {
  /// What is asked of the system is known before it is used, and hardly more than what is used.
  struct MemoryNeedTests {
    static let cases: [(Preset, batchSize: Int, microBatches: Int, workers: Int)] = [
      (.released, 64, 1, 2), (.released, 64, 4, 1), (.paper, 128, 1, 3), (.unaligned, 32, 1, 2), (.small, 32, 2, 2),
    ]

    @Test(arguments: cases) func isWhatIsPlanned(
      _ preset: Preset, batchSize: Int, microBatches: Int, workers: Int
    ) throws {
      var shape = SyntheticDataset.Settings()
      if preset == .unaligned { shape.steps = [60, 200, 200] }
      var settings = RunConfiguration(for: DatasetShape(of: shape))
      preset.apply(to: &settings)
      (settings.batchSize, settings.microBatches) = (batchSize, microBatches)
      let team = makeTeam(workers)
      let state = try TrainingState(CARATModel(settings.model), placement: team.placement)
      let step = try TrainingStep(state, settings, team: team)
      let arenas = step.memory.map(\.arena)
      let (planned, mapped) = (arenas.reduce(0) { $0 + $1.bytes }, arenas.reduce(0) { $0 + $1.mappedBytes })
      let most = 1.05 * Double(planned) + Double(arenas.count * Arena.chunkBytes)
      #expect(planned <= mapped && Double(mapped) <= most, "\(planned) of \(mapped)")
      let least = MemoryNeed(settings.model).parts(samples: settings.samplesAtOnce).reduce(0) { $0 + $1.bytes }
      #expect(least <= Double(planned) && least > 0.2 * Double(planned), "at least \(least) of \(planned)")
    }
  }
}
