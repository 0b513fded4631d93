/// The instruction set that this module was built for, as far as products differ by it. Results do not.
package enum InstructionSet {
  /// Such as "x86-64, tiles of 6 × 16".
  package static var description: String {
    "\(architecture), products in tiles of \(MatrixKernel.tileRows) × \(MatrixKernel.tileColumns)"
  }

  private static var architecture: String {
    #if arch(x86_64)
      "x86-64"
    #elseif arch(arm64)
      "arm64"
    #else
      "another architecture"
    #endif
  }
}
