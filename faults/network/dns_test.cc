#include "faults/network/dns.h"

#include <gtest/gtest.h>

#include <random>

#include "faults/network/datapath.h"
#include "faults/network/dns_name_spec.h"
#include "faults/network/test_frames.h"

namespace faultline::network {
namespace {

using Bytes = std::vector<uint8_t>;
using Kind = DnsReply::Kind;

constexpr uint16_t kTypeA = 1, kTypeMx = 15, kTypeAaaa = 28;

// A query as resolvers send it: id 0x1234, recursion desired, an EDNS record behind the question.
std::string Query(const std::string& name, uint16_t type = kTypeA) {
  std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01", 12);
  for (size_t from = 0; from < name.size();) {
    const size_t dot = std::min(name.find('.', from), name.size());
    query += static_cast<char>(dot - from);
    query += name.substr(from, dot - from);
    from = dot + 1;
  }
  query += std::string("\0\0", 2) + static_cast<char>(type) + std::string("\0\1", 2);
  return query + std::string("\0\0\x29\4\xd0\0\0\0\0\0\0", 11);
}

Bytes BytesOf(const std::string& text) { return Bytes(text.begin(), text.end()); }

bool Means(const std::string& pattern, const std::string& name) {
  const auto parsed = ParseNamePattern(pattern);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return MatchesName(*parsed, name);
}

TEST(NamePatterns, MeanANameThoseBelowItOrAll) {
  EXPECT_TRUE(Means("DB.Example.com.", "db.example.com"));
  EXPECT_FALSE(Means("db.example.com", "x.db.example.com"));
  EXPECT_TRUE(Means("*.Example.com", "db.example.com"));
  EXPECT_TRUE(Means("*.example.com", "a.b.example.com"));
  EXPECT_FALSE(Means("*.example.com", "example.com"));
  EXPECT_FALSE(Means("*.example.com", "badexample.com"));
  EXPECT_TRUE(Means("*", "anything"));
  EXPECT_TRUE(Means("*", ""));
}

TEST(NamePatterns, OthersAreRefused) {
  const std::string label(64, 'a'), name = std::string(63, 'a') + '.';
  for (const std::string& wrong :
       {std::string(""), std::string("."), std::string("a..b"), std::string("*a.b"),
        std::string("a.*.b"), std::string("a b"), label, name + name + name + name + "b"}) {
    EXPECT_FALSE(ParseNamePattern(wrong).ok()) << wrong;
  }
  EXPECT_TRUE(ParseNamePattern("_dmarc.ex-ample.com").ok());
}

TEST(DnsQueries, HaveOneQuestion) {
  const auto question = ReadQuery(BytesOf(Query("DB.Example.com", kTypeAaaa)));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->name, "db.example.com");
  EXPECT_EQ(question->type, kTypeAaaa);
  EXPECT_EQ(question->of_class, 1);
  EXPECT_EQ(question->end, 12u + 16 + 4);
  const Bytes query = BytesOf(Query("a.b"));
  const auto with = [&](size_t at, uint8_t value) {
    Bytes other = query;
    other[at] = value;
    return ReadQuery(other).has_value();
  };
  EXPECT_FALSE(with(2, 0x81)) << "an answer";
  EXPECT_FALSE(with(2, 0x28)) << "an update";
  EXPECT_FALSE(with(5, 2)) << "two questions";
  EXPECT_FALSE(with(7, 1)) << "has an answer";
  EXPECT_FALSE(with(12, 0xc0)) << "a compressed name";
  EXPECT_FALSE(with(13, '.')) << "a dot in a label";
  for (size_t size = 0; size < 12u + 5 + 4; ++size) {
    EXPECT_FALSE(ReadQuery(std::span(query).first(size))) << size;
  }
}

class DnsAnswers : public testing::TestWithParam<bool> {
 protected:
  static TestFrame Udp(const std::string& payload) {
    return {.ipv6 = GetParam(), .protocol = IPPROTO_UDP, .to_port = 53, .payload = payload};
  }
  static DnsAnswerer Answerer(const DnsReply& reply) {
    return DnsAnswerer({"*.example.com"}, reply);
  }
  // The message of the answer to a query over UDP; empty when it is not hit.
  static std::string Reply(const DnsReply& reply, const std::string& name, uint16_t type = kTypeA) {
    const auto frame = Udp(Query(name, type)).Build();
    const auto outcome = Answerer(reply).Ask(frame, FL_EGRESS);
    EXPECT_EQ(outcome.hit, !outcome.answers.empty());
    if (outcome.answers.empty()) return "";
    EXPECT_EQ(outcome.answers.size(), 1u);
    EXPECT_EQ(outcome.answers[0].direction, unsigned{FL_INGRESS});
    const SeenFrame seen = See(outcome.answers[0].frame);
    EXPECT_EQ(seen.from, GetParam() ? "fd00::2" : "10.0.0.2");
    EXPECT_EQ(seen.Field(0, 2), 53u);
    EXPECT_EQ(seen.Field(2, 2), TestFrame::kFromPort);
    EXPECT_EQ(seen.Field(4, 2), seen.transport.size());
    return std::string(seen.transport.begin() + 8, seen.transport.end());
  }
  static std::string Question(const std::string& query) {
    return query.substr(12, query.size() - 12 - 11);
  }
};

TEST_P(DnsAnswers, AnErrorRepeatsTheQuestionAndNothingElse) {
  for (const uint8_t error : {2, 3, 5}) {
    const std::string reply = Reply({.kind = Kind::kError, .error = error}, "Db.example.com");
    const std::string head("\x12\x34\x81", 3);
    EXPECT_EQ(reply, head + static_cast<char>(0x80 | error) + std::string("\0\1\0\0\0\0\0\0", 8) +
                         Question(Query("Db.example.com")));
  }
  EXPECT_EQ(Reply({.kind = Kind::kError, .error = 3}, "db.example.org"), "");
}

TEST_P(DnsAnswers, AddressesAreThoseOfTheFamilyAskedFor) {
  const Bytes v4 = {192, 0, 2, 7}, v6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  const DnsReply reply{.kind = Kind::kAddresses, .addresses = {v4, v6, v4}};
  const std::string record4("\xc0\x0c\0\1\0\1\0\0\0\0\0\4\xc0\0\2\7", 16);
  const std::string a = Reply(reply, "db.example.com");
  EXPECT_EQ(a.substr(2, 10), std::string("\x81\x80\0\1\0\2\0\0\0\0", 10));
  EXPECT_EQ(a.substr(12), Question(Query("db.example.com")) + record4 + record4);
  const std::string aaaa = Reply(reply, "db.example.com", kTypeAaaa);
  EXPECT_EQ(aaaa.substr(6, 2), std::string("\0\1", 2));
  EXPECT_EQ(aaaa.substr(aaaa.size() - 16), std::string(v6.begin(), v6.end()));
  EXPECT_EQ(Reply(reply, "db.example.com", kTypeMx), "") << "passes";
  const std::string none =
      Reply({.kind = Kind::kAddresses, .addresses = {v4}}, "db.example.com", kTypeAaaa);
  EXPECT_EQ(none.substr(2, 10), std::string("\x81\x80\0\1\0\0\0\0\0\0", 10));
}

TEST_P(DnsAnswers, ALostQueryIsHitAndHasNoAnswer) {
  const auto outcome =
      Answerer({.kind = Kind::kNothing}).Ask(Udp(Query("db.example.com")).Build(), FL_EGRESS);
  EXPECT_TRUE(outcome.hit);
  EXPECT_TRUE(outcome.answers.empty());
}

TEST_P(DnsAnswers, OverTcpTheAnswerEndsTheConnectionAndTheServerGetsAReset) {
  const std::string query = Query("db.example.com");
  const std::string length{'\0', static_cast<char>(query.size())};
  TestFrame frame = Udp(length + query);
  frame.protocol = IPPROTO_TCP;
  frame.tcp_flags = kTcpAck | kTcpPsh;
  const auto answerer = Answerer({.kind = Kind::kError, .error = 3});
  const auto bytes = frame.Build();
  const auto outcome = answerer.Ask(bytes, FL_EGRESS);
  ASSERT_EQ(outcome.answers.size(), 2u);
  const SeenFrame back = See(outcome.answers[0].frame), onward = See(outcome.answers[1].frame);
  EXPECT_EQ(outcome.answers[0].direction, unsigned{FL_INGRESS});
  EXPECT_EQ(back.Field(4, 4), TestFrame::kAcknowledged);
  EXPECT_EQ(back.Field(8, 4), TestFrame::kSequence + frame.payload.size());
  EXPECT_EQ(back.transport[13], kTcpAck | kTcpPsh | kTcpFin);
  const std::string reply(back.transport.begin() + (back.transport[12] >> 4) * 4,
                          back.transport.end());
  EXPECT_EQ(reply.size(), 2 + query.size() - 11);
  EXPECT_EQ(static_cast<size_t>(reply[1]), reply.size() - 2);
  EXPECT_EQ(reply.substr(2, 4), std::string("\x12\x34\x81\x83", 4));
  EXPECT_EQ(outcome.answers[1].direction, unsigned{FL_EGRESS});
  EXPECT_EQ(onward.Field(4, 4), TestFrame::kSequence);
  EXPECT_EQ(onward.transport[13], kTcpRst | kTcpAck);
  // A piece of a query, and two of them.
  for (const std::string& other :
       {length + query.substr(0, 20), length + query + length + query, length, std::string()}) {
    frame.payload = other;
    EXPECT_FALSE(answerer.Ask(frame.Build(), FL_EGRESS).hit);
  }
}

TEST_P(DnsAnswers, NoBytesWhateverLeadTheReaderAstray) {
  std::mt19937 random(7);
  const auto answerer = DnsAnswerer({"*"}, {.kind = Kind::kError, .error = 3});
  const std::string query = Query("db.example.com");
  for (int i = 0; i < 10'000; ++i) {
    std::string payload = query.substr(0, random() % (query.size() + 1));
    for (unsigned flips = random() % 4; flips > 0 && !payload.empty(); --flips) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    const auto frame = Udp(payload).Build();
    for (const auto& answer : answerer.Ask(frame, FL_EGRESS).answers) (void)See(answer.frame);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DnsAnswers, testing::Bool());

}  // namespace
}  // namespace faultline::network
