#include "http/listener.h"

#include <pthread.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <charconv>
#include <optional>
#include <thread>

#include "base/log.h"
#include "http/door.h"
#include "rpc/certificate.h"

namespace faultline::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using Parser = beast::http::request_parser<beast::http::empty_body>;
using Message = beast::http::response<beast::http::string_body>;

constexpr std::chrono::milliseconds kAcceptAgain{100};

// What the connections of a listener share.
struct Service {
  const Routes routes;
  const std::shared_ptr<Door> door;
  size_t connections = 0;  // of the listener's thread
};

Response Text(unsigned status, std::string text) {
  Response response;
  response.status = status;
  response.body = std::move(text);
  return response;
}

Response NotFound(const Routes& routes) {
  std::string paths;
  for (const auto& [path, handler] : routes) paths += fmt::format("{}\n", path);
  return Text(404, "not found; here are:\n" + paths);
}

// One connection, plain or TLS, from its first byte to its last. Lives as long as something of its
// own is under way, on the listener's thread.
template <typename Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  template <typename... Args>
  Connection(std::shared_ptr<Service> service, tcp::socket socket, Args&... args)
      : service_(std::move(service)), stream_(std::move(socket), args...) {
    ++service_->connections;
  }
  ~Connection() { --service_->connections; }

  void Start() {
    if constexpr (kTls) {
      Limit();
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code error) {
                                if (!error) self->Read();
                              });
    } else {
      Read();
    }
  }

 private:
  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;

  void Limit() { beast::get_lowest_layer(stream_).expires_after(Listener::kTimeout); }

  void Read() {
    parser_.emplace();
    parser_->header_limit(Listener::kMaxHeaderBytes);
    parser_->body_limit(0);
    Limit();
    beast::http::async_read(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](error_code error, size_t) { self->OnRead(error); });
  }

  void OnRead(error_code error) {
    namespace http = beast::http;
    if (error == http::error::end_of_stream) return Close();
    if (error && error.category() == make_error_code(http::error::bad_method).category()) {
      keep_alive_ = false;
      return Write(Text(error == http::error::header_limit ? 431 : 400,
                        "the request cannot be read: " + error.message() + "\n"));
    }
    if (error) return;
    keep_alive_ = parser_->get().keep_alive();
    const auto verb = parser_->get().method();
    is_head_ = verb == http::verb::head;
    if (verb != http::verb::get && !is_head_) return Write(Text(405, "only GET and HEAD\n"));
    Request request;
    request.method = is_head_ ? "HEAD" : "GET";
    const std::string target(parser_->get().target());
    const size_t mark = target.find('?');
    request.path = target.substr(0, mark);
    if (mark != std::string::npos) request.query = target.substr(mark + 1);
    const auto route = service_->routes.find(request.path);
    if (route == service_->routes.end()) return Write(NotFound(service_->routes));
    Await(route->second, request);
  }

  // The timer keeps the connection while nothing else does.
  void Await(const Handler& handler, const Request& request) {
    waiting_ = true;
    timer_.expires_after(Listener::kTimeout);
    timer_.async_wait([self = this->shared_from_this()](error_code error) {
      if (error || !std::exchange(self->waiting_, false)) return;
      self->keep_alive_ = false;
      self->Write(Text(503, "no answer in time\n"));
    });
    handler(request, [door = service_->door, weak = this->weak_from_this()](Response response) {
      door->Post([weak, response = std::move(response)]() mutable {
        const auto self = weak.lock();
        if (!self || !std::exchange(self->waiting_, false)) return;
        self->timer_.cancel();
        if (response.make_body) response.body = response.make_body();
        self->Write(std::move(response));
      });
    });
  }

  void Write(Response response) {
    response_.emplace();
    response_->result(response.status);
    response_->set(beast::http::field::content_type, response.content_type);
    response_->set(beast::http::field::cache_control, "no-store");
    response_->keep_alive(keep_alive_);
    response_->content_length(response.body.size());
    if (!is_head_) response_->body() = std::move(response.body);
    Limit();
    beast::http::async_write(stream_, *response_,
                             [self = this->shared_from_this()](error_code error, size_t) {
                               if (error) return;
                               if (!self->keep_alive_) return self->Close();
                               self->Read();
                             });
  }

  void Close() {
    if constexpr (kTls) {
      Limit();
      stream_.async_shutdown([self = this->shared_from_this()](error_code) {});
    } else {
      error_code ignored;
      stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    }
  }

  const std::shared_ptr<Service> service_;
  Stream stream_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::optional<Message> response_;
  asio::steady_timer timer_{stream_.get_executor()};
  bool waiting_ = false;  // for a reply
  bool keep_alive_ = false;
  bool is_head_ = false;
};

