// One node of the control plane, whole, inside a process: what faultline-controller runs, and what
// `faultline dev` embeds.
#pragma once

#include <memory>

#include "server/config.h"

namespace faultline::server {

class Controller {
 public:
  // Opens the data directory, binds the listeners and serves. Errors are one sentence for people: a
  // port that is taken, a data directory in use or damaged, TLS files that cannot be read.
  static StatusOr<std::unique_ptr<Controller>> Start(Config config);

  // Ends every stream, stops serving and closes the log; takes at most about a second.
  virtual ~Controller() = default;
};

}  // namespace faultline::server
