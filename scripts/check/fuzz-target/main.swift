import Foundation

// A fuzz target for one reader of files, which CARAT_FUZZ_READER names; scripts/check/fuzz runs it. Arguments are libFuzzer's.
// With CARAT_FUZZ_CORPUS it writes a valid input of every reader to a directory instead.

@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let environment = ProcessInfo.processInfo.environment
if let directory = environment["CARAT_FUZZ_CORPUS"] {
  try Samples.write(to: directory)
  exit(0)
}
guard let reader = Reader(rawValue: environment["CARAT_FUZZ_READER"] ?? "") else {
  print("CARAT_FUZZ_READER is one of \(Reader.allCases.map(\.rawValue).joined(separator: ", "))")
  exit(64)
}
Workplace.current = try Workplace(reader)
var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(
  runDriver(&count, &arguments) { bytes, count in
    Workplace.current?.read(UnsafeRawBufferPointer(start: bytes, count: count))
    return 0
  })
