// Sockets of tests: addresses as text, IPv4 or IPv6, and reading that comes to an end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

struct sockaddr_in6;

namespace faultline::netns_test {

// How long is waited for what has to come: other programs may have the processors for a while.
inline constexpr std::chrono::seconds kPatience{20};

// Asks again and again whether it holds; false when it does not within kPatience.
bool Eventually(const std::function<bool()>& holds);

// For an IPv6 socket, which speaks IPv4 too.
sockaddr_in6 Address(const std::string& text, uint16_t port);

// Whether there is something to read within that time.
bool WaitReadable(int fd, std::chrono::milliseconds patience);

// What the socket's next read says within kPatience: 0 for data or the end, an errno, ETIMEDOUT for
// nothing.
int ErrorOf(int fd, std::chrono::milliseconds patience = kPatience);

// Bytes that have come, at least `bytes` of them unless for so long none comes.
std::string Receive(int fd, size_t bytes, std::chrono::milliseconds patience = kPatience);

}  // namespace faultline::netns_test
