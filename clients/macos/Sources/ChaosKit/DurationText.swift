/// Lengths of time as people type them: "90s", "10m", "1h".
public enum DurationText {
  public static let allowed = "a number with s, m or h, such as 90s"
  private static let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]

  /// Nil for what is none. How long it may be is the server's to say.
  public static func parse(_ text: String) -> Duration? {
    guard let last = text.last, let seconds = units[last], let number = Double(text.dropLast()),
      number.isFinite, number > 0
    else { return nil }
    return .seconds(number * seconds)
  }

  public static func format(_ duration: Duration) -> String { "\(duration.components.seconds)s" }
}
