#include "http/poster.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <mutex>
#include <string_view>

#include "http/test_receiver.h"

namespace {

constexpr std::string_view kSilent = "silent.example";

// The name servers of that name: whoever looks it up hangs until they answer, that they cannot say.
struct NameServers {
  std::mutex mutex;
  std::condition_variable changed;
  bool silent = true;
  int asked = 0;  // look-ups that have begun
  int hanging = 0;
};
NameServers servers;

int AskServers() {
  std::unique_lock lock(servers.mutex);
  ++servers.asked;
  ++servers.hanging;
  servers.changed.notify_all();
  servers.changed.wait(lock, [] { return !servers.silent; });
  --servers.hanging;
  servers.changed.notify_all();
  return EAI_AGAIN;
}

}  // namespace

// Instead of the C library's, which gets all other names.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  if (name != nullptr && name == kSilent) return AskServers();
  using LookUp = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto others = reinterpret_cast<LookUp>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return others(name, service, hints, found);
}

namespace faultline::http {
namespace {

StatusOr<unsigned> Send(Poster& poster, const std::string& url, const std::string& body,
                        const std::string& ca_file = "") {
  const auto parsed = ParseUrl(url);
  if (!parsed.ok()) return parsed.status();
  FL_ASSIGN_OR_RETURN(auto target, MakePostTarget(*parsed, ca_file));
  std::promise<StatusOr<unsigned>> answer;
  poster.Send(std::move(target), {{"webhook-id", "7"}}, body,
              [&](StatusOr<unsigned> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

TEST(Poster, PostsAndTellsTheStatus) {
  TestReceiver receiver;
  Poster poster;
  const std::string url = fmt::format("http://127.0.0.1:{}/hook?a=b", receiver.port());
  const std::string large(300'000, 'x');
  EXPECT_EQ(*Send(poster, url, large), 200u);
  receiver.AnswerWith(503);
  EXPECT_EQ(*Send(poster, url, "{}"), 503u);
  const auto posts = receiver.posts();
  ASSERT_EQ(posts.size(), 2u);
  EXPECT_EQ(posts[0].target, "/hook?a=b");
  EXPECT_EQ(posts[0].body, large);
  EXPECT_EQ(posts[0].headers.at("webhook-id"), "7");
  EXPECT_EQ(posts[0].headers.at("content-type"), "application/json");
  EXPECT_EQ(posts[0].headers.at("host"), fmt::format("127.0.0.1:{}", receiver.port()));
}

TEST(Poster, DoesNotFollowARedirect) {
  TestReceiver receiver;
  receiver.AnswerWith(307);
  Poster poster;
  EXPECT_EQ(*Send(poster, fmt::format("http://127.0.0.1:{}/", receiver.port()), "{}"), 307u);
  EXPECT_EQ(receiver.posts().size(), 1u);
}

TEST(Poster, SaysWhyThereIsNoAnswer) {
  using boost::asio::ip::tcp;
  Poster poster;
  TestReceiver receiver;
  receiver.AnswerWith(0);
  const auto cut = Send(poster, fmt::format("http://127.0.0.1:{}/", receiver.port()), "{}");
  EXPECT_EQ(cut.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(receiver.posts().size(), 1u);
  // Has its port, so that nobody else gets it, and does not listen.
  boost::asio::io_context io;
  tcp::acceptor deaf(io);
  deaf.open(tcp::v4());
  deaf.bind({boost::asio::ip::address_v4::loopback(), 0});
  const auto refused =
      Send(poster, fmt::format("http://127.0.0.1:{}/", deaf.local_endpoint().port()), "{}");
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(ToString(refused.status().message()).find("connecting: Connection refused"),
            std::string::npos)
      << refused.status();
}

TEST(Poster, EndsWhileAReceiverTakesItsTime) {
  // Accepts nothing: the kernel takes the connection, and nobody answers.
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor silent(io, {boost::asio::ip::address_v4::loopback(), 0});
  std::atomic<bool> called{false};
  {
    Poster poster;
    const auto url = ParseUrl(fmt::format("http://127.0.0.1:{}/", silent.local_endpoint().port()));
    poster.Send(*MakePostTarget(*url, ""), {}, "{}", [&](const auto&) { called = true; });
  }
  EXPECT_FALSE(called);
}

// With a poster and a receiver elsewhere, and a name whose servers are silent.
class PosterSilent : public ::testing::Test {
 protected:
  using Answer = std::promise<StatusOr<unsigned>>;

  void SetUp() override {
    const std::lock_guard lock(servers.mutex);
    servers.silent = true;
    servers.asked = 0;
  }
  // No look-up of one test goes on in the next.
  void TearDown() override {
    AnswerAll();
    std::unique_lock lock(servers.mutex);
    servers.changed.wait(lock, [] { return servers.hanging == 0; });
  }

  static void AnswerAll() {
    const std::lock_guard lock(servers.mutex);
    servers.silent = false;
    servers.changed.notify_all();
  }
  static int Asked() {
    const std::lock_guard lock(servers.mutex);
    return servers.asked;
  }
  static void AwaitHanging() {
    std::unique_lock lock(servers.mutex);
    servers.changed.wait(lock, [] { return servers.hanging > 0; });
  }
  void Post(Answer* answer) {
    poster->Send(target, {}, "{}",
                 [answer](StatusOr<unsigned> result) { answer->set_value(std::move(result)); });
  }
  // From the receiver elsewhere, whose name is looked up, too.
  StatusOr<unsigned> PostElsewhere() {
    return Send(*poster, fmt::format("http://localhost:{}/", receiver.port()), "{}");
  }

  TestReceiver receiver;
  const std::shared_ptr<const PostTarget> target =
      *MakePostTarget(*ParseUrl(fmt::format("https://{}/", kSilent)), "");
  Answer first, second, third;  // outlive the poster
  std::unique_ptr<Poster> poster = std::make_unique<Poster>();
};

TEST_F(PosterSilent, ANameThatHangsHoldsUpNoPostElsewhere) {
  Post(&first);
  AwaitHanging();
  const auto elsewhere = PostElsewhere();
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.status();
  EXPECT_EQ(*elsewhere, 200u);
}

TEST_F(PosterSilent, ANameIsLookedUpOnceAtATimeForAllWhoWaitForIt) {
  Post(&first);
  Post(&second);
  // Behind both of them on the poster's thread.
  ASSERT_TRUE(PostElsewhere().ok());
  AwaitHanging();
  EXPECT_EQ(Asked(), 1);
  AnswerAll();
  for (Answer* answer : {&first, &second}) {
    const auto result = answer->get_future().get();
    EXPECT_EQ(result.status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(ToString(result.status().message()).find("the host's name: "), 0u) << result.status();
  }
  Post(&third);
  EXPECT_EQ(third.get_future().get().status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Asked(), 2) << "what was found is not kept";
}

TEST_F(PosterSilent, EndsWhileANameHangs) {
  Post(&first);
  AwaitHanging();
  auto ended = std::async(std::launch::async, [&] { poster.reset(); });
  EXPECT_EQ(ended.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  AnswerAll();
  ended.wait();
}

class PosterTls : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/faultline-poster-XXXXXX";
    folder = mkdtemp(name);
    // Two CAs, and a certificate of the first for "localhost".
    const std::string script = fmt::format(
        "cd {} && for ca in a b; do openssl req -x509 -newkey ec -pkeyopt "
        "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca-$ca -keyout $ca.key -out $ca.pem "
        "2>/dev/null; done && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
        "/CN=receiver -keyout receiver.key -out receiver.csr 2>/dev/null && printf "
        "'subjectAltName=DNS:localhost' >ext && openssl x509 -req -in receiver.csr -CA a.pem "
        "-CAkey "
        "a.key -CAcreateserial -days 2 -extfile ext -out receiver.pem 2>/dev/null",
        folder);
    ASSERT_EQ(std::system(script.c_str()), 0);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string folder;
};

TEST_F(PosterTls, BelievesOnlyTheCaAndTheHostName) {
  TestReceiver receiver(0, folder + "/receiver.pem", folder + "/receiver.key");
  Poster poster;
  const std::string named = fmt::format("https://localhost:{}/", receiver.port());
  EXPECT_EQ(*Send(poster, named, "{}", folder + "/a.pem"), 200u);
  EXPECT_FALSE(Send(poster, named, "{}", folder + "/b.pem").ok());
  EXPECT_FALSE(Send(poster, named, "{}").ok()) << "the system does not know this CA";
  const std::string other = fmt::format("https://127.0.0.1:{}/", receiver.port());
  EXPECT_FALSE(Send(poster, other, "{}", folder + "/a.pem").ok()) << "it is not that host's";
  EXPECT_EQ(receiver.posts().size(), 1u);
}

TEST_F(PosterTls, RefusesWhatIsNoCa) {
  const auto target = MakePostTarget(*ParseUrl("https://localhost/"), folder + "/nothing.pem");
  EXPECT_EQ(target.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(ToString(target.status().message()).find("ca_file: "), std::string::npos);
}

}  // namespace
}  // namespace faultline::http
