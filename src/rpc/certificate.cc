#include "rpc/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace faultline::rpc {
namespace {

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Store = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;

Bio Reading(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// All certificates of a PEM text, in its order.
std::vector<Certificate> CertificatesIn(const std::string& text) {
  std::vector<Certificate> certificates;
  const Bio bio = Reading(text);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next);
  }
  return certificates;
}

// A key that asks for a password is none: nobody is there to type it.
int NoPassword(char*, int, int, void*) { return -1; }

int64_t UnixSeconds(const ASN1_TIME* time) {
  tm utc{};
  ASN1_TIME_to_tm(time, &utc);
  return timegm(&utc);
}

struct Verified {
  std::string why_not;           // empty: it is signed by an authority, and valid now
  int64_t not_after_unix_s = 0;  // of it and of those that it rests on
};

// Whether `chain` (the own certificate first) leads to one of `authorities`.
Verified Verify(const std::vector<Certificate>& authorities,
                const std::vector<Certificate>& chain) {
  const Store store(X509_STORE_new());
  for (const auto& authority : authorities) X509_STORE_add_cert(store.get(), authority.get());
  // As gRPC's own handshake sees it.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  STACK_OF(X509)* others = sk_X509_new_null();
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(others, chain[i].get());
  const StoreContext context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), others);
  Verified verified;
  if (X509_verify_cert(context.get()) == 1) {
    STACK_OF(X509)* used = X509_STORE_CTX_get0_chain(context.get());
    verified.not_after_unix_s = INT64_MAX;
    for (int i = 0; i < sk_X509_num(used); ++i) {
      verified.not_after_unix_s = std::min(verified.not_after_unix_s,
                                           UnixSeconds(X509_get0_notAfter(sk_X509_value(used, i))));
    }
  } else {
    verified.why_not = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  }
  sk_X509_free(others);
  return verified;
}

// Not the name of a file. Some programs write a description in front.
bool IsPemText(const std::string& text) { return text.find("-----BEGIN ") != std::string::npos; }

StatusOr<std::string> ReadPem(const std::string& field, const std::string& path) {
  if (path.empty()) {
    return FieldError(field, "", "TLS needs all of the CA, the certificate and the key file");
  }
  if (IsPemText(path)) return path;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file || text.str().empty()) return FieldError(field, path, "a readable PEM file");
  return text.str();
}

// TlsTexts::not_after_unix_s, once all is in order.
StatusOr<int64_t> NotAfterOf(const TlsFiles& tls, const TlsTexts& texts) {
  const auto authorities = CertificatesIn(texts.ca);
  if (authorities.empty()) return FieldError("tls.ca_file", tls.ca_file, "a PEM certificate");
  const auto chain = CertificatesIn(texts.cert);
  if (chain.empty()) return FieldError("tls.cert_file", tls.cert_file, "a PEM certificate");
  const Bio bio = Reading(texts.key);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!key) {
    return FieldError("tls.key_file", tls.key_file, "a PEM private key without a password");
  }
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    return FieldError("tls.key_file", tls.key_file,
                      fmt::format("the key of the certificate in {}", tls.cert_file));
  }
  const Verified verified = Verify(authorities, chain);
  if (verified.why_not.empty()) return verified.not_after_unix_s;
  return FieldError("tls.cert_file", tls.cert_file,
                    fmt::format("a certificate that is valid now and signed by a CA of {} ({})",
                                tls.ca_file, verified.why_not));
}

}  // namespace

StatusOr<TlsTexts> ReadTls(const TlsFiles& tls) {
  TlsTexts texts;
  TlsFiles shown = tls;
  for (std::string* name : {&shown.ca_file, &shown.cert_file, &shown.key_file}) {
    if (IsPemText(*name)) *name = "(PEM text)";
  }
  FL_ASSIGN_OR_RETURN(texts.ca, ReadPem("tls.ca_file", tls.ca_file));
  FL_ASSIGN_OR_RETURN(texts.cert, ReadPem("tls.cert_file", tls.cert_file));
  FL_ASSIGN_OR_RETURN(texts.key, ReadPem("tls.key_file", tls.key_file));
  const StatusOr<int64_t> not_after_unix_s = NotAfterOf(shown, texts);
  // What failed is told above; left in the thread's queue it would be taken for a later
  // handshake's.
  ERR_clear_error();
  FL_ASSIGN_OR_RETURN(texts.not_after_unix_s, not_after_unix_s);
  return texts;
}

}  // namespace faultline::rpc
