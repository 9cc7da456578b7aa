/// Lengths of time as people type them: "90s", "10m", "1h".
public enum DurationText {
  /// What can be said at all, as protobuf has it.
  static let longestSeconds = 315_576_000_000.0
  public static var allowed: String { Words.durationAllowed.text }
  private static let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]

  /// Nil for what is none. How long it may be is the server's to say.
  public static func parse(_ text: String) -> Duration? {
    guard let last = text.last, let seconds = units[last], let number = Double(text.dropLast()),
      number > 0,
      number * seconds <= longestSeconds
    else { return nil }
    return .seconds(number * seconds)
  }

  public static func format(_ duration: Duration) -> String { "\(duration.components.seconds)s" }
}
