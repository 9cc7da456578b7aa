#include "http/test_receiver.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <mutex>
#include <thread>

namespace faultline::http {

class TestReceiver::Impl {
 public:
  Impl(uint16_t port, const std::string& cert_file, const std::string& key_file) {
    acceptor_.open(Tcp::v4());
    acceptor_.set_option(Tcp::acceptor::reuse_address(true));
    acceptor_.bind({boost::asio::ip::address_v4::loopback(), port});
    acceptor_.listen();
    if (!cert_file.empty()) {
      tls_ = std::make_unique<Tls>(Tls::tls_server);
      tls_->use_certificate_chain_file(cert_file);
      tls_->use_private_key_file(key_file, Tls::pem);
    }
    port_ = acceptor_.local_endpoint().port();
    thread_ = std::thread([this] { Run(); });
  }
  ~Impl() {
    ending_ = true;
    boost::system::error_code ignored;
    boost::asio::io_context io;
    Tcp::socket wake(io);
    wake.connect({boost::asio::ip::address_v4::loopback(), port_}, ignored);
    wake.close();
    thread_.join();
  }

  uint16_t port() const { return port_; }
  void AnswerWith(unsigned status) { status_ = status; }
  std::vector<Post> posts() const {
    const std::lock_guard lock(mutex_);
    return posts_;
  }

 private:
  using Tcp = boost::asio::ip::tcp;
  using Tls = boost::asio::ssl::context;

  void Run() {
    while (true) {
      boost::system::error_code error;
      Tcp::socket socket(io_);
      acceptor_.accept(socket, error);
      if (ending_) return;
      if (error) continue;
      if (!tls_) {
        Serve(socket);
        continue;
      }
      boost::asio::ssl::stream<Tcp::socket> stream(std::move(socket), *tls_);
      stream.handshake(boost::asio::ssl::stream_base::server, error);
      if (!error) Serve(stream);
    }
  }

  template <typename Stream>
  void Serve(Stream& stream) {
    namespace http = boost::beast::http;
    boost::system::error_code error;
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::read(stream, buffer, request, error);
    if (error) return;
    const unsigned status = status_;
    Post post{std::string(request.target()), {}, request.body(), status};
    for (const auto& field : request) {
      std::string name(field.name_string());
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      post.headers[name] = std::string(field.value());
    }
    {
      const std::lock_guard lock(mutex_);
      posts_.push_back(std::move(post));
    }
    if (status == 0) return;
    http::response<http::string_body> response(static_cast<http::status>(status), 11);
    response.keep_alive(false);
    response.prepare_payload();
    http::write(stream, response, error);
  }

  boost::asio::io_context io_;
  Tcp::acceptor acceptor_{io_};
  std::unique_ptr<Tls> tls_;
  uint16_t port_ = 0;
  std::atomic<bool> ending_{false};
  std::atomic<unsigned> status_{200};
  mutable std::mutex mutex_;
  std::vector<Post> posts_;
  std::thread thread_;
};

TestReceiver::TestReceiver(uint16_t port, const std::string& cert_file, const std::string& key_file)
    : impl_(std::make_unique<Impl>(port, cert_file, key_file)) {}
TestReceiver::~TestReceiver() = default;
uint16_t TestReceiver::port() const { return impl_->port(); }
void TestReceiver::AnswerWith(unsigned status) { impl_->AnswerWith(status); }
std::vector<TestReceiver::Post> TestReceiver::posts() const { return impl_->posts(); }

}  // namespace faultline::http
