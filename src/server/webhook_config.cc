#include "server/webhook_config.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <fstream>
#include <set>

namespace faultline::server {
namespace {

constexpr size_t kMaxNameBytes = 40;
constexpr size_t kMinSecretBytes = 16;
constexpr size_t kMaxSecretBytes = 1'024;
constexpr std::string_view kBase64Secret = "whsec_";
constexpr std::string_view kEvents = "start, stop, verdict, halt or lost_target";

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

StatusOr<std::string> ReadName(const YamlMap& yaml, std::set<std::string>* names) {
  FL_ASSIGN_OR_RETURN(std::string name, yaml.Text("name"));
  if (name.empty() || name.size() > kMaxNameBytes ||
      !std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return yaml.Refuse("name", name, "1 to 40 of a-z, 0-9, '-' and '_'");
  }
  if (!names->insert(name).second) return yaml.Refuse("name", name, "each name once");
  return name;
}

std::string FromBase64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  if (text.empty() || text.size() % 4 != 0) return "";
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return "";
  const auto padding = std::count(text.end() - 2, text.end(), '=');
  bytes.resize(static_cast<size_t>(size) - static_cast<size_t>(padding));
  return bytes;
}

// A line of text that is the key, or "whsec_" and the key in base64.
StatusOr<std::string> ReadSecret(const YamlMap& yaml) {
  FL_ASSIGN_OR_RETURN(const std::string path, yaml.Text("secret_file"));
  const auto refuse = [&](std::string_view allowed) {
    return yaml.Refuse("secret_file", path, std::string(allowed));
  };
  std::ifstream file(path, std::ios::binary);
  if (path.empty() || !file) return refuse("a file that can be read, with the webhook's secret");
  std::string text(kMaxSecretBytes * 2, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  std::string secret = text.substr(0, text.find_last_not_of(" \r\n") + 1);
  if (secret.starts_with(kBase64Secret)) {
    secret = FromBase64(std::string_view(secret).substr(kBase64Secret.size()));
    if (secret.empty()) return refuse("a file whose text behind whsec_ is base64");
  }
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes) {
    return refuse("a file with a secret of 16 to 1024 bytes");
  }
  return secret;
}

StatusOr<control::WebhookTypes> ReadEvents(const YamlMap& yaml) {
  FL_ASSIGN_OR_RETURN(const std::vector<std::string> words, yaml.TextList("events"));
  control::WebhookTypes events;
  for (const std::string& word : words) {
    const auto type = control::WebhookTypeOf(word);
    if (type == chaos::v1::WEBHOOK_EVENT_TYPE_UNSPECIFIED) {
      return yaml.Refuse("events", word, std::string(kEvents));
    }
    events.insert(type);
  }
  if (!words.empty()) return events;
  return control::WebhookTypes{
      chaos::v1::WEBHOOK_EVENT_TYPE_START, chaos::v1::WEBHOOK_EVENT_TYPE_STOP,
      chaos::v1::WEBHOOK_EVENT_TYPE_VERDICT, chaos::v1::WEBHOOK_EVENT_TYPE_HALT,
      chaos::v1::WEBHOOK_EVENT_TYPE_LOST_TARGET};
}

}  // namespace

StatusOr<std::vector<WebhookConfig>> ReadWebhooks(const YamlMap& yaml) {
  FL_ASSIGN_OR_RETURN(const std::vector<YamlMap> maps, yaml.MapList("webhooks"));
  if (maps.size() > kMaxWebhooks) {
    return yaml.Refuse("webhooks", fmt::format("{} webhooks", maps.size()),
                       fmt::format("at most {}", kMaxWebhooks));
  }
  std::vector<WebhookConfig> webhooks;
  std::set<std::string> names;
  for (const YamlMap& map : maps) {
    FL_RETURN_IF_ERROR(map.AllowOnly({"name", "url", "secret_file", "ca_file", "events"}));
    WebhookConfig& webhook = webhooks.emplace_back();
    FL_ASSIGN_OR_RETURN(webhook.name, ReadName(map, &names));
    FL_ASSIGN_OR_RETURN(const std::string url, map.Text("url"));
    const auto parsed = http::ParseUrl(url);
    if (!parsed.ok()) return map.Refuse("url", url, http::kUrlForm);
    webhook.url = *parsed;
    FL_ASSIGN_OR_RETURN(webhook.key, ReadSecret(map));
    FL_ASSIGN_OR_RETURN(webhook.ca_file, map.Text("ca_file"));
    FL_ASSIGN_OR_RETURN(webhook.events, ReadEvents(map));
  }
  return webhooks;
}

std::string SignPost(const std::string& key, std::string_view id, std::string_view timestamp,
                     std::string_view body) {
  const std::string text = fmt::format("{}.{}.{}", id, timestamp, body);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned digest_size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &digest_size);
  std::string base64(4 * ((digest_size + 2) / 3) + 1, '\0');  // and a NUL
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), digest,
                  static_cast<int>(digest_size));
  base64.pop_back();
  return "v1," + base64;
}

}  // namespace faultline::server
