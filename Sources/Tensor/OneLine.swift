/// A text that a person sees. Names of labels, files and tensors are anybody's: control characters and line separators are
/// shown escaped, so that a line stays one and can't drive a terminal.
///
/// - Parameter escape: what is shown for such a character; by default as Swift writes it, `\u{1b}`.
package func oneLine(
  _ text: String, escape: (Unicode.Scalar) -> String = { "\\u{" + String($0.value, radix: 16) + "}" }
) -> String {
  func isShown(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: false
    default: true
    }
  }
  if text.unicodeScalars.allSatisfy(isShown) { return text }
  return text.unicodeScalars.reduce(into: "") { line, scalar in
    if isShown(scalar) { line.unicodeScalars.append(scalar) } else { line += escape(scalar) }
  }
}
