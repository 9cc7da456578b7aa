#include "http/exposition.h"

#include <gmock/gmock.h>

namespace faultline::http {
namespace {

using testing::HasSubstr;
using testing::Not;

Response Ask(const Routes& routes, const std::string& path) {
  Response got;
  routes.at(path)({"GET", path, ""}, [&](Response response) { got = std::move(response); });
  return got;
}

Routes WithReasons(const Reasons& reasons) {
  Sources sources;
  sources.metrics = [](const auto& done) { done({}); };
  sources.health = sources.readiness = [reasons](const auto& done) { done(reasons); };
  return ExpositionRoutes("test", "1.2.3", sources);
}

TEST(Families, PutValuesOfOneNameTogether) {
  Families families;
  families.Gauge("a_bytes", "A.", 1, {{"x", "1"}});
  families.Gauge("b_bytes", "B.", 2);
  families.Gauge("a_bytes", "A.", 3, {{"x", "a\"b\nc\\"}});
  EXPECT_EQ(ToText(families.all()),
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
  const std::string text = ToText(families.all());
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
