#if canImport(UserNotifications)
  import ChaosKit
  import Foundation
  import UserNotifications

  /// The system's notifications.
  @MainActor enum Notifications {
    /// Nil outside of an application's bundle: the system has none for a bare program, and ends it.
    private static var center: UNUserNotificationCenter? {
      Bundle.main.bundleIdentifier == nil ? nil : .current()
    }

    static func askForPermission() {
      center?.requestAuthorization(options: [.alert, .sound]) { @Sendable _, _ in }
    }

    static func post(_ announcement: Announcement) {
      let content = UNMutableNotificationContent()
      content.title = announcement.what.words.text
      content.subtitle = announcement.experimentID
      content.body =
        announcement.reason.isEmpty
        ? announcement.target : "\(announcement.target): \(announcement.reason)"
      center?.add(
        UNNotificationRequest(identifier: announcement.id, content: content, trigger: nil))
    }
  }
#endif
