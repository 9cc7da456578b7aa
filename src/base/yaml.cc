#include "base/yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/text.h"
#include "base/units.h"

namespace faultline {

YamlMap::YamlMap(const YAML::Node& node, std::string name)
    : node_(std::make_unique<YAML::Node>(node)), name_(std::move(name)) {}
YamlMap::~YamlMap() = default;
YamlMap::YamlMap(const YamlMap& other) : YamlMap(*other.node_, other.name_) {}
YamlMap& YamlMap::operator=(const YamlMap& other) {
  node_ = std::make_unique<YAML::Node>(*other.node_);
  name_ = other.name_;
  return *this;
}

StatusOr<YamlMap> YamlMap::ReadFile(const std::string& path) {
  const auto unreadable = [&](int error) {
    return MakeError(StatusCode::kNotFound, "{}: cannot be read: {}", path, ErrnoText(error));
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return unreadable(EISDIR);
  std::ifstream file(path);
  if (!file) return unreadable(errno);
  return Read(file, path);
}

StatusOr<YamlMap> YamlMap::Read(std::istream& stream, const std::string& name) {
  std::string text(kMaxBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  if (stream.bad()) return MakeError(StatusCode::kNotFound, "{}: cannot be read", name);
  if (text.size() > kMaxBytes) {
    return MakeError(StatusCode::kInvalidArgument, "{}: larger than {} bytes", name, kMaxBytes);
  }
  return Parse(text, name);
}

StatusOr<YamlMap> YamlMap::Parse(const std::string& text, const std::string& name) {
  if (!IsUtf8(text) || text.find('\0') != std::string::npos) {
    return MakeError(StatusCode::kInvalidArgument, "{}: not a text in UTF-8", name);
  }
  try {
    YAML::Node node = YAML::Load(text);
    if (node.IsNull()) node = YAML::Node(YAML::NodeType::Map);
    if (!node.IsMap()) {
      return MakeError(StatusCode::kInvalidArgument, "{}: expected 'key: value' lines", name);
    }
    return YamlMap(node, name);
  } catch (const YAML::Exception& error) {
    return MakeError(StatusCode::kInvalidArgument, "{}:{}: {}", name, error.mark.line + 1,
                     error.msg);
  }
}

Status YamlMap::Wrong(const YAML::Node& at, const std::string& key,
                      const std::string& expected) const {
  const std::string value = at.IsScalar() ? at.Scalar() : (at.IsMap() ? "a map" : "a list");
  return MakeError(StatusCode::kInvalidArgument, "{}:{}: {}: '{}' is not allowed: {}", name_,
                   at.Mark().line + 1, key, value, expected);
}

Status YamlMap::AllowOnly(const std::vector<std::string>& allowed) const {
  std::set<std::string> seen;
  for (const auto& entry : *node_) {
    const std::string key = entry.first.Scalar();
    const int line = entry.first.Mark().line + 1;
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      return MakeError(StatusCode::kInvalidArgument, "{}:{}: unknown key '{}': allowed are {}",
                       name_, line, key, fmt::join(allowed, ", "));
    }
    if (!seen.insert(key).second) {
      return MakeError(StatusCode::kInvalidArgument, "{}:{}: key '{}' stands twice", name_, line,
                       key);
    }
  }
  return absl::OkStatus();
}

bool YamlMap::Has(const std::string& key) const { return static_cast<bool>((*node_)[key]); }

std::vector<std::string> YamlMap::Keys() const {
  std::vector<std::string> keys;
  for (const auto& entry : *node_) keys.push_back(entry.first.Scalar());
  return keys;
}

int YamlMap::Line(const std::string& key) const {
  const YAML::Node at = (*node_)[key];
  return std::max((at ? at : *node_).Mark().line, 0) + 1;  // what is empty stands nowhere
}

StatusOr<std::string> YamlMap::Text(const std::string& key, const std::string& fallback) const {
  const YAML::Node value = (*node_)[key];
  if (!value || value.IsNull()) return fallback;
  if (!value.IsScalar()) return Wrong(value, key, "a text");
  return value.Scalar();
}

StatusOr<bool> YamlMap::Flag(const std::string& key, bool fallback) const {
  const YAML::Node value = (*node_)[key];
  if (!value || value.IsNull()) return fallback;
  bool result = false;
  if (!value.IsScalar() || !YAML::convert<bool>::decode(value, result)) {
    return Wrong(value, key, "true or false");
  }
  return result;
}

StatusOr<int64_t> YamlMap::Integer(const std::string& key, int64_t fallback, int64_t min,
                                   int64_t max) const {
  const YAML::Node value = (*node_)[key];
  if (!value || value.IsNull()) return fallback;
  int64_t result = 0;
  if (!value.IsScalar() || !YAML::convert<int64_t>::decode(value, result) || result < min ||
      result > max) {
    return Wrong(value, key, fmt::format("a whole number from {} to {}", min, max));
  }
  return result;
}

StatusOr<uint64_t> YamlMap::DurationNs(const std::string& key, uint64_t fallback_ns,
                                       const std::string& default_unit) const {
  const YAML::Node value = (*node_)[key];
  if (!value || value.IsNull()) return fallback_ns;
  const std::string expected = "a duration such as 250ms, 10s or 5m";
  if (!value.IsScalar()) return Wrong(value, key, expected);
  const auto amount = ParseQuantity(value.Scalar(), default_unit);
  const auto scale = ParseQuantity("1" + default_unit, "ns");
  constexpr double kTooLongNs = 9e18;
  if (!amount.ok() || *amount < 0 || *amount * *scale > kTooLongNs) {
    return Wrong(value, key, expected);
  }
  return static_cast<uint64_t>(std::llround(*amount * *scale));
}

StatusOr<std::vector<std::string>> YamlMap::TextList(const std::string& key) const {
  const YAML::Node value = (*node_)[key];
  std::vector<std::string> result;
  if (!value || value.IsNull()) return result;
  if (value.IsScalar()) return std::vector<std::string>{value.Scalar()};
  if (!value.IsSequence()) return Wrong(value, key, "a list of texts");
  for (const auto& item : value) {
    if (!item.IsScalar()) return Wrong(item, key, "a list of texts");
    result.push_back(item.Scalar());
  }
  return result;
}

StatusOr<std::vector<YamlMap>> YamlMap::MapList(const std::string& key) const {
  const YAML::Node value = (*node_)[key];
  std::vector<YamlMap> result;
  if (!value || value.IsNull()) return result;
  if (!value.IsSequence()) return Wrong(value, key, "a list");
  for (const auto& item : value) {
    if (!item.IsMap()) return Wrong(item, key, "a list of maps");
    result.push_back(YamlMap(item, name_));
  }
  return result;
}

StatusOr<std::vector<std::pair<std::string, std::string>>> YamlMap::TextMap(
    const std::string& key) const {
  const YAML::Node value = (*node_)[key];
  std::vector<std::pair<std::string, std::string>> result;
  if (!value || value.IsNull()) return result;
  if (!value.IsMap()) return Wrong(value, key, "'key: value' pairs");
  for (const auto& entry : value) {
    if (!entry.second.IsScalar()) return Wrong(entry.second, key, "'key: value' pairs");
    result.emplace_back(entry.first.Scalar(), entry.second.Scalar());
  }
  return result;
}

StatusOr<YamlMap> YamlMap::Map(const std::string& key) const {
  const YAML::Node value = (*node_)[key];
  if (!value || value.IsNull()) return YamlMap(YAML::Node(YAML::NodeType::Map), name_);
  if (!value.IsMap()) return Wrong(value, key, "'key: value' pairs");
  return YamlMap(value, name_);
}

Status YamlMap::Refuse(const std::string& key, const std::string& value,
                       const std::string& allowed) const {
  return MakeError(StatusCode::kInvalidArgument, "{}:{}: {}: '{}' is not allowed: {}", name_,
                   Line(key), key, value, allowed);
}

}  // namespace faultline
