#include "http/poster.h"

#include <pthread.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <thread>

namespace faultline::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

class PostTarget {
 public:
  Url url;
  // Only read once it is made, but for the reference counts inside.
  std::unique_ptr<asio::ssl::context> tls;
};

namespace {

constexpr unsigned kMaxHeaderBytes = 16'384;

// One post, from the host's name to the answer's header. Lives as long as something of its own is
// under way, on the poster's thread.
template <typename Stream>
class Exchange : public std::enable_shared_from_this<Exchange<Stream>> {
 public:
  template <typename... Args>
  Exchange(asio::io_context& io, std::shared_ptr<const PostTarget> target, Poster::Done done,
           Args&... args)
      : target_(std::move(target)), done_(std::move(done)), resolver_(io), stream_(io, args...) {
    parser_.header_limit(kMaxHeaderBytes);
  }

  void Start(const Poster::Headers& headers, std::string body) {
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
    resolver_.async_resolve(url.host, url.port,
                            [self = this->shared_from_this()](error_code error, const auto& found) {
                              if (error) return self->Fail("the host's name", error);
                              beast::get_lowest_layer(self->stream_)
                                  .async_connect(found, [self](error_code failed, const auto&) {
                                    if (failed) return self->Fail("connecting", failed);
                                    self->OnConnected();
                                  });
                            });
  }

 private:
  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;

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
    resolver_.cancel();
    beast::get_lowest_layer(stream_).close();
    std::exchange(done_, nullptr)(std::move(result));
  }

  const std::shared_ptr<const PostTarget> target_;
  Poster::Done done_;  // empty: it is over
  tcp::resolver resolver_;
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
  std::thread thread;
};

Poster::Poster() : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([io = &impl_->io] { io->run(); });
  pthread_setname_np(impl_->thread.native_handle(), "fl-posts");
}

Poster::~Poster() {
  impl_->io.stop();
  impl_->thread.join();
}

void Poster::Send(std::shared_ptr<const PostTarget> target, const Headers& headers,
                  std::string body, Done done) {
  asio::post(impl_->io, [io = &impl_->io, target = std::move(target), headers,
                         body = std::move(body), done = std::move(done)]() mutable {
    if (target->tls) {
      using Stream = beast::ssl_stream<beast::tcp_stream>;
      asio::ssl::context& tls = *target->tls;
      std::make_shared<Exchange<Stream>>(*io, std::move(target), std::move(done), tls)
          ->Start(headers, std::move(body));
    } else {
      std::make_shared<Exchange<beast::tcp_stream>>(*io, std::move(target), std::move(done))
          ->Start(headers, std::move(body));
    }
  });
}

}  // namespace faultline::http
