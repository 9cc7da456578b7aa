#include "http/url.h"

#include <algorithm>

#include "base/text.h"
#include "rpc/endpoint.h"

namespace faultline::http {
namespace {

bool IsGraphic(char c) { return c > ' ' && c < 0x7f; }

}  // namespace

StatusOr<Url> ParseUrl(const std::string& text) {
  const auto refuse = [&] { return FieldError("url", text, kUrlForm); };
  Url url;
  std::string_view rest = text;
  url.tls = rest.starts_with("https://");
  if (!url.tls && !rest.starts_with("http://")) return refuse();
  rest.remove_prefix(url.tls ? 8 : 7);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  rest.remove_prefix(authority.size());
  url.target = std::string(rest.starts_with('/') ? "" : "/") + std::string(rest);
  if (!std::all_of(text.begin(), text.end(), IsGraphic) ||
      text.find_first_of("@#\\") != std::string::npos) {
    return refuse();
  }
  // The last colon begins the port, unless it stands inside of brackets.
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  std::string_view host = authority.substr(0, has_port ? colon : authority.size());
  url.port = has_port ? std::string(authority.substr(colon + 1)) : url.tls ? "443" : "80";
  if (!ParseWholeNumber("url", url.port, 1, 65'535).ok()) return refuse();
  const std::string address = fmt::format("{}:{}", host, url.port);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return refuse();
  url.host = host;
  if (!url.tls && !rpc::RequireLoopback(address).ok()) return refuse();
  return url;
}

}  // namespace faultline::http
