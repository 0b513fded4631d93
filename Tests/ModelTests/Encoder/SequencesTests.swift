import Testing

@testable import Model

struct SequencesTests {
  @Test func packedEndToEnd() {
    let s = Sequences([3, 1, 2])
    #expect(s.count == 3 && s.capacity == 3 && s.rowCount == 6)
    #expect((0..<3).map(s.rows) == [0..<3, 3..<4, 4..<6])
    s.removeAll()
    #expect(s.count == 0 && s.rowCount == 0)
    s.append(length: 5)
    #expect(s.rowCount == 5 && s.rows(0) == 0..<5)
  }

  @Test func rowsBehindTheLength() {
    let s = Sequences(capacity: 2)
    s.append(length: 2, rows: 5)
    s.append(length: 3)
    #expect(s.rowCount == 8 && s.rows(0) == 0..<5 && s.rows(1) == 5..<8)
    #expect(s.length(0) == 2 && s.length(1) == 3)
  }

  @Test func emptyToBeginWith() {
    #expect(Sequences(capacity: 0).rowCount == 0)
    #expect(Sequences(capacity: 4).rowCount == 0)
  }
}
