// Posts over HTTP/1.1, over Boost.Beast: each on a connection of its own, with a time limit, its
// answer's status and nothing more of it read. Redirects are not followed; proxies are not used.
// Posts hold up none to another target: each target's name is looked up on a thread of its own,
// which is there while the look-up lasts, be it longer than the post that asked for it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "http/url.h"

namespace faultline::http {

// Where posts go, and for https whom to believe.
class PostTarget;

// `ca_file`: a PEM file with the CA that the receiver's certificate is signed by; empty: those that
// the system trusts. The certificate must be of the URL's host. INVALID_ARGUMENT / ca_file.
StatusOr<std::shared_ptr<const PostTarget>> MakePostTarget(const Url& url,
                                                           const std::string& ca_file);

// Threads: Send may be called from any thread.
class Poster {
 public:
  // For all of one post, from looking up the host's name to the answer's header.
  static constexpr std::chrono::seconds kTimeout{10};

  using Headers = std::vector<std::pair<std::string, std::string>>;
  // The answer's status, or why there was none. From the poster's thread.
  using Done = std::function<void(StatusOr<unsigned>)>;

  Poster();
  // Cuts what is under way: its `done` is not called any more. Waits for no name server.
  ~Poster();
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;

  void Send(std::shared_ptr<const PostTarget> target, const Headers& headers, std::string body,
            Done done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::http
