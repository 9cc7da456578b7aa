// The clock that experiments' times are on.
#include "base/clock.h"
#include "server/control_plane.h"

namespace faultline::server {

int64_t ControlPlane::unix_ms() {
  // Looked at first: what is no longer on its way is applied.
  const bool none_begins = starts_.count() == 0;
  const std::lock_guard lock(mutex_);
  return clock_.NowMs(none_begins && state_.unfinished.empty(), BoottimeNowNs(), UnixNowMs());
}

int64_t ControlPlane::KnownMs(uint64_t created_index) const {
  return clock_.KnownMs(created_index, BoottimeNowNs());
}

}  // namespace faultline::server
