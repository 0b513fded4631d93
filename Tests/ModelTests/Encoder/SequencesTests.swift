import Testing

@testable import Model

struct SequencesTests {
  @Test func packedEndToEnd() throws {
    let table = try SequenceTable([3, 1, 2], firstPlace: 8)
    let s = table.sequences
    #expect(s.count == 3 && table.capacity == 3 && s.rowCount == 6)
    #expect((0..<3).map { s.rows($0) } == [0..<3, 3..<4, 4..<6])
    #expect((0..<3).map(s.place) == [8, 9, 10])
    table.removeAll()
    #expect(table.sequences.count == 0 && table.sequences.rowCount == 0)
    table.append(length: 5)
    #expect(table.sequences.rowCount == 5 && table.sequences.rows(0) == 0..<5)
  }

  /// A run's rows are counted from its first; its samples keep their places.
  @Test func viewsOfRuns() throws {
    let table = try SequenceTable([3, 1, 2, 4], firstPlace: 4)
    let run = table.sequences[1..<3]
    #expect(run.count == 2 && run.rowCount == 3 && run.rows(0) == 0..<1 && run.rows(1) == 1..<3)
    #expect(run.place(0) == 5 && run.length(1) == 2)
    #expect(table.sequences.rows(1..<3) == 3..<6 && table.sequences.rows(2..<2) == 4..<4)
  }

  @Test func rowsBehindTheLength() throws {
    let table = try SequenceTable(capacity: 2, in: testArena)
    table.append(length: 2, rows: 5)
    table.append(length: 3)
    let s = table.sequences
    #expect(s.rowCount == 8 && s.rows(0) == 0..<5 && s.rows(1) == 5..<8)
    #expect(s.length(0) == 2 && s.length(1) == 3)
  }

  @Test func emptyToBeginWith() throws {
    #expect(try SequenceTable(capacity: 0, in: testArena).sequences.rowCount == 0)
    #expect(try SequenceTable(capacity: 4, in: testArena).sequences.rowCount == 0)
  }
}
