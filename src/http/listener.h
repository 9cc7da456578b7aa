// One HTTP/1.1 listener for what a program shows to scrapers, probes and browsers: paths to
// handlers, over Boost.Beast. With TLS files it asks for a client certificate of the same CA, as
// the gRPC listeners do; without them it binds loopback only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "rpc/endpoint.h"

namespace faultline::http {

struct Request {
  std::string method;  // GET or HEAD: others are refused before a handler sees them
  std::string path;    // without its query
  std::string query;   // what stands behind '?'
};

struct Response {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // Instead of `body`, when it takes long to write down: called once, on the listener's thread.
  std::function<std::string()> make_body = nullptr;
};

// Called exactly once, from any thread.
using Reply = std::function<void(Response)>;
// Called on the listener's thread; must not block, but may reply later.
using Handler = std::function<void(const Request&, Reply)>;
using Routes = std::map<std::string, Handler>;  // by path

class Listener {
 public:
  // At once; more are closed as they come.
  static constexpr size_t kMaxConnections = 64;
  // Bytes of a request's header. A body is refused.
  static constexpr unsigned kMaxHeaderBytes = 8'192;
  // For a whole request to come, a reply to be made, and its bytes to be taken.
  static constexpr std::chrono::seconds kTimeout{30};

  struct Options {
    std::string address;  // host:port; port 0: one that is free
    rpc::TlsFiles tls;
  };

  // Listens, and serves from then on, on a thread of its own. INVALID_ARGUMENT when the address is
  // none, or not loopback without TLS, or a TLS file is not what it should be; FAILED_PRECONDITION
  // when the port is taken.
  static StatusOr<std::unique_ptr<Listener>> Start(const Options& options, Routes routes);
  // Cuts what is under way; no handler is called from then on, and replies are dropped.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // As options.address, with the port that it got.
  const std::string& address() const;

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::http
