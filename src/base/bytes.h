// Long byte sequences in pieces: state that is written out or read back without ever standing in
// memory as a whole.
#pragma once

#include <functional>
#include <string_view>

#include "base/status.h"

namespace faultline {

// Takes the next piece; an error ends the writing, and is what the writer returns.
using ByteSink = std::function<Status(std::string_view)>;

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next piece, of any size; empty at the end. Valid until the next call.
  virtual StatusOr<std::string_view> Next() = 0;
};

}  // namespace faultline
