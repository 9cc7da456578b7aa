/// A parameter of a fault kind, as the server describes it.
public struct Parameter: Sendable, Hashable, Identifiable {
  public enum Form: String, Sendable {
    case number
    case integer
    case integerList = "integer list"
    case text
    case textList = "text list"
    case choice
    case flag
  }

  public let name: String
  public let form: Form
  public let unit: String
  public let defaultValue: String
  /// In `unit`; both are part of the range.
  public let min: Double?
  public let max: Double?
  /// One sentence.
  public let help: String
  public let required: Bool
  public let choices: [String]
  /// The counter that says what it did: a share of the packets matched, in percent, or
  /// `Parameter.delayCounter`. Empty: not measured.
  public let measuredBy: String
  public var id: String { name }

  /// A mean over the packets delayed.
  public static let delayCounter = "delay_given_ns"
  public static let rateCounter = "link_bytes"
  /// The spread of a histogram that only a report has.
  public static let delayHistogram = "given"
  /// Whether samples say what measures it.
  public var isMeasuredLive: Bool { !measuredBy.isEmpty && measuredBy != Self.delayHistogram }

  init(_ json: JSON) {
    name = json["name"].text
    form = Form(rawValue: json["type"].text) ?? .text
    unit = json["unit"].text
    defaultValue = json["defaultValue"].text
    min = json["min"].optionalNumber
    max = json["max"].optionalNumber
    help = json["help"].text
    required = json["required"].flag
    choices = json["choices"].list.map(\.text)
    measuredBy = json["measuredBy"].text
  }
}

public struct FaultKind: Sendable, Hashable, Identifiable {
  public let name: String
  public let summary: String
  public let parameters: [Parameter]
  /// What an agent must be able to do.
  public let capabilities: [String]
  public var id: String { name }

  init(_ json: JSON) {
    name = json["name"].text
    summary = json["summary"].text
    parameters = json["parameters"].list.map(Parameter.init)
    capabilities = json["capabilities"].list.map(\.text)
  }
}
