// Whether a set of TLS files can serve at all: found out at the start, in one sentence, instead of
// by connections that fail.
#pragma once

#include <string>

#include "base/status.h"
#include "rpc/endpoint.h"

namespace faultline::rpc {

struct TlsTexts {
  std::string ca, cert, key;
};

// INVALID_ARGUMENT about the field of `tls` that is no PEM of its kind, whose key is another
// certificate's, or whose certificate is not signed by the CA or not valid now.
Status CheckTls(const TlsFiles& tls, const TlsTexts& texts);

// The files' texts, checked; in place of a path may stand the PEM text itself, from its
// "-----BEGIN " on, and no error shows it. INVALID_ARGUMENT when only some are given, one cannot be
// read, or as CheckTls.
StatusOr<TlsTexts> ReadTls(const TlsFiles& tls);

}  // namespace faultline::rpc
