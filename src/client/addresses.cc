#include "client/addresses.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/text.h"
#include "rpc/endpoint.h"

namespace faultline::client {
namespace {

constexpr std::string_view kAllowed =
    "host:port addresses separated by commas, such as 127.0.0.1:7400,[::1]:7401";

bool IsPort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), port);
  return error == std::errc() && end == text.end() && port > 0 && port <= 65535;
}

StatusOr<std::string> ParseOne(std::string_view text, std::string_view field) {
  if (text.starts_with("unix:") && text.size() > 5) return std::string(text);
  std::string_view host = text, port;
  const size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  const size_t bracket = text.find(']');
  if (bracketed && bracket == std::string_view::npos) return FieldError(field, text, kAllowed);
  if (colon != std::string_view::npos && (!bracketed || colon > bracket)) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (!IsPort(port)) return FieldError(field, text, kAllowed);
  }
  const bool bare_ipv6 = !bracketed && host.find(':') != std::string_view::npos;
  if (host.empty() || bare_ipv6 || host.find(' ') != std::string_view::npos) {
    return FieldError(field, text, kAllowed);
  }
  if (port.empty()) return fmt::format("{}:{}", host, rpc::kApiPort);
  return std::string(text);
}

}  // namespace

StatusOr<std::vector<std::string>> ParseAddresses(std::string_view text, std::string_view field) {
  std::vector<std::string> addresses;
  while (true) {
    const size_t comma = text.find(',');
    FL_ASSIGN_OR_RETURN(auto address, ParseOne(Trimmed(text.substr(0, comma)), field));
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(std::move(address));
    }
    if (comma == std::string_view::npos) return addresses;
    text.remove_prefix(comma + 1);
  }
}

StatusOr<std::vector<std::string>> ResolveAddresses(std::string_view given) {
  if (!given.empty()) return ParseAddresses(given);
  const char* variable = std::getenv(kAddressVariable);
  if (variable == nullptr || *variable == '\0') return ParseAddresses(kDefaultAddress);
  return ParseAddresses(variable, kAddressVariable);
}

}  // namespace faultline::client
