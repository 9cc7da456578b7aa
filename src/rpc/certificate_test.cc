// TLS files as openssl makes them, and each way in which they do not fit together.
#include "rpc/certificate.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "rpc/credentials.h"

namespace faultline::rpc {
namespace {

class Certificates : public testing::Test {
 protected:
  Certificates() {
    char name[] = "/tmp/faultline-certificates-XXXXXX";
    folder_ = mkdtemp(name);
    const std::string script = fmt::format(
        "cd {} && set -e && exec 2>/dev/null\n"
        "for n in ca other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "-nodes -days 2 -subj /CN=$n -keyout $n.key -out $n.pem; done\n"
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=node "
        "-keyout node.key -out node.csr\n"
        "openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-out node.pem\n"
        "touch index; echo 01 > serial\n"
        "printf \"[ca]\\ndefault_ca=x\\n[x]\\ndatabase=index\\nnew_certs_dir=.\\nserial=serial\\n"
        "unique_subject=no\\npolicy=p\\n"
        "[p]\\ncommonName=supplied\\n\" > ca.cnf\n"
        "sign() {{ openssl ca -batch -config ca.cnf -in node.csr -cert ca.pem -keyfile ca.key "
        "-md sha256 -startdate 20200101000000Z -enddate $1 -out $2; }}\n"
        "sign 20200102000000Z expired.pem\n"
        "sign 20991231235959Z long.pem\n"
        "tomorrow=$(date -u -d +1day +%Y%m%d)\n"
        "sign $(echo $tomorrow)000000Z short.pem\n"
        "date -u -d $tomorrow +%s > short.end\n"
        "openssl ec -in node.key -aes128 -passout pass:secret -out locked.key\n"
        "echo nonsense > nonsense\n",
        folder_);
    EXPECT_EQ(std::system(("bash -c '" + script + "'").c_str()), 0);
  }
  ~Certificates() override { EXPECT_EQ(std::system(("rm -r " + folder_).c_str()), 0); }

  // The error's message without the folder; empty when the files fit.
  std::string ErrorOf(const std::string& ca, const std::string& cert, const std::string& key) {
    const TlsFiles tls{folder_ + "/" + ca, folder_ + "/" + cert, folder_ + "/" + key};
    const auto credentials = ListenerCredentials(tls, "127.0.0.1:7400");
    EXPECT_EQ(credentials.ok(), ChannelCredentials(tls, "127.0.0.1:7400").ok());
    std::string message = ToString(credentials.status().message());
    for (size_t at; (at = message.find(folder_ + "/")) != std::string::npos;) {
      message.erase(at, folder_.size() + 1);
    }
    return message;
  }

  std::string TextOf(const std::string& name) const {
    std::stringstream read;
    read << std::ifstream(folder_ + "/" + name).rdbuf();
    return read.str();
  }

  std::string folder_;
};

TEST_F(Certificates, ThatFitAreTaken) { EXPECT_EQ(ErrorOf("ca.pem", "node.pem", "node.key"), ""); }

TEST_F(Certificates, MayBeGivenAsTextWhichNoErrorShows) {
  EXPECT_TRUE(ReadTls({TextOf("ca.pem"), TextOf("node.pem"), TextOf("node.key")}).ok());
  const auto other = ReadTls({TextOf("ca.pem"), TextOf("node.pem"), TextOf("other.key")});
  EXPECT_EQ(ToString(other.status().message()),
            "tls.key_file: '(PEM text)' is not allowed: the key of the certificate in (PEM text)");
}

TEST_F(Certificates, ThatDoNotFitAreRefusedWithTheFileAndTheCause) {
  EXPECT_EQ(ErrorOf("nonsense", "node.pem", "node.key"),
            "tls.ca_file: 'nonsense' is not allowed: a PEM certificate");
  EXPECT_EQ(ErrorOf("ca.pem", "node.key", "node.key"),
            "tls.cert_file: 'node.key' is not allowed: a PEM certificate");
  for (const char* no_key : {"nonsense", "node.pem", "locked.key"}) {
    EXPECT_EQ(ErrorOf("ca.pem", "node.pem", no_key),
              fmt::format("tls.key_file: '{}' is not allowed: a PEM private key without a password",
                          no_key));
  }
  EXPECT_EQ(ErrorOf("ca.pem", "node.pem", "other.key"),
            "tls.key_file: 'other.key' is not allowed: the key of the certificate in node.pem");
  const std::string signed_by = "a certificate that is valid now and signed by a CA of ";
  EXPECT_EQ(ErrorOf("other.pem", "node.pem", "node.key")
                .find("tls.cert_file: 'node.pem' is not allowed: " + signed_by + "other.pem ("),
            0u);
  EXPECT_EQ(ErrorOf("ca.pem", "expired.pem", "node.key"),
            "tls.cert_file: 'expired.pem' is not allowed: " + signed_by +
                "ca.pem (certificate has expired)");
}

TEST_F(Certificates, AreBelievedUntilTheFirstOfThemEnds) {
  const auto not_after = [this](const std::string& cert, const std::string& key) {
    const auto texts = ReadTls({TextOf("ca.pem"), TextOf(cert), TextOf(key)});
    EXPECT_TRUE(texts.ok()) << texts.status();
    return texts.ok() ? texts->not_after_unix_s : 0;
  };
  EXPECT_EQ(not_after("short.pem", "node.key"), std::stoll(TextOf("short.end")));
  EXPECT_EQ(not_after("long.pem", "node.key"), not_after("ca.pem", "ca.key"));
}

}  // namespace
}  // namespace faultline::rpc
