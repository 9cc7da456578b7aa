// For tests: a real HTTP server that takes posts, remembers them, and answers as it is told.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace faultline::http {

// Any thread.
class TestReceiver {
 public:
  struct Post {
    std::string target;
    std::map<std::string, std::string> headers;  // names in small letters
    std::string body;
    unsigned answer = 0;  // the status that it got; 0: none
  };

  // Listens on loopback; port 0: one that is free. With files it speaks TLS.
  explicit TestReceiver(uint16_t port = 0, const std::string& cert_file = "",
                        const std::string& key_file = "");
  // Closes the port.
  ~TestReceiver();

  uint16_t port() const;
  // What it answers from now on; 0: closes without an answer.
  void AnswerWith(unsigned status);
  std::vector<Post> posts() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::http
