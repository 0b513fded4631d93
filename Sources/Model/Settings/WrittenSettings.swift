/// What `config.json` holds: a run's settings and, under `written`, when and by what they were written, which decides nothing
/// and is read by nobody but people.
struct WrittenSettings: Encodable {
  let settings: RunConfiguration

  /// What readers pass over.
  static let key = CodingKeys.written.rawValue

  private enum CodingKeys: String, CodingKey { case written }

  private struct Written: Encodable {
    let time = timestamp()
    let environment = RunEnvironment.current
  }

  func encode(to encoder: any Encoder) throws {
    try settings.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(Written(), forKey: .written)
  }
}
