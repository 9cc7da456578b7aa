#if canImport(UserNotifications)
  import ChaosKit
  import UserNotifications

  /// The system's notifications.
  @MainActor enum Notifications {
    static func askForPermission() {
      UNUserNotificationCenter.current().requestAuthorization(options: [.alert, .sound]) { _, _ in }
    }

    static func post(_ announcement: Announcement) {
      let content = UNMutableNotificationContent()
      content.title = announcement.what.words.text
      content.subtitle = announcement.experimentID
      content.body =
        announcement.reason.isEmpty
        ? announcement.target : "\(announcement.target): \(announcement.reason)"
      UNUserNotificationCenter.current().add(
        UNNotificationRequest(identifier: announcement.id, content: content, trigger: nil))
    }
  }
#endif
