import Foundation

/// One value of a message in protobuf's JSON mapping, where a field that has its default is absent:
/// every reader gives that default then. Not to be kept: models are made from it at once.
struct JSON {
  let value: Any?

  init(_ value: Any?) { self.value = value }
  init(parsing data: Data) throws {
    value = data.isEmpty ? nil : try JSONSerialization.jsonObject(with: data)
  }

  subscript(name: String) -> JSON { JSON((value as? [String: Any])?[name]) }

  var isPresent: Bool { value != nil }
  var text: String { value as? String ?? "" }
  var flag: Bool { value as? Bool ?? false }
  var list: [JSON] { (value as? [Any] ?? []).map { JSON($0) } }
  var number: Double { optionalNumber ?? 0 }
  var optionalNumber: Double? {
    (value as? NSNumber)?.doubleValue ?? (value as? String).flatMap(Double.init)
  }
  /// 64-bit integers are text.
  var unsigned: UInt64 {
    (value as? String).flatMap(UInt64.init) ?? (value as? NSNumber)?.uint64Value ?? 0
  }
  var int: Int { Int(clamping: unsigned) }
  var texts: [String: String] { value as? [String: String] ?? [:] }

  /// "1.500s"
  var duration: Duration? {
    guard let text = value as? String, text.hasSuffix("s") else { return nil }
    guard let seconds = Double(text.dropLast()), abs(seconds) <= DurationText.longestSeconds else {
      return nil
    }
    return .seconds(seconds)
  }

  /// RFC 3339 in UTC with up to nine digits of a second.
  var time: Date? {
    guard let text = value as? String else { return nil }
    let parts = text.dropLast(text.hasSuffix("Z") ? 1 : 0).split(separator: ".")
    guard let whole = parts.first,
      let date = try? Date("\(whole)Z", strategy: .iso8601)
    else { return nil }
    let fraction = parts.count > 1 ? Double("0.\(parts[1])") ?? 0 : 0
    return date.addingTimeInterval(fraction)
  }

  /// An enum's name without its prefix; `fallback` for what this client does not know.
  func name<Name: RawRepresentable>(without prefix: String, or fallback: Name) -> Name
  where Name.RawValue == String {
    text.hasPrefix(prefix)
      ? Name(rawValue: String(text.dropFirst(prefix.count))) ?? fallback : fallback
  }

  static func data(_ object: [String: Any]) throws -> Data {
    guard JSONSerialization.isValidJSONObject(object) else {
      throw ChaosError(
        code: .invalidArgument, reason: "MALFORMED_REQUEST",
        message: "a number of the request is none: \(object)")
    }
    return try JSONSerialization.data(withJSONObject: object)
  }

  /// A duration as protobuf's JSON mapping has it.
  static func text(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    return String(
      format: "%@%llu.%09llus", duration < .zero ? "-" : "", seconds.magnitude,
      attoseconds.magnitude / 1_000_000_000)
  }
}
