import Parallel
import Testing

@Suite struct ArenaTests {
  @Test(arguments: [MemoryPlacement.anywhere, .interleaved, .node(0)])
  func piecesAreAlignedZeroedAndDisjoint(placement: MemoryPlacement) throws {
    let arena = Arena(placement: placement)
    var pieces: [UnsafeMutableBufferPointer<Float>] = []
    for count in [0, 1, 15, 16, 17, 1000, 1 << 20, 3, 3 << 20, 7, 1 << 20, 0, 5] {
      let piece = UnsafeMutableBufferPointer(start: try arena.allocate(count), count: count)
      #expect(UInt(bitPattern: piece.baseAddress) % 64 == 0)
      #expect(piece.allSatisfy { $0.bitPattern == 0 })
      piece.update(repeating: Float(pieces.count + 1))
      pieces.append(piece)
    }
    for (index, piece) in pieces.enumerated() { #expect(piece.allSatisfy { $0 == Float(index + 1) }) }
    let wanted = pieces.reduce(0) { $0 + $1.count * 4 }
    #expect(arena.bytes >= wanted && arena.bytes <= wanted + 64 * pieces.count)
    #expect(arena.mappedBytes >= arena.bytes)
  }

  @Test func smallPiecesShareAChunk() throws {
    let arena = Arena(placement: .anywhere)
    #expect(arena.mappedBytes == 0)
    for _ in 0..<1000 { _ = try arena.allocate(16) }
    #expect(arena.bytes == 64_000)
    #expect(arena.mappedBytes == 4 << 20)
    _ = try arena.allocate(2 << 20)
    _ = try arena.allocate(16)
    #expect(arena.mappedBytes == 12 << 20)
  }

  @Test func largeChunksStartAHugePage() throws {
    let base = try Arena(placement: .anywhere).allocate(2 << 20)
    #expect(UInt(bitPattern: base) % (2 << 20) == 0)
  }

  @Test func otherTypesAndMatrices() throws {
    let arena = Arena(placement: .anywhere)
    let indices = try arena.allocate(of: Int32.self, count: 3)
    #expect((0..<3).allSatisfy { indices[$0] == 0 })
    let lanes = try arena.allocate(of: SIMD16<Float>.self, count: 2)
    #expect(lanes[1] == .zero)
    let matrix = try arena.matrix(rows: 3, columns: 5)
    #expect(matrix.rows == 3 && matrix.columns == 5 && matrix.isContiguous)
    #expect(try arena.matrix(rows: 0, columns: 5).count == 0)
  }

  @Test func exhaustionIsAnError() throws {
    let arena = Arena(placement: .node(0))
    for count in [1 << 50, Int.max / 4, Int.max / 2, Int.max] {
      let error = #expect(throws: MemoryError.self) { _ = try arena.allocate(count) }
      #expect(error?.description.contains("bytes") == true)
    }
    let error = #expect(throws: MemoryError.self) { _ = try arena.allocate(1 << 50) }
    #expect(error?.bytes == 1 << 52)
    #expect(error?.placement == .node(0))
    #expect(throws: MemoryError.self) { _ = try arena.matrix(rows: Int.max / 2, columns: 3) }
    #expect(arena.bytes == 0 && arena.mappedBytes == 0)
    try arena.allocate(4)[3] = 1
  }

  @Test(.enabled(if: NUMATests.tellsPages)) func pagesLieOnTheirNode() throws {
    let allowed = NUMA.allowedMemoryNodes()
    for node in NUMA.nodes().filter({ allowed.contains($0.id) && $0.freeBytes > 64 << 20 }).map(\.id) {
      let arena = Arena(placement: .node(node))
      try arena.allocate(1 << 20).update(repeating: 1, count: 1 << 20)
      let pages = arena.pages()
      #expect(pages.values.reduce(0, +) == arena.mappedBytes / NUMA.pageBytes)
      let elsewhere = pages.keys.contains { if case .node(let other) = $0 { other != node } else { false } }
      #expect(!elsewhere)
    }
  }

  @Test(.enabled(if: NUMATests.tellsPages)) func interleavedPagesUseEveryNode() throws {
    let arena = Arena(placement: .interleaved)
    let count = 16 << 20
    try arena.allocate(count).update(repeating: 1, count: count)
    let pages = arena.pages()
    for node in NUMA.allowedMemoryNodes() { #expect(pages[.node(node), default: 0] > 0) }
  }
}
