// A server and a client for tests of what a fault touches.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "netns/traffic.h"

namespace faultline::netns_test {

class FilterTest : public DriverTest {
 protected:
  static constexpr uint16_t kPort = 7001;
  // Long enough for an answer on a slow machine, short enough to wait for a few that never come.
  static constexpr std::chrono::milliseconds kLost{500};

  void SetUp() override {
    DriverTest::SetUp();
    if (network_) server_ = std::make_unique<EchoServer>(*network_, kPort);
  }

  bool Answers(Protocol protocol, const std::string& address = Network::kServer4,
               uint16_t port = kPort) {
    Client client(*network_, protocol, address, port);
    return client.RoundTrip(kLost).has_value();
  }

  // Whether the server's namespace takes a new TCP connection of the client's.
  bool Connects(uint16_t port) const {
    return TryConnect(*network_, Network::kServer4, port, kLost) == 0;
  }

  // Whether one echo request of the client's is answered.
  bool Pings(const std::vector<std::string>& arguments) const {
    return PingsFrom(network_->client_netns(), arguments);
  }
  static bool PingsFrom(const std::string& netns, const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {"ip", "netns", "exec", netns, "ping",
                                        "-n", "-q",    "-c1",  "-W1"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    int exit_code = 0;
    RunAnyhow(command, &exit_code);
    return exit_code == 0;
  }

  static void Ip(const std::string& netns, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"ip", "-n", netns});
    RunProgram(arguments);
  }

  // All that comes in is lost, as far as the filter says.
  static ::network::v1::NetworkLoss LoseIn() { return Loss(100, ::network::v1::DIRECTION_INGRESS); }

  std::unique_ptr<EchoServer> server_;
};

}  // namespace faultline::netns_test
