#if canImport(SwiftUI)
  import ChaosKit
  import Foundation
  import SwiftUI

  /// How to reach the control plane, kept in the user's defaults: addresses, and where credentials
  /// are. Keys themselves are never kept there.
  struct SettingsView: View {
    let desk: Desk
    @State private var stored = StoredSettings()
    @State private var isChoosing = false
    @State private var chosen: WritableKeyPath<StoredSettings, String> = \.authorityPath
    @State private var problem: String?

    var body: some View {
      Form {
        TextField(Words.addresses.text, text: $stored.addresses)
        Text(Words.addressesHelp.text).font(.callout).foregroundStyle(.secondary)
        Picker(Words.security.text, selection: $stored.security) {
          Text(Words.securityNone.text).tag(StoredSettings.Security.none)
          Text(Words.securityFiles.text).tag(StoredSettings.Security.files)
          if Keychain.isThere {
            Text(Words.securityKeychain.text).tag(StoredSettings.Security.keychain)
          }
        }
        if stored.security != .none { file(Words.authority, \.authorityPath) }
        if stored.security == .files {
          file(Words.certificate, \.certificatePath)
          file(Words.key, \.keyPath)
        }
        if stored.security == .keychain {
          TextField(Words.identity.text, text: $stored.identity)
          Text(Words.identityHelp.text).font(.callout).foregroundStyle(.secondary)
        }
        if let problem { Text(problem).foregroundStyle(.red) }
        ConnectionView(connection: desk.connection)
        Button(Words.connect.text) { connect() }.keyboardShortcut(.defaultAction)
      }
      .padding(20)
      .frame(minWidth: 460)
      .fileImporter(isPresented: $isChoosing, allowedContentTypes: [.data]) { result in
        if case .success(let url) = result { stored[keyPath: chosen] = url.path }
      }
    }

    private func file(_ words: Words, _ path: WritableKeyPath<StoredSettings, String>) -> some View {
      HStack {
        LabeledContent(words.text) { Text(stored[keyPath: path]) }
        Button(Words.choose.text) {
          chosen = path
          isChoosing = true
        }
        .accessibilityLabel("\(words.text): \(Words.choose.text)")
      }
    }

    private func connect() {
      stored.save()
      problem = stored.apply(to: desk)
    }
  }

  struct StoredSettings: Equatable {
    enum Security: String { case none, files, keychain }

    var addresses: String
    var security: Security
    var authorityPath: String
    var certificatePath: String
    var keyPath: String
    var identity: String

    init() {
      let read = { (name: String) in UserDefaults.standard.string(forKey: name) ?? "" }
      addresses = read("addresses")
      security = Security(rawValue: read("security")) ?? .none
      authorityPath = read("authority")
      certificatePath = read("certificate")
      keyPath = read("key")
      identity = read("identity")
    }

    func save() {
      let defaults = UserDefaults.standard
      defaults.set(addresses, forKey: "addresses")
      defaults.set(security.rawValue, forKey: "security")
      defaults.set(authorityPath, forKey: "authority")
      defaults.set(certificatePath, forKey: "certificate")
      defaults.set(keyPath, forKey: "key")
      defaults.set(identity, forKey: "identity")
    }

    /// Connects; what the Keychain refuses is the result, everything else shows in the connection.
    @MainActor @discardableResult func apply(to desk: Desk) -> String? {
      var credentials: Credentials?
      switch security {
      case .none: break
      case .files:
        credentials = Credentials(
          authority: authorityPath, certificate: certificatePath, key: keyPath)
      case .keychain:
        do {
          credentials = try Keychain.credentials(identity: identity, authority: authorityPath)
        } catch {
          return error.localizedDescription
        }
      }
      desk.connect(ConnectionSettings(addresses: addresses, credentials: credentials))
      return nil
    }
  }
#endif
