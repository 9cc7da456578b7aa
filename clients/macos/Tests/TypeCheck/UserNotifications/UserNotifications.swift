// A stand-in for type-checking on Linux (../README.md): declarations without behaviour.

public struct UNAuthorizationOptions: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }
  public static let alert = UNAuthorizationOptions(rawValue: 1)
  public static let sound = UNAuthorizationOptions(rawValue: 2)
}
public class UNNotificationContent {}
public final class UNMutableNotificationContent: UNNotificationContent {
  public var title = ""
  public var subtitle = ""
  public var body = ""
  public override init() {}
}
public class UNNotificationTrigger {}
public final class UNNotificationRequest {
  public init(
    identifier: String, content: UNNotificationContent, trigger: UNNotificationTrigger?
  ) {}
}
public final class UNUserNotificationCenter: Sendable {
  public static func current() -> UNUserNotificationCenter { UNUserNotificationCenter() }
  public func requestAuthorization(
    options: UNAuthorizationOptions = [],
    completionHandler: @escaping @Sendable (Bool, (any Error)?) -> Void
  ) {}
  public func add(
    _ request: UNNotificationRequest,
    withCompletionHandler: (@Sendable ((any Error)?) -> Void)? = nil
  ) {}
}
