import Files
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
    let differences = SettingsDifference.all(before, now)
    #expect(Set(differences.map(\.name)) == ["learning-rate", "layers", "plain-bce-weight"])
    #expect(differences.first { $0.name == "learning-rate" }?.description == "--learning-rate was 5e-05, is 0.001")
    #expect(SettingsDifference.all(before, before).isEmpty)
    #expect(SettingsDifference.changeable.isSuperset(of: ["learning-rate", "shuffled-bce-weight"]))
    #expect(!SettingsDifference.changeable.contains("hidden-size"))
  }

  @Test func aLimitThatWasNotThereIsADifference() throws {
    let before = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    var now = before
    now.maxSteps = 9
    #expect(SettingsDifference.all(before, now).map(\.description) == ["--max-steps was absent, is 9"])
    #expect(SettingsDifference.changeable.contains("max-steps"))
  }

  @Test func anOptionForSeveralModalitiesIsNamedOnce() throws {
    let before = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    var now = before
    for m in 1...2 { now.model.modalities[m].alignedSteps = 20 }
    now.optimizer.maximumNorm = 2
    #expect(
      SettingsDifference.all(before, now).map(\.description) == [
        "maximum-norm was 1.0, is 2.0", "--aligned-length was absent, is 20",
      ])
  }
}

struct SettingTests {
  /// What is not in the table is decided by the data or by other settings.
  @Test func theTableHasEverySettingOfTheFile() throws {
    var settings = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    (settings.maxSteps, settings.bestBy, settings.patience, settings.microBatches) = (9, .loss, 3, 4)
    (settings.tuneThreshold, settings.optimizer.averageDecay, settings.model.positiveWeights) = (.label, 0.9, .auto)
    for m in settings.model.modalities.indices { settings.model.modalities[m].alignedSteps = 20 }
    let keys = try Set(JSON.leaves(of: settings).keys.map { $0.replacing(/\[[0-9]+\]/, with: "[]") })
    let others: Set = [
      "labelNames[]", "model.labels", "model.modalities[].name", "model.modalities[].features",
      "model.modalities[].maximumSteps", "optimizer.totalSteps",
    ]
    #expect(keys.subtracting(others) == Set(AnySetting.all.map(\.key)))
    #expect(others.isSubset(of: keys))
  }

  @Test func stepsOfAlignmentAreToldAsTheyAreGiven() {
    var settings = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    let text = Setting.alignedLength.any.text
    #expect(text(settings) == nil)
    for m in 1...2 { settings.model.modalities[m].alignedSteps = 20 }
    #expect(text(settings) == "20")
    settings.model.modalities[1].alignedSteps = 10
    #expect(text(settings) == "none,10,20")
    #expect(Setting.layers.any.text(settings) == "6,4,4")
  }
}
