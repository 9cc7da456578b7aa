#include "faults/network/http.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <cctype>

#include "faults/network/dns_name_spec.h"
#include "faults/network/reset.h"

namespace faultline::network {
namespace {

using Text = std::string_view;

std::string Lower(Text text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

Text Trimmed(Text text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// The line at the beginning of `rest`, without its end, which may be missing; takes it off.
Text TakeLine(Text* rest) {
  const size_t end = rest->find('\n');
  Text line = rest->substr(0, end);
  *rest = end == Text::npos ? Text() : rest->substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Takes the authority off a target in absolute form ("http://host:port/path").
Text TakeAuthority(Text* target) {
  constexpr Text kScheme = "http://";
  if (!target->starts_with(kScheme)) return {};
  Text authority = target->substr(kScheme.size());
  const size_t path = authority.find('/');
  *target = path == Text::npos ? Text("/") : authority.substr(path);
  return authority.substr(0, path);
}

Text WithoutPort(Text host) {
  const size_t colon = host.rfind(':');
  // The colons of an IPv6 address stand in brackets.
  return colon == Text::npos || host.find(']', colon) != Text::npos ? host : host.substr(0, colon);
}

// What Original keeps as bytes.
Text AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string AnswerText(unsigned status) {
  constexpr unsigned kNoContent = 204, kNotModified = 304;
  const auto reason =
      boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
  const bool may_have_body = status != kNoContent && status != kNotModified;
  return fmt::format("HTTP/1.1 {} {}\r\n{}Connection: close\r\n\r\n", status,
                     Text(reason.data(), reason.size()),
                     may_have_body ? "Content-Length: 0\r\n" : "");
}

}  // namespace

std::optional<Text> HttpRequest::Header(Text name) const {
  Text rest = headers;
  while (!rest.empty()) {
    const Text line = TakeLine(&rest);
    const size_t colon = line.find(':');
    if (colon == Text::npos) break;  // the empty line, or one that is not there whole
    if (Lower(line.substr(0, colon)) == name) return Trimmed(line.substr(colon + 1));
  }
  return std::nullopt;
}

std::optional<HttpRequest> ReadRequest(Text bytes) {
  constexpr Text kVersion = "HTTP/1.";
  if (bytes.find('\n') == Text::npos) return std::nullopt;
  HttpRequest request{.headers = bytes};
  const Text line = TakeLine(&request.headers);
  const size_t first = line.find(' ');
  const size_t second = line.find(' ', first + 1);
  if (first == Text::npos || second == Text::npos) return std::nullopt;
  request.method = line.substr(0, first);
  request.path = line.substr(first + 1, second - first - 1);
  const Text version = line.substr(second + 1);
  if (!IsToken(request.method) || request.path.empty() || version.size() != kVersion.size() + 1 ||
      !version.starts_with(kVersion)) {
    return std::nullopt;
  }
  request.host = TakeAuthority(&request.path);
  if (request.host.empty()) request.host = request.Header("host").value_or(Text());
  request.host = WithoutPort(request.host);
  return request;
}

bool HttpMatch::Means(const HttpRequest& request) const {
  const auto any = [](const std::vector<std::string>& wanted, const auto& is) {
    return wanted.empty() || std::ranges::any_of(wanted, is);
  };
  return any(methods, [&](Text method) { return method == request.method; }) &&
         any(path_prefixes, [&](Text prefix) { return request.path.starts_with(prefix); }) &&
         any(hosts, [&, host = Lower(request.host)](
                        Text pattern) { return MatchesName(pattern, host); }) &&
         std::ranges::all_of(headers, [&](const HeaderTerm& term) {
           const auto value = request.Header(term.name);
           return value && (!term.value || *value == *term.value);
         });
}

HttpAnswerer::Verdict HttpAnswerer::Ask(std::span<const uint8_t> frame, unsigned direction) const {
  const auto original = Original::Read(frame, direction);
  if (!original || original->transport().protocol != IPPROTO_TCP) return {};
  const auto request = ReadRequest(AsText(original->payload()));
  if (!request || !match_.Means(*request)) return {};
  Verdict verdict{.hit = true, .delay_ns = outcome_.delay_ns};
  if (outcome_.kind == HttpOutcome::Kind::kReset) verdict.answers = ResetsFor(frame, direction);
  if (outcome_.kind == HttpOutcome::Kind::kStatus) {
    const std::string text = AnswerText(outcome_.status);
    verdict.answers = LastWords(*original, {text.begin(), text.end()});
  }
  return verdict;
}

}  // namespace faultline::network
