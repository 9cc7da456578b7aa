// Whether a set of TLS files can serve at all: found out at the start, in one sentence, instead of
// by connections that fail.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "rpc/endpoint.h"

namespace faultline::rpc {

struct TlsTexts {
  std::string ca, cert, key;
  // Until when the certificate is believed: the earliest end of its own validity and of those that
  // it rests on, its CA's included.
  int64_t not_after_unix_s = 0;
};

// The files' texts, checked; in place of a path may stand the PEM text itself (what has
// "-----BEGIN " in it), and no error shows it. INVALID_ARGUMENT about the field of `tls` that is
// not given, cannot be read or is no PEM of its kind, whose key is another certificate's, or whose
// certificate is not signed by the CA or not valid now.
StatusOr<TlsTexts> ReadTls(const TlsFiles& tls);

}  // namespace faultline::rpc
