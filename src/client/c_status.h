// Internal: a Status as the C interface shows it.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/status.h"
#include "client/faultline.h"

namespace faultline::client {

class CStatus {
 public:
  explicit CStatus(const Status& status);
  CStatus(const CStatus&) = delete;
  CStatus& operator=(const CStatus&) = delete;
  // Valid as long as this object.
  const fl_status* get() const { return &c_; }

 private:
  // Texts as C can have them: UTF-8 without a NUL inside.
  const char* Text(const std::string& text);

  std::deque<std::string> texts_;
  std::vector<fl_violation> violations_;
  std::vector<fl_fact> metadata_;
  fl_status c_{};
};

}  // namespace faultline::client
