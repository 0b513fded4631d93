import Testing

@testable import Model

struct SettingsDifferenceTests {
  @Test func namesAreThoseOfOptions() throws {
    let before = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    var now = before
    now.optimizer.learningRate = 1e-3
    now.optimizer.totalSteps = 99
    now.model.modalities[1].layers = 2
    now.model.weights[.plainBCE] = 5
    now.data = .directory("/elsewhere")
    now.optimizer.scheduleStart = ScheduleStart(step: 3, share: 1)
    now.changes = [.init(step: 3, settings: ["x"])]
    let differences = try SettingsDifference.all(before, now)
    #expect(Set(differences.map(\.name)) == ["learning-rate", "layers", "plain-bce-weight"])
    #expect(differences.first { $0.name == "learning-rate" }?.description == "--learning-rate was 5e-05, is 0.001")
    #expect(try SettingsDifference.all(before, before).isEmpty)
    #expect(SettingsDifference.changeable.isSuperset(of: ["learning-rate", "shuffled-bce-weight"]))
    #expect(!SettingsDifference.changeable.contains("hidden-size"))
  }

  @Test func aLimitThatWasNotThereIsADifference() throws {
    let before = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    var now = before
    now.maxSteps = 9
    #expect(try SettingsDifference.all(before, now).map(\.description) == ["--max-steps was absent, is 9"])
    #expect(SettingsDifference.changeable.contains("max-steps"))
  }

  @Test func anOptionForSeveralModalitiesIsNamedOnce() throws {
    let before = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    var now = before
    for m in 1...2 { now.model.modalities[m].alignedSteps = 20 }
    now.optimizer.maximumNorm = 2
    #expect(
      try SettingsDifference.all(before, now).map(\.description) == [
        "--aligned-length was absent, is 20", "maximum-norm was 1, is 2",
      ])
  }
}
