import ChaosKit
import Foundation

#if canImport(Security)
  import Security

  /// Credentials from the user's Keychain. The key must be one that may be exported: gRPC does the
  /// handshake itself.
  enum Keychain {
    static let isThere = true

    struct Refusal: LocalizedError {
      let status: OSStatus
      var errorDescription: String? {
        SecCopyErrorMessageString(status, nil) as String? ?? "Keychain: \(status)"
      }
    }

    /// The identity of that name with its key as PEM text; `authority` is a PEM file's path.
    static func credentials(identity name: String, authority: String) throws -> Credentials {
      let query: [CFString: Any] = [
        kSecClass: kSecClassIdentity, kSecAttrLabel: name, kSecReturnRef: true,
      ]
      var found: CFTypeRef?
      try check(SecItemCopyMatching(query as CFDictionary, &found))
      let identity = found as! SecIdentity
      var certificate: SecCertificate?
      try check(SecIdentityCopyCertificate(identity, &certificate))
      var key: SecKey?
      try check(SecIdentityCopyPrivateKey(identity, &key))
      return Credentials(
        authority: authority, certificate: try pem(certificate!), key: try pem(key!))
    }

    private static func pem(_ item: AnyObject) throws -> String {
      var data: CFData?
      try check(SecItemExport(item, .formatPEMSequence, .pemArmour, nil, &data))
      return String(decoding: data! as Data, as: UTF8.self)
    }

    private static func check(_ status: OSStatus) throws {
      if status != errSecSuccess { throw Refusal(status: status) }
    }
  }
#else
  enum Keychain {
    static let isThere = false

    static func credentials(identity: String, authority: String) throws -> Credentials {
      throw ChaosError(code: .unimplemented, reason: "NO_KEYCHAIN", message: "no Keychain here")
    }
  }
#endif
