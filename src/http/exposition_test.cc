#include "http/exposition.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "rpc/certificate.h"

namespace faultline::http {
namespace {

using testing::HasSubstr;
using testing::Not;

Response Ask(const Routes& routes, const std::string& path) {
  Response got;
  routes.at(path)({"GET", path, ""}, [&](Response response) { got = std::move(response); });
  if (got.make_body) got.body = got.make_body();
  return got;
}

Routes WithReasons(const Reasons& reasons, const rpc::TlsFiles& tls = {}) {
  Sources sources;
  sources.metrics = [](const auto& done) { done({}); };
  sources.health = sources.readiness = [reasons](const auto& done) { done(reasons); };
  return ExpositionRoutes("test", "1.2.3", sources, tls);
}

TEST(Families, PutValuesOfOneNameTogether) {
  Families families;
  families.Gauge("a_bytes", "A.", 1, {{"x", "1"}});
  families.Gauge("b_bytes", "B.", 2);
  families.Gauge("a_bytes", "A.", 3, {{"x", "a\"b\nc\\"}});
  EXPECT_EQ(ToText(families.Take()),
            "# HELP a_bytes A.\n# TYPE a_bytes gauge\n"
            "a_bytes{x=\"1\"} 1\na_bytes{x=\"a\\\"b\\nc\\\\\"} 3\n"
            "# HELP b_bytes B.\n# TYPE b_bytes gauge\nb_bytes 2\n");
}

TEST(Families, ShowDurationsAsCumulativeBucketsInSeconds) {
  DurationMeter meter;
  meter.Record(90'000);          // below the first bound
  meter.Record(100'000);         // on it
  meter.Record(3'000'000);       // 3 ms
  meter.Record(20'000'000'000);  // above the last
  Families families;
  families.Histogram("d_seconds", "D.", meter);
  const std::string text = ToText(families.Take());
  EXPECT_THAT(text, HasSubstr("d_seconds_bucket{le=\"0.0001\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("d_seconds_bucket{le=\"0.0025\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("d_seconds_bucket{le=\"0.005\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("d_seconds_bucket{le=\"10\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("d_seconds_bucket{le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("d_seconds_count 4\n"));
  EXPECT_THAT(text, HasSubstr("d_seconds_sum 20.00319\n"));
}

TEST(Exposition, ShowsWhatEveryProgramHas) {
  const Response metrics = Ask(WithReasons({}), "/metrics");
  EXPECT_EQ(metrics.status, 200u);
  EXPECT_THAT(metrics.content_type, HasSubstr("version=0.0.4"));
  EXPECT_THAT(metrics.body,
              HasSubstr("faultline_build_info{program=\"test\",version=\"1.2.3\"} 1"));
  EXPECT_THAT(metrics.body, HasSubstr("faultline_scrapes_total 1\n"));
  EXPECT_THAT(metrics.body, HasSubstr("process_open_fds "));
  EXPECT_THAT(metrics.body, Not(HasSubstr("process_open_fds 0\n")));
  EXPECT_THAT(metrics.body, Not(HasSubstr("process_resident_memory_bytes 0\n")));
}

TEST(Exposition, ShowsWhenItsCertificateEndsIfThereIsOne) {
  const std::string name = "faultline_certificate_not_after_timestamp_seconds";
  EXPECT_THAT(Ask(WithReasons({}), "/metrics").body, Not(HasSubstr(name)));
  const std::string own = fmt::format("{}/fl-exposition-{}", testing::TempDir(), getpid());
  const std::string make = fmt::format(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=own "
      "-keyout {0}.key -out {0}.pem 2>/dev/null",
      own);
  ASSERT_EQ(std::system(make.c_str()), 0);
  const rpc::TlsFiles tls{own + ".pem", own + ".pem", own + ".key"};
  const auto texts = rpc::ReadTls(tls);
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_THAT(Ask(WithReasons({}, tls), "/metrics").body,
              HasSubstr(fmt::format("\n{} {}\n", name, texts->not_after_unix_s)));
  std::filesystem::remove(tls.cert_file);
  std::filesystem::remove(tls.key_file);
}

TEST(Exposition, HoldsUpNobodyWhoCollectsWithWhatIsAddedLater) {
  bool added = false;
  Sources sources;
  sources.metrics = [&added](const auto& done) {
    Families families;
    families.Gauge("b_bytes", "B.", 2);
    families.AddLater([&added](Families& more) {
      added = true;
      more.Gauge("a_bytes", "A.", 1);
      more.Gauge("b_bytes", "B.", 3, {{"x", "1"}});
    });
    done(std::move(families));
    EXPECT_FALSE(added);
  };
  const Response metrics = Ask(ExpositionRoutes("test", "1.2.3", sources), "/metrics");
  EXPECT_TRUE(added);
  EXPECT_THAT(metrics.body, HasSubstr("# TYPE a_bytes gauge\na_bytes 1\n# HELP b_bytes B.\n"
                                      "# TYPE b_bytes gauge\nb_bytes 2\nb_bytes{x=\"1\"} 3\n"));
}

TEST(Exposition, SaysWhyAProgramIsNotReady) {
  const Response ready = Ask(WithReasons({}), "/readyz");
  EXPECT_EQ(ready.status, 200u);
  EXPECT_EQ(ready.body, "ok\n");
  const Response not_ready = Ask(WithReasons({"no leader", "the disk is full"}), "/readyz");
  EXPECT_EQ(not_ready.status, 503u);
  EXPECT_EQ(not_ready.body, "no leader\nthe disk is full\n");
}

}  // namespace
}  // namespace faultline::http
