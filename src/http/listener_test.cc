#include "http/listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

namespace faultline::http {
namespace {

// What the other end says until it closes.
std::string Exchange(const std::string& address, const std::string& bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  std::string answer;
  char buffer[4'096];
  for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

std::string Ask(const std::string& address, const std::string& method, const std::string& path) {
  return Exchange(address,
                  method + " " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
}

Routes Echo() {
  return {{"/echo", [](const Request& request, const Reply& reply) {
             reply({200, "text/plain", request.method + " " + request.query});
           }}};
}

std::unique_ptr<Listener> MustStart(Routes routes) {
  auto listener = Listener::Start({"127.0.0.1:0", {}}, std::move(routes));
  EXPECT_TRUE(listener.ok()) << listener.status();
  return *std::move(listener);
}

TEST(Listener, GivesAPathItsHandlersAnswer) {
  const auto listener = MustStart(Echo());
  const std::string answer = Ask(listener->address(), "GET", "/echo?a=b");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nGET a=b")) << answer;
}

TEST(Listener, AnswersHeadWithoutABody) {
  const auto listener = MustStart(Echo());
  const std::string answer = Ask(listener->address(), "HEAD", "/echo");
  EXPECT_NE(answer.find("Content-Length: 5\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST(Listener, AnswersSeveralRequestsOnOneConnection) {
  const auto listener = MustStart(Echo());
  const std::string answer =
      Exchange(listener->address(),
               "GET /echo?1 HTTP/1.1\r\nHost: a\r\n\r\n"
               "GET /echo?2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(answer.find("GET 1"), std::string::npos) << answer;
  EXPECT_NE(answer.find("GET 2"), std::string::npos) << answer;
}

TEST(Listener, SaysWhatThereIsInsteadOfAnUnknownPath) {
  const auto listener = MustStart(Echo());
  const std::string answer = Ask(listener->address(), "GET", "/nothing");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ")) << answer;
  EXPECT_NE(answer.find("/echo\n"), std::string::npos) << answer;
}

TEST(Listener, RefusesOtherMethodsAndWhatIsNoRequest) {
  const auto listener = MustStart(Echo());
  EXPECT_TRUE(Ask(listener->address(), "POST", "/echo").starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(Exchange(listener->address(), "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  const std::string long_path(Listener::kMaxHeaderBytes + 1, 'x');
  EXPECT_TRUE(Ask(listener->address(), "GET", "/" + long_path).starts_with("HTTP/1.1 431 "));
}

TEST(Listener, TakesAReplyFromAnotherThreadLater) {
  std::thread replier;
  const auto listener = MustStart({{"/later", [&](const Request&, const Reply& reply) {
                                      replier = std::thread([reply] {
                                        std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                        reply({200, "text/plain", "late"});
                                      });
                                    }}});
  EXPECT_TRUE(Ask(listener->address(), "GET", "/later").ends_with("late"));
  replier.join();
}

TEST(Listener, MakesABodyOnItsOwnThreadWhoeverReplies) {
  std::thread replier;
  const auto make = [](std::thread::id own) {
    return std::this_thread::get_id() == own ? "its own" : "another";
  };
  const auto listener =
      MustStart({{"/made", [&](const Request&, const Reply& reply) {
                    replier = std::thread([make, reply, own = std::this_thread::get_id()] {
                      Response response;
                      response.make_body = [=] { return make(own); };
                      reply(std::move(response));
                    });
                  }}});
  const std::string answer = Ask(listener->address(), "GET", "/made");
  replier.join();
  EXPECT_TRUE(answer.ends_with("\r\n\r\nits own")) << answer;
}

TEST(Listener, DropsAReplyThatComesAfterItsEnd) {
  std::promise<Reply> asked;
  Reply kept;
  std::thread client;
  {
    const auto listener = MustStart(
        {{"/never", [&](const Request&, const Reply& reply) { asked.set_value(reply); }}});
    client = std::thread([address = listener->address()] {
      EXPECT_EQ(Ask(address, "GET", "/never"), "");  // cut
    });
    kept = asked.get_future().get();
  }
  client.join();
  kept({200, "text/plain", "too late"});
}

TEST(Listener, WithoutTlsBindsLoopbackOnly) {
  const auto open = Listener::Start({"0.0.0.0:0", {}}, Echo());
  EXPECT_EQ(open.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(ToString(open.status().message()).find("0.0.0.0:0"), std::string::npos);
  for (const char* address : {"", "7402", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"}) {
    EXPECT_EQ(Listener::Start({address, {}}, Echo()).status().code(), StatusCode::kInvalidArgument)
        << address;
  }
}

TEST(Listener, SaysThatAPortIsTaken) {
  const auto first = MustStart(Echo());
  const auto second = Listener::Start({first->address(), {}}, Echo());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(ToString(second.status().message()).find(first->address()), std::string::npos);
}

// A CA and a certificate for 127.0.0.1, made by openssl.
class ListenerTls : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(directory_);
    const std::string script = fmt::format(
        "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null && openssl req -newkey ec -pkeyopt "
        "ec_paramgen_curve:P-256 -nodes -subj /CN=node -keyout node.key -out node.csr 2>/dev/null "
        "&& printf 'subjectAltName=IP:127.0.0.1' > ext && openssl x509 -req -in node.csr -CA "
        "ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out node.pem 2>/dev/null",
        directory_);
    ASSERT_EQ(std::system(script.c_str()), 0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What curl prints: the body, or nothing.
  std::string Curl(const std::string& arguments) const {
    const std::string out = directory_ + "/out";
    const std::string command =
        fmt::format("cd {} && curl -s --max-time 20 {} > {}", directory_, arguments, out);
    last_code_ = std::system(command.c_str());
    std::string text;
    if (FILE* file = std::fopen(out.c_str(), "r")) {
      char buffer[1'024];
      text.assign(buffer, std::fread(buffer, 1, sizeof buffer, file));
      std::fclose(file);
    }
    return text;
  }

  const std::string directory_ = testing::TempDir() + "/fl-http-tls-" + std::to_string(getpid());
  mutable int last_code_ = 0;
};

TEST_F(ListenerTls, AsksForACertificateOfTheSameCa) {
  const rpc::TlsFiles tls = {directory_ + "/ca.pem", directory_ + "/node.pem",
                             directory_ + "/node.key"};
  const auto listener = Listener::Start({"127.0.0.1:0", tls}, Echo());
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string url = "https://" + (*listener)->address() + "/echo?q";
  EXPECT_EQ(Curl("--cacert ca.pem --cert node.pem --key node.key " + url), "GET q");
  EXPECT_EQ(Curl("--cacert ca.pem " + url), "");
  EXPECT_NE(last_code_, 0);
}

}  // namespace
}  // namespace faultline::http
