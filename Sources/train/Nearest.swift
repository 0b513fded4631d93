/// The name that is nearest to a mistyped one; nil if none takes less than half of its letters to change.
func nearest(to word: String, among names: [String]) -> String? {
  let distances = names.map { (name: $0, distance: editDistance(word, $0)) }
  return distances.min { $0.distance < $1.distance }.flatMap { 2 * $0.distance < $0.name.count ? $0.name : nil }
}

/// Letters to insert, remove, replace or exchange with their neighbour (Damerau and Levenshtein, each pair once).
private func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a), Array(b))
  var rows = [Array(0...b.count)]
  for i in 1..<a.count + 1 {
    var row = [i]
    for j in 1..<b.count + 1 {
      var least = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { least = min(least, rows[i - 2][j - 2] + 1) }
      row.append(least)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
