// False answers to DNS queries. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "faults/network/answer.h"

namespace faultline::network {

// What queries get.
struct DnsReply {
  enum class Kind { kError, kNothing, kAddresses };
  Kind kind = Kind::kError;
  uint8_t error = 0;  // RCODE, of kError
  // Of kAddresses, in network order: 4 or 16 bytes.
  std::vector<std::vector<uint8_t>> addresses{};
};

// The one question of a query.
struct DnsQuestion {
  std::string name{};  // lower case, no dot at the end; empty: the root
  uint16_t type = 0;
  uint16_t of_class = 0;
  size_t end = 0;  // behind it, in the message
};

// None for what is no standard query with one question.
std::optional<DnsQuestion> ReadQuery(std::span<const uint8_t> message);

class DnsAnswerer {
 public:
  // Of queries for names that one of the patterns (ParseNamePattern) means.
  DnsAnswerer(std::vector<std::string> patterns, DnsReply reply)
      : patterns_(std::move(patterns)), reply_(std::move(reply)) {}

  struct Outcome {
    bool hit = false;               // the frame is such a query, and goes no further
    std::vector<Answer> answers{};  // with none it is lost
  };
  // A query is a UDP datagram, or a TCP segment that holds it and nothing else. Over TCP the
  // connection ends with the answer: the server, which never sees the query, gets a reset.
  Outcome Ask(std::span<const uint8_t> frame, unsigned direction) const;

 private:
  bool Concerns(const DnsQuestion& question) const;
  std::vector<uint8_t> ReplyTo(std::span<const uint8_t> query, const DnsQuestion& question) const;

  std::vector<std::string> patterns_;
  DnsReply reply_;
};

}  // namespace faultline::network
