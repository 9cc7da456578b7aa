// Strict reading of configuration files: yaml-cpp underneath; every error names the file, the line
// and the key; unknown keys, and keys that stand twice, are errors.
#pragma once

#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace YAML {
class Node;
}

namespace faultline {

class YamlMap {
 public:
  // Files are UTF-8 and at most this large.
  static constexpr size_t kMaxBytes = size_t{1} << 20;

  // NOT_FOUND when the file cannot be read; INVALID_ARGUMENT when it is not a YAML map. An empty
  // file is an empty map. JSON is YAML, too.
  static StatusOr<YamlMap> ReadFile(const std::string& path);
  // Errors call the stream `name`.
  static StatusOr<YamlMap> Read(std::istream& stream, const std::string& name);
  static StatusOr<YamlMap> Parse(const std::string& text, const std::string& name);
  ~YamlMap();
  YamlMap(const YamlMap&);
  YamlMap& operator=(const YamlMap&);

  // INVALID_ARGUMENT when a key of the map is not in `allowed`, or stands twice; the message lists
  // what is.
  Status AllowOnly(const std::vector<std::string>& allowed) const;

  bool Has(const std::string& key) const;
  // In the file's order.
  std::vector<std::string> Keys() const;
  // The line, from 1, on which the value under `key` begins; the map's own when there is none.
  int Line(const std::string& key) const;
  // The value as text / number; `fallback` when the key is absent.
  StatusOr<std::string> Text(const std::string& key, const std::string& fallback = "") const;
  StatusOr<bool> Flag(const std::string& key, bool fallback) const;
  StatusOr<int64_t> Integer(const std::string& key, int64_t fallback, int64_t min,
                            int64_t max) const;
  // "10s", "250ms", "5m" or a plain number of `default_unit` ("ms" or "s"); result in nanoseconds.
  StatusOr<uint64_t> DurationNs(const std::string& key, uint64_t fallback_ns,
                                const std::string& default_unit = "s") const;
  // A list, a single scalar, or absent (empty).
  StatusOr<std::vector<std::string>> TextList(const std::string& key) const;
  StatusOr<std::vector<YamlMap>> MapList(const std::string& key) const;
  // A map of scalars in the file's order, as (key, value); absent is empty.
  StatusOr<std::vector<std::pair<std::string, std::string>>> TextMap(const std::string& key) const;
  // The map under `key`; an empty map when absent.
  StatusOr<YamlMap> Map(const std::string& key) const;

  // INVALID_ARGUMENT about what the caller found wrong with `value`, which stands under `key`:
  // names file, line, key, value and what is allowed, as this class's own errors do.
  Status Refuse(const std::string& key, const std::string& value, const std::string& allowed) const;

 private:
  YamlMap(const YAML::Node& node, std::string name);
  Status Wrong(const YAML::Node& at, const std::string& key, const std::string& expected) const;

  std::unique_ptr<YAML::Node> node_;
  std::string name_;
};

}  // namespace faultline
