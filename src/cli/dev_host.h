// What `faultline dev` needs of the host.
#pragma once

#include <string>

#include "base/status.h"

namespace faultline::cli {

// The directory that both programs live in: given, or temporary.
class WorkDirectory {
 public:
  // INVALID_ARGUMENT when it cannot be made.
  static StatusOr<WorkDirectory> Make(const std::string& given);
  const std::string& path() const { return path_; }
  void RemoveIfTemporary() const;

 private:
  std::string path_;
  bool temporary_ = false;
};

// The text of a file with an agent's `targets`; empty without a path. INVALID_ARGUMENT when it
// cannot be read or has any other key.
StatusOr<std::string> ReadTargets(const std::string& path);

// INVALID_ARGUMENT when somebody listens on `address` (host:port) already, or it is none.
Status CheckAddressIsFree(const std::string& address);

}  // namespace faultline::cli
