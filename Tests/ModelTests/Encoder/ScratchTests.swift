import Testing

@testable import Model
@testable import Tensor

struct ScratchTests {
  @Test func slotsAreApartAndCalleesNumberTheirOwn() throws {
    let scratch = try Scratch(capacities: [6, 4, 2], in: testArena)
    let (a, b) = (scratch.matrix(0, rows: 2, columns: 3), scratch.matrix(1, rows: 1, columns: 4))
    a.fill(1)
    b.fill(2)
    scratch.matrix(2, rows: 1, columns: 2).fill(3)
    #expect(values(a) == [1, 1, 1, 1, 1, 1] && values(b) == [2, 2, 2, 2])
    let callee = scratch.from(1)
    #expect(callee.matrix(0, rows: 2, columns: 2).base == b.base)
    #expect(values(callee.from(1).matrix(0, rows: 2, columns: 1)) == [3, 3])
  }
}
