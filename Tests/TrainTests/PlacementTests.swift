import Foundation
import Parallel
import TestSupport
import Testing

/// `train topology`, `--numa`, and restricted CPU sets, as people meet them.
@Suite struct PlacementTests {
  static let sizes = ["--layers", "1,1,1", "--hidden-size", "16", "--heads", "2", "--queue-size", "64"]

  @Test(arguments: ["node-local", "interleave", "off"])
  func topologyTellsThePlan(policy: String) throws {
    let outcome = try Program.run(
      ["topology", "--json", "--workers", "2", "--batch-size", "8", "--numa", policy] + Self.sizes,
      in: try TemporaryDirectory())
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(
      outcome.json.keys.filter { $0 != "cpu_limit" }.sorted() == [
        "allowed_cpus", "allowed_memory_nodes", "cores", "nodes", "numa", "plan",
      ])
    #expect((outcome.json["cores"] as? [[Int]])?.flatMap(\.self).sorted() == NUMA.processCPUs())
    #expect(outcome.json["allowed_cpus"] as? [Int] == NUMA.processCPUs())
    for node in outcome.json["nodes"] as? [[String: Any]] ?? [] {
      #expect(node.keys.sorted() == ["cpus", "distances", "free_mib", "id", "total_mib"])
    }
    let plan = try #require(outcome.json["plan"] as? [String: Any])
    #expect(
      plan.keys.sorted() == [
        "memory", "numa", "oversubscribed", "requested", "step_bytes_between_nodes", "total_mib", "workers",
      ])
    #expect(plan["requested"] as? String == policy)
    let workers = try #require(plan["workers"] as? [[String: Any]])
    #expect(workers.count == 2)
    for worker in workers { #expect(worker.keys.sorted() == ["cpus", "group_samples", "node", "worker"]) }
    let memory = try #require(plan["memory"] as? [[String: Any]])
    for part in memory {
      #expect(part.keys.sorted() == ["mib", "name", "placement", "why"])
      #expect(part["mib"] as? Double ?? 0 > 0)
    }
    let names = memory.compactMap { $0["name"] as? String }
    for name in ["worker 0", "worker 1", "queue and prototypes", "exchange buffers", "parameters, replica 0"] {
      #expect(names.contains(name))
    }
    if policy == "off" { #expect(memory.allSatisfy { $0["placement"] as? String == "anywhere" }) }
  }

  @Test func dryRunOfBenchTellsTheSamePlan() throws {
    let options = ["--json", "--workers", "2", "--batch-size", "8"] + Self.sizes
    let plan = try Program.run(["bench", "--dry-run"] + options, in: try TemporaryDirectory())
    let topology = try Program.run(["topology"] + options, in: try TemporaryDirectory())
    #expect(plan.status == 0, "\(plan.error)")
    let expected = try #require(topology.json["plan"] as? [String: Any])
    #expect(plan.json["total_mib"] as? Double == expected["total_mib"] as? Double)
    #expect(plan.json.keys.sorted() == expected.keys.sorted())
  }

  @Test(arguments: [["--queue-size", "1000000000"], ["--hidden-size", "1000000"], ["--batch-size", "1000000"]])
  func absurdSizesAreRefusedBeforeAnythingIsAllocated(_ size: [String]) throws {
    let outcome = try Program.run(["bench", "--dry-run"] + size, in: try TemporaryDirectory())
    #expect(outcome.status == 71 || outcome.status == 64, "\(outcome.status): \(outcome.error)")
    #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome.error)")
  }

  @Test func topologyInWords() throws {
    let outcome = try Program.run(["topology"] + Self.sizes, in: try TemporaryDirectory())
    #expect(outcome.status == 0 && outcome.error.isEmpty, "\(outcome.error)")
    for words in ["this process may use CPUs", "plan: --workers", "worker 0: CPU", "queue and prototypes ("] {
      #expect(outcome.output.contains(words), "\(outcome.output)")
    }
  }

  @Test func wrongOptions() throws {
    let directory = try TemporaryDirectory()
    for (arguments, word) in [
      (["topology", "--numa", "near"], "--numa"), (["topology", "--length", "0"], "--length"),
    ] {
      let outcome = try Program.run(arguments, in: directory)
      #expect(outcome.status == 64 && outcome.error.contains(word), "\(outcome.error)")
    }
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: Program.taskset)))
  func restrictedCPUsAndPoliciesGiveTheSameRun() throws {
    let directory = try TemporaryDirectory()
    let cpu = try #require(NUMA.processCPUs().last)
    func run(_ options: [String], cpus: String? = nil) throws -> Program.Outcome {
      let outcome = try Program.run(
        ["run", "--output", "r", "--overwrite", "--json"] + Program.tiny + Program.tinyData + options, in: directory,
        cpus: cpus)
      #expect(outcome.status == 0, "\(outcome.error)")
      return outcome
    }
    let free = try run(["--verbose", "--workers", "1"])
    #expect(free.error.contains("worker") && free.error.contains("memory placement"), "\(free.error)")
    let digest = try #require(free.json["digest"] as? String)

    let restricted = try run([], cpus: "\(cpu)")
    #expect(restricted.error.isEmpty, "\(restricted.error)")
    #expect(restricted.json["workers"] as? Int == 1 && restricted.json["digest"] as? String == digest)
    let record = try placementRecord(directory)
    #expect((record["workers"] as? [[String: Int]])?.map { $0["cpu"] } == [cpu])

    let crowded = try run(["--workers", "3"], cpus: "\(cpu)")
    let warnings = crowded.error.split(separator: "\n")
    #expect(warnings.count == 1 && crowded.error.contains("warning: 3 workers share the 1 CPU (\(cpu))"))
    #expect(crowded.json["digest"] as? String == digest)

    for policy in ["interleave", "off"] {
      let other = try run(["--numa", policy])
      #expect(other.json["digest"] as? String == digest)
      let summary = try #require(other.json["placement"] as? [String: Any])
      #expect(summary.keys.sorted() == ["elsewhere", "numa", "pages", "replicas", "replicas_equal"])
      #expect(summary["elsewhere"] as? Int == 0 && summary["replicas_equal"] as? Bool == true)
    }
  }

  private func placementRecord(_ directory: TemporaryDirectory) throws -> [String: Any] {
    let text = try String(contentsOfFile: directory.file("r/metrics.jsonl"), encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.contains("\"event\":\"placement\"") })
    let record = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    let keys = [
      "elsewhere", "environment", "event", "numa", "pages", "regions", "step", "step_bytes_between_nodes", "time",
      "workers",
    ]
    #expect(Set(record.keys).subtracting(["refusal"]) == Set(keys))
    return record
  }

  /// A control group of half a CPU, where this process may make one.
  @Test func aLimitOfTimeIsObeyed() throws {
    let group = "carat-test-\(UUID().uuidString)"
    let candidates = [
      ("/sys/fs/cgroup/cpu/\(group)", ["cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"]),
      ("/sys/fs/cgroup/\(group)", ["cpu.max": "50000 100000"]),
    ]
    for (path, limits) in candidates {
      guard mkdir(path, 0o755) == 0 else { continue }
      defer { rmdir(path) }
      guard (try? limits.forEach { try $1.write(toFile: path + "/" + $0, atomically: false, encoding: .utf8) }) != nil
      else { continue }
      let inside = "echo $$ > \(path)/cgroup.procs"
      let own = try Program.run(["topology", "--json"] + Self.sizes, in: try TemporaryDirectory(), shell: inside)
      #expect(own.status == 0 && own.json["cpu_limit"] as? Double == 0.5, "\(own.error)")
      let plan = own.json["plan"] as? [String: Any]
      #expect((plan?["workers"] as? [Any])?.count == 1)
      #expect(
        (NUMA.processCPUs().count == 1) != own.error.contains("1 worker: a limit of this process's control group"))
      let asked = try Program.run(
        ["topology", "--workers", "2"] + Self.sizes, in: try TemporaryDirectory(), shell: inside)
      #expect(asked.error.contains("2 workers, but a limit") && asked.output.contains("the time of 0.50 CPUs"))
      return
    }
  }
}
