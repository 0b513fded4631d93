import ArgumentParser
import Logging
import Model
import Parallel

extension Option where Value: ExpressibleByArgument {
  /// An option with a default value. Its value may start with a minus: it is then judged as a value.
  init(wrappedValue: Value, _ help: String, value: String) {
    self.init(wrappedValue: wrappedValue, parsing: .unconditional, help: ArgumentHelp(help, valueName: value))
  }

  /// An option that has to be given.
  init(_ help: String, value: String) {
    self.init(parsing: .unconditional, help: ArgumentHelp(help, valueName: value))
  }
}

extension Option {
  /// An option that may be absent: what it stands for is then what `base` says, or what the help says.
  init<T: ExpressibleByArgument>(
    _ help: String, value: String, base: (any CustomStringConvertible)? = nil, also: String? = nil
  ) where Value == T? {
    let suffix = base.map { " (default: \($0))" } ?? ""
    let name: NameSpecification = also.map { [.long, .customLong($0)] } ?? .long
    self.init(name: name, parsing: .unconditional, help: ArgumentHelp(stringLiteral: help + suffix).named(value))
  }
}

extension Option {
  /// An option that changes a setting; its help tells the setting of the released code.
  ///
  /// - Parameter also: another name, as other programs have it.
  init<T: ExpressibleByArgument, V>(_ setting: Setting<V>, also: String? = nil) where Value == T? {
    self.init(setting.help, value: setting.value, base: setting.any.text(released), also: also)
  }
}

extension ArgumentHelp {
  fileprivate func named(_ value: String) -> ArgumentHelp {
    var help = self
    help.valueName = value
    return help
  }
}

/// The settings of the released code, for data of MOSEI's shape: what options change.
let released = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))

/// How many threads a command computes with, and where their memory lies.
struct WorkerOptions: ParsableArguments {
  @Option(
    "Threads, each on a CPU of its own; by default one for each physical core that this process may use, no more than "
      + "CPUs' time that a control group (cgroup) grants it. More than there are cores use the cores' further hardware "
      + "threads. Results do not depend on it.", value: "n")
  var workers: Int?

  @OptionGroup(title: "Workers") var placement: PlacementOptions

  func validate() throws {
    if let workers, !(1...WorkerTeam.maxCount).contains(workers) {
      throw ValidationError("--workers must be between 1 and \(WorkerTeam.maxCount), not \(workers).")
    }
  }
}

/// Where a team's threads and memory lie.
struct PlacementOptions: ParsableArguments {
  @Option(
    "Where memory goes on a machine of several NUMA nodes: node-local (the default: a worker's memory on its node, "
      + "parameters on every node, what is shared interleaved), interleave (all interleaved), or off (the kernel is "
      + "asked for nothing). Results do not depend on it.", value: "policy")
  var numa: MemoryPolicy?

  @Flag(help: "Tell on the standard error where workers and memory went.")
  var verbose = false

  /// - Parameter isAsked: whether the number of workers was given.
  func tell(_ placement: Placement, _ share: MachineShare, isAsked: Bool) {
    let logger = Logger(label: "carat.placement")
    let (cpus, cores) = (placement.topology.cpus, placement.topology.coreCount)
    if let limit = share.limit, Double(isAsked ? placement.count : cores) > max(limit, 1) {
      let granted = "a limit of this process's control group (cgroup) grants it the time of \(fixed(limit, 2)) CPUs"
      if isAsked {
        logger.warning("\(placement.count) workers, but \(granted): more than \(max(1, Int(limit))) gain no time")
      } else {
        logger.notice("\(placement.count) worker\(placement.count == 1 ? "" : "s"): \(granted)")
      }
    } else if !isAsked && cpus.count > cores {
      logger.notice(
        "\(placement.count) workers, one a physical core; \(cpus.count) hardware threads are asked for by --workers \(cpus.count)"
      )
    }
    if placement.isOversubscribed {
      let few = "\(cpus.count) CPU\(cpus.count == 1 ? "" : "s") (\(Placement.ranges(cpus)))"
      logger.warning(
        "\(placement.count) workers share the \(few) that this process may use: more than \(cpus.count) gain no time")
    }
    if let absence = placement.topology.absence {
      // A warning where something is lost by it, or was asked for by name.
      let matters = NUMA.hasSeveralNodes || numa ?? .off != .off
      logger.log(level: matters ? .warning : .info, "no NUMA: \(absence); memory lies where it is first touched")
    }
    for line in "\(placement)".split(separator: "\n") { logger.info("\(line)") }
  }
}

/// Whole numbers separated by commas: one for each modality or split, or any number of them if `count` is nil.
///
/// - Parameter oneForAll: whether a single number may stand for all.
func wholeNumbers(
  _ text: String, count: Int? = 3, oneForAll: Bool = false, option: String, in range: ClosedRange<Int>
) throws -> [Int] {
  let parts = text.split(separator: ",", omittingEmptySubsequences: false)
  let values = parts.compactMap { Int($0) }.filter(range.contains)
  let given = parts.count
  guard values.count == given, given == count ?? given || oneForAll && given == 1 else {
    let number = count.map { "\(oneForAll ? "1 or " : "")\($0) " } ?? ""
    throw ValidationError(
      "\(option) takes \(number)whole numbers of \(range.lowerBound) to \(range.upperBound) separated by commas, "
        + "not '\(text)'.")
  }
  return oneForAll && given == 1 ? Array(repeating: values[0], count: count ?? 1) : values
}

extension RunConfiguration {
  /// Changes a setting if its option was given.
  mutating func set<Value>(_ setting: Setting<Value>, _ option: Value?) {
    if let option { self[keyPath: setting.path] = option }
  }

  /// The same of a setting that may be absent: `set` would take an option that was not given for the value "absent".
  mutating func setOptional<Value>(_ setting: Setting<Value?>, _ option: Value?) {
    if let option { self[keyPath: setting.path] = option }
  }
}

/// Changes what has an option, and is no setting, if that was given.
func set<T>(_ setting: inout T, _ option: T?) {
  if let option { setting = option }
}

extension MemoryPolicy: ExpressibleByArgument {}
extension PositiveWeights: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}
extension ModelConfiguration.Anchors: ExpressibleByArgument {}
extension ModelConfiguration.QueueKeys: ExpressibleByArgument {}
extension ModelConfiguration.Padding: ExpressibleByArgument {}
