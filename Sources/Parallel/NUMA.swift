import CNuma
import Glibc
import Logging
import Synchronization
import Tensor

/// CPUs, NUMA nodes and memory as the kernel and libnuma show them to this process.
///
/// Everything works without NUMA, in containers and with a restricted CPU set: what cannot be known is left
/// out, and a memory policy that the kernel refuses costs one warning and leaves memory where it falls.
package enum NUMA {
  /// Whether the kernel has NUMA support and lets this process use it.
  package static var isAvailable: Bool { absence == nil }

  /// Why there is no NUMA support here, in words; nil if there is.
  package static let absence: String? = {
    guard numa_available() >= 0 else { return "this kernel has no NUMA support" }
    // Where a container forbids this call, libnuma would complain at each.
    guard get_mempolicy(nil, nil, 0, nil, 0) < 0 else { return nil }
    let reason = String(cString: strerror(errno))
    return "the kernel refuses NUMA calls (\(reason)); a container needs the capability SYS_NICE"
  }()

  /// Whether the machine has more than one node, used or not: then their absence costs time.
  package static let hasSeveralNodes = numa_max_node() > 0

  /// Bytes of a page.
  package static let pageBytes = sysconf(Int32(_SC_PAGESIZE))

  /// Bytes of the machine's memory, over all nodes.
  package static var physicalBytes: Int { sysconf(Int32(_SC_PHYS_PAGES)) * pageBytes }

  /// A NUMA node of the machine, whether or not the process may use it.
  package struct Node: Sendable, Equatable {
    package let id: Int
    package let cpus: [Int]
    package let totalBytes: Int
    package let freeBytes: Int
  }

  /// The machine's nodes by rising id; none where NUMA is not available.
  package static func nodes() -> [Node] {
    guard isAvailable else { return [] }
    return (0...max(0, Int(numa_max_node()))).compactMap { id in
      var free: Int64 = 0
      let total = numa_node_size64(Int32(id), &free)
      guard total >= 0 else { return nil }
      let mask = numa_allocate_cpumask()
      defer { numa_bitmask_free(mask) }
      let known = numa_node_to_cpus(Int32(id), mask) == 0
      return Node(id: id, cpus: known ? members(of: mask) : [], totalBytes: Int(total), freeBytes: Int(free))
    }
  }

  /// The nodes whose memory this process may use; none where NUMA is not available.
  package static func allowedMemoryNodes() -> [Int] {
    guard isAvailable, let mask = numa_get_mems_allowed() else { return [] }
    defer { numa_bitmask_free(mask) }
    return members(of: mask)
  }

  /// How far a node's memory is from another's CPUs, 10 being its own, as the firmware tells; nil if it does not.
  package static func distance(from node: Int, to other: Int) -> Int? {
    guard isAvailable else { return nil }
    let distance = numa_distance(Int32(node), Int32(other))
    return distance > 0 ? Int(distance) : nil
  }

  private static func members(of mask: UnsafeMutablePointer<bitmask>?) -> [Int] {
    guard let mask else { return [] }
    return (0..<Int(mask.pointee.size)).filter { numa_bitmask_isbitset(mask, UInt32($0)) != 0 }
  }

  // MARK: Affinity

  /// The CPUs this process may run on, by its main thread, in rising order.
  package static func processCPUs() -> [Int] { affinity(of: getpid()) }

  /// The CPUs the calling thread may run on, in rising order.
  static func threadCPUs() -> [Int] { affinity(of: 0) }

  private static func affinity(of thread: pid_t) -> [Int] {
    let mask = numa_allocate_cpumask()
    defer { numa_bitmask_free(mask) }
    let cpus = numa_sched_getaffinity(thread, mask) >= 0 ? members(of: mask) : []
    return cpus.isEmpty ? Array(0..<max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) : cpus
  }

  /// Holds the calling thread to some CPUs.
  package static func setThreadCPUs(_ cpus: [Int]) throws(AffinityError) {
    precondition(!cpus.isEmpty, "a thread needs at least one CPU")
    let mask = numa_allocate_cpumask()
    defer { numa_bitmask_free(mask) }
    for cpu in cpus {
      guard cpu >= 0, cpu < numa_num_possible_cpus() else { throw AffinityError(cpus: cpus, code: EINVAL) }
      numa_bitmask_setbit(mask, UInt32(cpu))
    }
    guard numa_sched_setaffinity(0, mask) >= 0 else { throw AffinityError(cpus: cpus, code: errno) }
  }

  // MARK: Memory

  static let hugePageBytes = 2 << 20

  /// Whether a region of so many bytes is to have huge pages. An interleaved one has to be long enough to be spread
  /// by them: four of them would not reach every node of a large machine.
  static func wantsHugePages(bytes: Int, placement: MemoryPlacement) -> Bool {
    guard bytes >= hugePageBytes else { return false }
    let nodes = allowedMemoryNodes().count
    return placement != .interleaved || nodes <= 1 || bytes >= 8 * nodes * hugePageBytes
  }

  /// Maps zeroed memory, page-aligned, or 2 MiB-aligned and in huge pages where it is long enough.
  ///
  /// Pages get their place when they are first touched. Give the region back with `free`.
  package static func allocate(
    bytes: Int, placement: MemoryPlacement
  ) throws(MemoryError) -> UnsafeMutableRawBufferPointer {
    precondition(bytes > 0, "\(bytes) bytes of memory")
    let isHuge = wantsHugePages(bytes: bytes, placement: placement)
    let alignment = isHuge ? hugePageBytes : pageBytes
    guard bytes <= Int.max - 2 * alignment else {
      throw MemoryError(bytes: bytes, placement: placement, code: ENOMEM)
    }
    let size = (bytes + pageBytes - 1) / pageBytes * pageBytes
    let slack = alignment > pageBytes ? alignment : 0
    let mapped = mmap(nil, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw MemoryError(bytes: bytes, placement: placement, code: errno)
    }
    let base = mapped.alignedUp(toMultipleOf: alignment)
    let (head, tail) = (base - mapped, slack - (base - mapped))
    if head > 0 { munmap(mapped, head) }
    if tail > 0 { munmap(base + size, tail) }
    // Advice: without huge pages memory is the same, only its translation is slower.
    madvise(base, size, isHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)
    let region = UnsafeMutableRawBufferPointer(start: base, count: size)
    setPolicy(of: region, to: placement)
    return region
  }

  /// Gives back a region that `allocate` returned.
  package static func free(_ region: UnsafeMutableRawBufferPointer) {
    let status = munmap(region.baseAddress, region.count)
    assert(status == 0, "munmap of \(region) failed with error \(errno)")
  }

  private static func setPolicy(of region: UnsafeMutableRawBufferPointer, to placement: MemoryPlacement) {
    guard isAvailable, placement != .anywhere else { return }
    let mask: UnsafeMutablePointer<bitmask>?
    let mode: Int32
    switch placement {
    case .node(let node):
      mask = numa_allocate_nodemask()
      // Preferred, not bound: on a full node pages go next door, where binding would kill the process.
      mode = MPOL_PREFERRED
      guard node >= 0, node <= Int(numa_max_node()) else {
        numa_bitmask_free(mask)
        return warnOfRefusal(placement, code: EINVAL)
      }
      numa_bitmask_setbit(mask, UInt32(node))
    case .interleaved:
      mask = numa_get_mems_allowed()
      mode = MPOL_INTERLEAVE
    case .anywhere: return
    }
    guard let mask else { return warnOfRefusal(placement, code: ENOMEM) }
    defer { numa_bitmask_free(mask) }
    // The kernel takes one bit fewer than it is told of.
    let status = mbind(
      region.baseAddress, UInt(region.count), mode, mask.pointee.maskp, UInt(mask.pointee.size) + 1, 0)
    if status != 0 { warnOfRefusal(placement, code: errno) }
  }

  private static let hasWarned = Atomic<Bool>(false)

  private static func warnOfRefusal(_ placement: MemoryPlacement, code: Int32) {
    guard !hasWarned.exchange(true, ordering: .relaxed) else { return }
    Logger(label: "carat.numa").warning(
      "memory \(placement) refused (\(String(cString: strerror(code)))): pages stay where they are first touched")
  }

  /// Where a page of memory lies.
  package enum PageLocation: Sendable, Hashable {
    case node(Int)
    /// Not touched yet, or the shared zero page.
    case nowhere
    /// The kernel would not say; its error number.
    case unknown(code: Int32)
  }

  /// The node of every page that a region of memory touches, or of every `stride`-th, in order of address.
  package static func pageNodes(of region: UnsafeRawBufferPointer, every stride: Int = 1) -> [PageLocation] {
    guard let start = region.baseAddress, region.count > 0 else { return [] }
    let first = start.alignedDown(toMultipleOf: pageBytes)
    let step = stride * pageBytes
    let count = (start + region.count - first + step - 1) / step
    guard isAvailable else { return Array(repeating: .unknown(code: ENOSYS), count: count) }
    var pages = (0..<count).map { UnsafeMutableRawPointer(mutating: first + $0 * step) as Optional }
    var nodes = [Int32](repeating: -EINVAL, count: count)
    // Without target nodes nothing moves: the call only fills `nodes`.
    if move_pages(0, UInt(count), &pages, nil, &nodes, 0) < 0 {
      return Array(repeating: .unknown(code: errno), count: count)
    }
    return nodes.map { node in
      switch node {
      case 0...: .node(Int(node))
      case -ENOENT, -EFAULT: .nowhere
      default: .unknown(code: -node)
      }
    }
  }
}

/// CPUs that a thread was not allowed to be held to.
package struct AffinityError: Error, Equatable, CustomStringConvertible {
  package let cpus: [Int]
  /// The system's error number.
  package let code: Int32

  package var description: String {
    """
    cannot hold a thread to CPU \(cpus.map(String.init).joined(separator: ", ")): \(String(cString: strerror(code))). \
    Compare with the CPUs that the process is allowed (taskset -p, the container's or the job's CPU set).
    """
  }
}

/// Tells the core that its thread spins.
@inline(__always) func spinHint() { carat_spin_hint() }
