// False answers to HTTP/1 requests in plain text. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faults/network/answer.h"
#include "faults/network/http_spec.h"

namespace faultline::network {

// The beginning of a request; views into the bytes that it was read from.
struct HttpRequest {
  std::string_view method{};
  std::string_view path{};     // with its query
  std::string_view host{};     // of the request's target or its Host header, without the port
  std::string_view headers{};  // lines, as many as there are

  // Value of the header with that name (lower case); none when it is not there.
  std::optional<std::string_view> Header(std::string_view name) const;
};

// None for what does not begin with the whole line of an HTTP/1 request.
std::optional<HttpRequest> ReadRequest(std::string_view bytes);

// Which requests; what is empty is any.
struct HttpMatch {
  std::vector<std::string> methods{};
  std::vector<std::string> path_prefixes{};
  std::vector<std::string> hosts{};   // as of ParseNamePattern
  std::vector<HeaderTerm> headers{};  // all of them

  bool Means(const HttpRequest& request) const;
};

// What becomes of them.
struct HttpOutcome {
  enum class Kind { kStatus, kReset, kPass };
  Kind kind = Kind::kStatus;
  unsigned status = 0;  // of kStatus
  uint64_t delay_ns = 0;
};

class HttpAnswerer {
 public:
  HttpAnswerer(HttpMatch match, HttpOutcome outcome)
      : match_(std::move(match)), outcome_(outcome) {}

  struct Verdict {
    bool hit = false;  // the frame begins with such a request
    uint64_t delay_ns = 0;
    std::vector<Answer> answers{};  // instead of it; with none it goes on
  };
  // `frame` and `direction` as of Original::Read.
  Verdict Ask(std::span<const uint8_t> frame, unsigned direction) const;
  // Of each request that is hit.
  uint64_t delay_ns() const { return outcome_.delay_ns; }

 private:
  HttpMatch match_;
  HttpOutcome outcome_;
};

}  // namespace faultline::network
