#include "faults/network/dns.h"

#include <netinet/in.h>

#include <algorithm>
#include <cctype>

#include "faults/network/dns_name_spec.h"

namespace faultline::network {
namespace {

using Bytes = std::vector<uint8_t>;
using View = std::span<const uint8_t>;

constexpr size_t kHeaderBytes = 12, kMaxLabelBytes = 63;
constexpr size_t kFlagsAt = 2, kQuestionsAt = 4, kAnswersAt = 6;
constexpr unsigned kIsAnswer = 0x8000, kOpcode = 0x7800, kRecursionAvailable = 0x0080;
constexpr unsigned kKeptFlags = 0x0110;  // recursion desired, checking disabled
constexpr unsigned kTypeA = 1, kTypeAaaa = 28, kClassInternet = 1;
constexpr size_t kIpv4Bytes = 4, kIpv6Bytes = 16;
constexpr size_t kLengthBytes = 2;  // before a message on TCP

unsigned Word(View bytes, size_t at) { return bytes[at] << 8u | bytes[at + 1]; }

void Append16(Bytes* bytes, size_t value) {
  bytes->resize(bytes->size() + 2);
  Put16(bytes, bytes->size() - 2, value);
}

// Reads labels from `at` on. None when they do not end, are compressed, or have what no pattern can
// mean.
std::optional<std::string> ReadName(View message, size_t* at) {
  std::string name;
  while (*at < message.size()) {
    const size_t bytes = message[(*at)++];
    if (bytes == 0) return name;
    if (bytes > kMaxLabelBytes || *at + bytes > message.size()) return std::nullopt;
    if (!name.empty()) name += '.';
    for (const uint8_t c : message.subspan(*at, bytes)) {
      if (c == '.') return std::nullopt;
      name += static_cast<char>(std::tolower(c));
    }
    *at += bytes;
  }
  return std::nullopt;
}

// A record that refers to the question's name. It is not to be remembered: its time to live is 0.
void AppendRecord(Bytes* reply, unsigned type, const Bytes& address) {
  constexpr size_t kNameOfQuestion = 0xc000 | kHeaderBytes;
  Append16(reply, kNameOfQuestion);
  Append16(reply, type);
  Append16(reply, kClassInternet);
  Append16(reply, 0);
  Append16(reply, 0);
  Append16(reply, address.size());
  reply->insert(reply->end(), address.begin(), address.end());
}

Answer OverUdp(const Original& original, const Bytes& reply) {
  constexpr size_t kUdpBytes = 8, kChecksumAt = 6;
  Bytes datagram(kUdpBytes);
  Put16(&datagram, 0, original.Field16(2));
  Put16(&datagram, 2, original.Field16(0));
  Put16(&datagram, 4, kUdpBytes + reply.size());
  datagram.insert(datagram.end(), reply.begin(), reply.end());
  return original.Carry(Way::kBack, IPPROTO_UDP, std::move(datagram), kChecksumAt);
}

std::vector<Answer> OverTcp(const Original& original, const Bytes& reply) {
  Bytes message;
  Append16(&message, reply.size());
  message.insert(message.end(), reply.begin(), reply.end());
  return LastWords(original, std::move(message));
}

// The DNS message in a packet, if it is one and nothing else.
std::optional<View> MessageIn(const Original& original) {
  const View payload = original.payload();
  if (original.transport().protocol == IPPROTO_UDP) return payload;
  if (original.transport().protocol != IPPROTO_TCP || payload.size() <= kLengthBytes ||
      Word(payload, 0) != payload.size() - kLengthBytes) {
    return std::nullopt;
  }
  return payload.subspan(kLengthBytes);
}

}  // namespace

std::optional<DnsQuestion> ReadQuery(View message) {
  if (message.size() < kHeaderBytes || (Word(message, kFlagsAt) & (kIsAnswer | kOpcode)) != 0 ||
      Word(message, kQuestionsAt) != 1 || Word(message, kAnswersAt) != 0) {
    return std::nullopt;
  }
  DnsQuestion question{.end = kHeaderBytes};
  auto name = ReadName(message, &question.end);
  if (!name || question.end + 4 > message.size()) return std::nullopt;
  question.name = std::move(*name);
  question.type = static_cast<uint16_t>(Word(message, question.end));
  question.of_class = static_cast<uint16_t>(Word(message, question.end + 2));
  question.end += 4;
  return question;
}

bool DnsAnswerer::Concerns(const DnsQuestion& question) const {
  const bool asks_address = question.of_class == kClassInternet &&
                            (question.type == kTypeA || question.type == kTypeAaaa);
  if (reply_.kind == DnsReply::Kind::kAddresses && !asks_address) return false;
  return std::ranges::any_of(
      patterns_, [&](const auto& pattern) { return MatchesName(pattern, question.name); });
}

Bytes DnsAnswerer::ReplyTo(View query, const DnsQuestion& question) const {
  Bytes reply(query.begin(), query.begin() + static_cast<long>(question.end));
  std::fill(reply.begin() + kAnswersAt, reply.begin() + kHeaderBytes, uint8_t{0});
  Put16(&reply, kFlagsAt,
        kIsAnswer | (Word(query, kFlagsAt) & kKeptFlags) | kRecursionAvailable | reply_.error);
  if (reply_.kind != DnsReply::Kind::kAddresses) return reply;
  const size_t bytes = question.type == kTypeA ? kIpv4Bytes : kIpv6Bytes;
  size_t count = 0;
  for (const Bytes& address : reply_.addresses) {
    if (address.size() != bytes) continue;
    AppendRecord(&reply, question.type, address);
    ++count;
  }
  Put16(&reply, kAnswersAt, count);
  return reply;
}

DnsAnswerer::Outcome DnsAnswerer::Ask(View frame, unsigned direction) const {
  const auto original = Original::Read(frame, direction);
  if (!original) return {};
  const auto query = MessageIn(*original);
  if (!query) return {};
  const auto question = ReadQuery(*query);
  if (!question || !Concerns(*question)) return {};
  Outcome outcome{.hit = true};
  if (reply_.kind == DnsReply::Kind::kNothing) return outcome;
  const Bytes reply = ReplyTo(*query, *question);
  if (original->transport().protocol == IPPROTO_UDP) {
    outcome.answers.push_back(OverUdp(*original, reply));
  } else {
    outcome.answers = OverTcp(*original, reply);
  }
  return outcome;
}

}  // namespace faultline::network
