#include "rpc/peer_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "rpc/credentials.h"
#include "rpc/name_server_testing.h"
#include "tests/eventually.h"

namespace faultline::rpc {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kPatience{60};

// A port of 127.0.0.1 that refuses every connection: it is taken, and nobody listens, unless a
// server of gRPC's does so beside it.
class DeafPort {
 public:
  DeafPort() {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int shared = 1;
    EXPECT_EQ(setsockopt(socket_, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)), 0);
    socklen_t size = sizeof(own);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&own), size), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size), 0);
    number_ = ntohs(own.sin_port);
  }
  ~DeafPort() { close(socket_); }
  DeafPort(const DeafPort&) = delete;
  DeafPort& operator=(const DeafPort&) = delete;
  int number() const { return number_; }

 private:
  const int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int number_ = 0;
};

// A server at such a port, which serves nothing.
class Peer {
 public:
  explicit Peer(const DeafPort& port) {
    grpc::ServerBuilder builder;
    int bound = 0;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port.number()),
                             grpc::InsecureServerCredentials(), &bound);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    EXPECT_NE(server_, nullptr);
    EXPECT_EQ(bound, port.number());
  }
  ~Peer() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

 private:
  grpc::CallbackGenericService service_;
  std::unique_ptr<grpc::Server> server_;
};

class PeerChannelTest : public testing::Test {
 protected:
  static grpc::ChannelArguments Arguments() {
    grpc::ChannelArguments arguments;
    SetReconnect(50, 500, &arguments);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return arguments;
  }
  PeerChannel Make() const {
    return {names_.Address(port_.number()), grpc::InsecureChannelCredentials(), Arguments()};
  }
  // Lets it try meanwhile.
  static bool Holds(const std::shared_ptr<grpc::Channel>& channel, std::chrono::nanoseconds within,
                    const std::function<bool()>& condition) {
    return HoldsWithin(within, milliseconds(1), [&] {
      EXPECT_FALSE(channel->WaitForConnected(std::chrono::system_clock::now() + milliseconds(20)));
      return condition();
    });
  }
  // As whoever waits for it does.
  static bool Connects(PeerChannel& channel) {
    return HoldsWithin(kPatience, milliseconds(1), [&] {
      const auto soon = std::chrono::system_clock::now() + milliseconds(50);
      if (channel.WaitForConnected(soon)) return true;
      channel.Renew();
      return false;
    });
  }

  DeafPort port_;
  NameServer names_{"peer.test"};
};

// Three times in a minute by what gRPC does by itself.
TEST_F(PeerChannelTest, ANameThatLeadsToNobodyIsLookedUpAgainSoon) {
  names_.Say(NameServer::Says::kLoopback);
  const auto channel = grpc::CreateCustomChannel(names_.Address(port_.number()),
                                                 grpc::InsecureChannelCredentials(), Arguments());
  EXPECT_TRUE(Holds(channel, kPatience, [&] { return names_.asked() >= 5; })) << names_.asked();
}

TEST_F(PeerChannelTest, IsMadeAnewAndLooksTheNameUpOnceThatIsMissing) {
  PeerChannel channel = Make();
  const auto first = channel.channel();
  ASSERT_TRUE(Holds(first, kPatience, [&] { return channel.Renew(); }));
  EXPECT_NE(channel.channel(), first);
  EXPECT_FALSE(channel.Renew()) << "it has had no time";
  const int asked = names_.asked();
  EXPECT_TRUE(Holds(channel.channel(), kPatience, [&] { return names_.asked() > asked; }));
  EXPECT_TRUE(Holds(channel.channel(), kPatience, [&] { return channel.Renew(); })) << "again";
}

TEST_F(PeerChannelTest, FindsAPeerThatComesBackWhileItsNameIsMissing) {
  names_.Say(NameServer::Says::kLoopback);
  std::optional<Peer> peer(std::in_place, port_);
  PeerChannel channel = Make();
  ASSERT_TRUE(Connects(channel));
  const auto first = channel.channel();
  names_.Say(NameServer::Says::kNone);
  peer.reset();
  const auto renewed = [&] {
    channel.WaitForConnected(std::chrono::system_clock::now() + milliseconds(20));
    return channel.Renew();
  };
  ASSERT_TRUE(HoldsWithin(kPatience, milliseconds(1), renewed));
  EXPECT_NE(channel.channel(), first) << "the name may lead elsewhere";
  peer.emplace(port_);
  EXPECT_TRUE(Connects(channel));
  EXPECT_EQ(channel.channel(), first) << "no other has an address";
}

TEST_F(PeerChannelTest, IsLeftAloneAsLongAsItsFirstLookUpLasts) {
  names_.Say(NameServer::Says::kNothing);
  PeerChannel channel = Make();
  const auto first = channel.channel();
  EXPECT_FALSE(Holds(first, std::chrono::seconds(4), [&] { return channel.Renew(); }));
  EXPECT_GT(names_.asked(), 0);
  EXPECT_EQ(channel.channel(), first);
}

}  // namespace
}  // namespace faultline::rpc
