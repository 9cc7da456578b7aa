#include "http/url.h"

#include <gtest/gtest.h>

namespace faultline::http {
namespace {

std::string Parsed(const std::string& text) {
  const auto url = ParseUrl(text);
  if (!url.ok()) return ToString(url.status().message());
  return fmt::format("{} {} {} {}", url->tls ? "tls" : "plain", url->host, url->port, url->target);
}

TEST(Url, IsTakenApart) {
  EXPECT_EQ(Parsed("https://hooks.example.org"), "tls hooks.example.org 443 /");
  EXPECT_EQ(Parsed("https://hooks.example.org:8443/a/b?c=d"),
            "tls hooks.example.org 8443 /a/b?c=d");
  EXPECT_EQ(Parsed("https://h.example?q"), "tls h.example 443 /?q");
  EXPECT_EQ(Parsed("https://[2001:db8::1]:9/x"), "tls 2001:db8::1 9 /x");
  EXPECT_EQ(Parsed("https://[2001:db8::1]/x"), "tls 2001:db8::1 443 /x");
  EXPECT_EQ(Parsed("http://127.0.0.1:8080/x"), "plain 127.0.0.1 8080 /x");
  EXPECT_EQ(Parsed("http://[::1]:8080"), "plain ::1 8080 /");
}

TEST(Url, IsRefusedWhenItSaysSomethingElse) {
  for (const char* text :
       {"", "hooks.example.org", "ftp://h/x", "https://", "https:///x", "https://user@h/x",
        "https://h/x#y", "https://h:0/", "https://h:65536/", "https://h:port/", "https://h /x",
        "https://h/\x01", "http://hooks.example.org/x", "http://10.0.0.1/x",
        "https://h/\xc3\xa9"}) {
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
  }
  EXPECT_EQ(Parsed("http://10.0.0.1/x"),
            "url: 'http://10.0.0.1/x' is not allowed: https://host[:port][/path], or http:// to "
            "this host's loopback, without a user and a fragment");
}

}  // namespace
}  // namespace faultline::http
