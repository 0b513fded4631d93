import Files
import Testing

@Suite struct DataErrorTests {
  @Test func isOneLineWithAllFourParts() {
    let error = DataError(
      file: "a.safetensors", expected: "x\ny", found: "z\u{2028}\u{1b}[2J", remedy: "write it again")
    #expect(error.description == "a.safetensors: expected x\\u{a}y, found z\\u{2028}\\u{1b}[2J; write it again")
  }

  @Test func longPartsAreCut() {
    let error = DataError(file: "f", expected: "e", found: String(repeating: "n", count: 1_000_000), remedy: "r")
    #expect(error.description.count < 1000)
  }
}