StatusOr<tcp::endpoint> ParseAddress(asio::io_context& io, const std::string& address) {
  constexpr std::string_view kForm = "host:port, such as 127.0.0.1:7402";
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return FieldError("http_listen", address, kForm);
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  uint16_t port = 0;
  const char* const end = address.data() + address.size();
  const auto [parsed, bad] = std::from_chars(address.data() + colon + 1, end, port);
  if (bad != std::errc() || parsed != end) return FieldError("http_listen", address, kForm);
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(port), error);
  if (error || found.empty()) {
    return FieldError("http_listen", address, "a host that is known: " + error.message());
  }
  return found.begin()->endpoint();
}

StatusOr<std::unique_ptr<asio::ssl::context>> MakeTls(const rpc::TlsFiles& files) {
  FL_ASSIGN_OR_RETURN(const rpc::TlsTexts texts, rpc::ReadTls(files));
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  const auto buffer = [](const std::string& text) { return asio::buffer(text); };
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  context->add_certificate_authority(buffer(texts.ca), error);
  if (!error) context->use_certificate_chain(buffer(texts.cert), error);
  if (!error) context->use_private_key(buffer(texts.key), asio::ssl::context::pem, error);
  if (!error) {
    context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert,
                             error);
  }
  if (error) return FieldError("tls.cert_file", files.cert_file, error.message());
  return context;
}

}  // namespace

struct Listener::Impl {
  explicit Impl(Routes routes)
      : door(std::make_shared<Door>(&io)),
        service(std::make_shared<Service>(Service{std::move(routes), door})) {}

  ~Impl() {
    door->Shut();
    io.stop();
    if (thread.joinable()) thread.join();
  }

  Status Listen(const std::string& wanted) {
    FL_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, ParseAddress(io, wanted));
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (error) {
      return MakeError(StatusCode::kFailedPrecondition, "cannot listen on {}: {}", wanted,
                       error.message());
    }
    address =
        fmt::format("{}:{}", wanted.substr(0, wanted.rfind(':')), acceptor.local_endpoint().port());
    return absl::OkStatus();
  }

  void Accept() {
    acceptor.async_accept([this](error_code error, tcp::socket socket) {
      if (!error) Serve(std::move(socket));
      if (!error) return Accept();
      // Too many open files, for instance.
      pause.expires_after(kAcceptAgain);
      pause.async_wait([this](error_code) { Accept(); });
    });
  }

  void Serve(tcp::socket socket) {
    if (service->connections >= kMaxConnections) return;
    if (tls) {
      using Stream = beast::ssl_stream<beast::tcp_stream>;
      std::make_shared<Connection<Stream>>(service, std::move(socket), *tls)->Start();
    } else {
      std::make_shared<Connection<beast::tcp_stream>>(service, std::move(socket))->Start();
    }
  }

  std::string address;
  std::unique_ptr<asio::ssl::context> tls;
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer pause{io};
  const std::shared_ptr<Door> door;
  const std::shared_ptr<Service> service;
  std::thread thread;
};

StatusOr<std::unique_ptr<Listener>> Listener::Start(const Options& options, Routes routes) {
  auto impl = std::make_unique<Impl>(std::move(routes));
  if (options.tls.enabled()) {
    FL_ASSIGN_OR_RETURN(impl->tls, MakeTls(options.tls));
  } else {
    FL_RETURN_IF_ERROR(rpc::RequireLoopback(options.address, "http_listen"));
  }
  FL_RETURN_IF_ERROR(impl->Listen(options.address));
  impl->Accept();
  impl->thread = std::thread([io = &impl->io] { io->run(); });
  pthread_setname_np(impl->thread.native_handle(), "fl-http");
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() = default;

const std::string& Listener::address() const { return impl_->address; }

}  // namespace faultline::http
