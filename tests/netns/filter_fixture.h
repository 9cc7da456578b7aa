// A server and a client for tests of what a fault touches.
#pragma once

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "netns/traffic.h"

namespace faultline::netns_test {

class FilterTest : public DriverTest {
 protected:
  static constexpr uint16_t kPort = 7001;
  // How long an answer that should not come is waited for. One that should come has kPatience.
  static constexpr std::chrono::milliseconds kLost{500};

  void SetUp() override {
    DriverTest::SetUp();
    if (network_) server_ = std::make_unique<EchoServer>(*network_, kPort);
  }

  // Whether a fresh request of the client's is answered, or is not.
  bool Answers(Protocol protocol, const std::string& address = Network::kServer4,
               uint16_t port = kPort) {
    Client client(*network_, protocol, address, port);
    return client.RoundTrip().has_value();
  }
  bool IsLost(Protocol protocol, const std::string& address = Network::kServer4,
              uint16_t port = kPort) {
    Client client(*network_, protocol, address, port);
    return !client.RoundTrip(kLost).has_value();
  }

  // Whether the server's namespace takes a new TCP connection of the client's, or says nothing.
  bool Connects(uint16_t port) const { return TryConnect(*network_, Network::kServer4, port) == 0; }
  bool IsCutOff(uint16_t port) const {
    return TryConnect(*network_, Network::kServer4, port, kLost) == ETIMEDOUT;
  }

  // Whether one echo request of the client's is answered, or is not.
  bool Pings(const std::vector<std::string>& arguments) const {
    return PingsFrom(network_->client_netns(), arguments);
  }
  bool LosesPing(const std::vector<std::string>& arguments) const {
    return LosesPingFrom(network_->client_netns(), arguments);
  }
  static bool PingsFrom(const std::string& netns, const std::vector<std::string>& arguments) {
    return Ping(netns, "-W20", arguments) == 0;
  }
  static bool LosesPingFrom(const std::string& netns, const std::vector<std::string>& arguments) {
    return Ping(netns, "-W1", arguments) == 1;
  }

  static void Ip(const std::string& netns, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"ip", "-n", netns});
    RunProgram(arguments);
  }

  // All that comes in is lost, as far as the filter says.
  static ::network::v1::NetworkLoss LoseIn() { return Loss(100, ::network::v1::DIRECTION_INGRESS); }

  std::unique_ptr<EchoServer> server_;

 private:
  // ping's exit code: 1 without an answer.
  static int Ping(const std::string& netns, const std::string& patience,
                  const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {"ping", "-n", "-q", "-c1", patience};
    command.insert(command.end(), arguments.begin(), arguments.end());
    int exit_code = 0;
    RunAnyhow(Network::Inside(netns, command), &exit_code);
    return exit_code;
  }
};

}  // namespace faultline::netns_test
