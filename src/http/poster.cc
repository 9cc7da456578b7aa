#include "http/poster.h"

#include <pthread.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <mutex>
#include <system_error>
#include <thread>

namespace faultline::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

// Looks up a host's name on a thread of its own, which nobody waits for: getaddrinfo cannot be cut,
// and while name servers are silent it takes half a minute or more. One look-up at a time: who asks
// meanwhile is told what it finds.
class NameLookup : public std::enable_shared_from_this<NameLookup> {
 public:
  using Found = tcp::resolver::results_type;
  // Called once, on the look-up's thread or on the caller's.
  using Done = std::function<void(error_code, const Found&)>;

  NameLookup(std::string host, std::string port) : host_(std::move(host)), port_(std::move(port)) {}

  // Any thread.
  void Start(Done done) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(done));
      if (waiting_.size() > 1) return;
    }
    try {
      std::thread([self = shared_from_this()] { self->Run(); }).detach();
    } catch (const std::system_error& refused) {
      Tell({refused.code().value(), boost::system::generic_category()}, {});
    }
  }

 private:
  void Run() {
    pthread_setname_np(pthread_self(), "fl-name");
    asio::io_context io;  // only has the resolver; nothing runs on it
    error_code error;
    const Found found = tcp::resolver(io).resolve(host_, port_, error);
    Tell(error, found);
  }

  void Tell(error_code error, const Found& found) {
    std::vector<Done> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
    }
    for (const Done& done : waiting) done(error, found);
  }

  const std::string host_, port_;
  std::mutex mutex_;
  std::vector<Done> waiting_;  // empty: no look-up is under way
};

// A poster's thread, for who may outlive the poster.
class PosterThread {
 public:
  explicit PosterThread(asio::io_context* io) : io_(io) {}
  // Runs `task` there; never, once the poster has ended.
  template <typename Task>
  void Post(Task task) {
    const std::lock_guard lock(mutex_);
    if (io_ != nullptr) asio::post(*io_, std::move(task));
  }
  void End() {
    const std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  asio::io_context* io_;
};

}  // namespace

class PostTarget {
 public:
  Url url;
  std::shared_ptr<NameLookup> name;
  // Only read once it is made, but for the reference counts inside.
  std::unique_ptr<asio::ssl::context> tls;
};

namespace {

constexpr unsigned kMaxHeaderBytes = 16'384;

// One post, from the host's name to the answer's header. Lives as long as something of its own is
// under way, or its time runs, on the poster's thread.
template <typename Stream>
class Exchange : public std::enable_shared_from_this<Exchange<Stream>> {
 public:
  template <typename... Args>
  Exchange(asio::io_context& io, std::shared_ptr<const PostTarget> target, Poster::Done done,
           Args&... args)
      : target_(std::move(target)), done_(std::move(done)), stream_(io, args...) {
    parser_.header_limit(kMaxHeaderBytes);
  }

  void Start(const std::shared_ptr<PosterThread>& thread, const Poster::Headers& headers,
             std::string body) {
    namespace http = beast::http;
    const Url& url = target_->url;
    const bool bare = url.host.find(':') == std::string::npos;
    request_.method(http::verb::post);
    request_.target(url.target);
    request_.version(11);
    request_.set(http::field::host,
                 fmt::format("{}:{}", bare ? url.host : "[" + url.host + "]", url.port));
    request_.set(http::field::user_agent, "faultline");
    request_.set(http::field::content_type, "application/json");
    for (const auto& [name, value] : headers) request_.set(name, value);
    request_.keep_alive(false);
    request_.body() = std::move(body);
    request_.prepare_payload();
    timer_.expires_after(Poster::kTimeout);
    timer_.async_wait([self = this->shared_from_this()](error_code error) {
      if (error) return;
      self->Finish(
          MakeError(StatusCode::kDeadlineExceeded, "no answer in {} s", Poster::kTimeout.count()));
    });
    // The look-up may last longer than this post, and than the poster.
    target_->name->Start(
        [thread, weak = this->weak_from_this()](error_code error, const NameLookup::Found& found) {
          thread->Post([weak, error, found] {
            if (const auto self = weak.lock()) self->OnFound(error, found);
          });
        });
  }

