// Webhooks as a controller is told of them, and how their posts are signed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/yaml.h"
#include "control/webhook_events.h"
#include "http/url.h"

namespace faultline::server {

// At most so many webhooks.
inline constexpr size_t kMaxWebhooks = 16;

struct WebhookConfig {
  // What its cursor is known by in the whole cluster, and what metrics call it.
  std::string name;
  http::Url url;
  std::string key;      // of the signature
  std::string ca_file;  // empty: those that the system trusts
  control::WebhookTypes events;
};

// The list under `webhooks`: maps of name, url, secret_file, ca_file and events (all when absent).
// Reads the secret files. Errors name file, line and key.
StatusOr<std::vector<WebhookConfig>> ReadWebhooks(const YamlMap& yaml);

// The value of the header webhook-signature: "v1," and base64 of the HMAC-SHA256 of
// "<id>.<timestamp>.<body>".
std::string SignPost(const std::string& key, std::string_view id, std::string_view timestamp,
                     std::string_view body);

}  // namespace faultline::server