 private:
  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;

  void OnFound(error_code error, const NameLookup::Found& found) {
    if (!done_) return;
    if (error) return Fail("the host's name", error);
    beast::get_lowest_layer(stream_).async_connect(
        found, [self = this->shared_from_this()](error_code failed, const auto&) {
          if (failed) return self->Fail("connecting", failed);
          self->OnConnected();
        });
  }

  void OnConnected() {
    if constexpr (kTls) {
      stream_.set_verify_mode(asio::ssl::verify_peer);
      stream_.set_verify_callback(asio::ssl::host_name_verification(target_->url.host));
      SSL_set_tlsext_host_name(stream_.native_handle(), target_->url.host.c_str());
      stream_.async_handshake(asio::ssl::stream_base::client,
                              [self = this->shared_from_this()](error_code error) {
                                if (error) return self->Fail("TLS", error);
                                self->Write();
                              });
    } else {
      Write();
    }
  }

  void Write() {
    beast::http::async_write(stream_, request_,
                             [self = this->shared_from_this()](error_code error, size_t) {
                               if (error) return self->Fail("sending", error);
                               self->Read();
                             });
  }

  void Read() {
    beast::http::async_read_header(stream_, buffer_, parser_,
                                   [self = this->shared_from_this()](error_code error, size_t) {
                                     if (error) return self->Fail("the answer", error);
                                     self->Finish(self->parser_.get().result_int());
                                   });
  }

  void Fail(const char* what, error_code error) {
    Finish(MakeError(StatusCode::kUnavailable, "{}: {}", what, error.message()));
  }

  void Finish(StatusOr<unsigned> result) {
    if (!done_) return;
    timer_.cancel();
    beast::get_lowest_layer(stream_).close();
    std::exchange(done_, nullptr)(std::move(result));
  }

  const std::shared_ptr<const PostTarget> target_;
  Poster::Done done_;  // empty: it is over
  Stream stream_;
  asio::steady_timer timer_{stream_.get_executor()};
  beast::http::request<beast::http::string_body> request_;
  beast::flat_buffer buffer_;
  beast::http::response_parser<beast::http::empty_body> parser_;
};

}  // namespace

StatusOr<std::shared_ptr<const PostTarget>> MakePostTarget(const Url& url,
                                                           const std::string& ca_file) {
  auto target = std::make_shared<PostTarget>();
  target->url = url;
  target->name = std::make_shared<NameLookup>(url.host, url.port);
  if (!url.tls) return target;
  target->tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code error;
  target->tls->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
  if (ca_file.empty()) {
    target->tls->set_default_verify_paths(error);
  } else {
    target->tls->load_verify_file(ca_file, error);
  }
  if (error) return FieldError("ca_file", ca_file, "a PEM file with a CA: " + error.message());
  return target;
}

struct Poster::Impl {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  const std::shared_ptr<PosterThread> posts = std::make_shared<PosterThread>(&io);
  std::thread thread;
};

Poster::Poster() : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([io = &impl_->io] { io->run(); });
  pthread_setname_np(impl_->thread.native_handle(), "fl-posts");
}

Poster::~Poster() {
  impl_->io.stop();
  impl_->thread.join();
  impl_->posts->End();
}

void Poster::Send(std::shared_ptr<const PostTarget> target, const Headers& headers,
                  std::string body, Done done) {
  asio::post(impl_->io, [impl = impl_.get(), target = std::move(target), headers,
                         body = std::move(body), done = std::move(done)]() mutable {
    if (target->tls) {
      using Stream = beast::ssl_stream<beast::tcp_stream>;
      asio::ssl::context& tls = *target->tls;
      std::make_shared<Exchange<Stream>>(impl->io, std::move(target), std::move(done), tls)
          ->Start(impl->posts, headers, std::move(body));
    } else {
      std::make_shared<Exchange<beast::tcp_stream>>(impl->io, std::move(target), std::move(done))
          ->Start(impl->posts, headers, std::move(body));
    }
  });
}

}  // namespace faultline::http
