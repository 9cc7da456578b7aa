#include "http/exposition.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>

#include "base/clock.h"
#include "http/process_stats.h"
#include "rpc/certificate.h"

namespace faultline::http {
namespace {

constexpr double kNanosPerSecondF = 1e9;

// The registry's own families, and who adds the rest.
struct Exposition {
  Exposition(const std::string& program, const std::string& version, Sources given,
             const rpc::TlsFiles& tls)
      : sources(std::move(given)),
        scrapes(prometheus::BuildCounter()
                    .Name("faultline_scrapes_total")
                    .Help("Times that these metrics were asked for.")
                    .Register(registry)
                    .Add({})) {
    prometheus::BuildGauge()
        .Name("faultline_build_info")
        .Help("Always 1; the labels say which program this is.")
        .Register(registry)
        .Add({{"program", program}, {"version", version}})
        .Set(1);
    if (tls.enabled()) AddCertificate(tls);
  }
  // Read once, as by all of the program's listeners: it shows this one until it ends.
  void AddCertificate(const rpc::TlsFiles& tls) {
    const auto texts = rpc::ReadTls(tls);
    if (!texts.ok()) return;  // the listener says so
    prometheus::BuildGauge()
        .Name("faultline_certificate_not_after_timestamp_seconds")
        .Help(
            "Until when the certificate that this program shows is valid, and those that it rests "
            "on, in Unix time; absent without TLS.")
        .Register(registry)
        .Add({})
        .Set(static_cast<double>(texts->not_after_unix_s));
  }
  const Sources sources;
  prometheus::Registry registry;
  prometheus::Counter& scrapes;
};

void AddProcess(Families& families) {
  const ProcessStats stats = ReadProcessStats();
  families.Counter("process_cpu_seconds_total", "Processor time, user and system.",
                   stats.cpu_seconds);
  families.Gauge("process_resident_memory_bytes", "Memory in use.", stats.resident_bytes);
  families.Gauge("process_open_fds", "Open file descriptors.", stats.open_fds);
  families.Gauge("process_threads", "Threads.", stats.threads);
  families.Gauge("process_start_time_seconds", "When the process began, in Unix time.",
                 stats.start_time_seconds);
}

std::string MetricsText(Exposition& exposition, Families& families) {
  exposition.scrapes.Increment();
  AddProcess(families);
  auto all = exposition.registry.Collect();
  for (auto& family : families.Take()) all.push_back(std::move(family));
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return ToText(all);
}

Response MetricsResponse(const std::shared_ptr<Exposition>& exposition, Families families) {
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.make_body = [exposition, shared = std::make_shared<Families>(std::move(families))] {
    return MetricsText(*exposition, *shared);
  };
  return response;
}

Handler ProbeHandler(std::function<void(std::function<void(Reasons)>)> source) {
  return [source = std::move(source)](const Request&, const Reply& reply) {
    source([reply](const Reasons& reasons) {
      Response response;
      response.status = reasons.empty() ? 200 : 503;
      if (reasons.empty()) response.body = "ok\n";
      for (const std::string& reason : reasons) response.body += reason + "\n";
      reply(std::move(response));
    });
  };
}

}  // namespace

prometheus::ClientMetric& Families::Add(const std::string& name, const std::string& help,
                                        prometheus::MetricType type, const Labels& labels) {
  auto family = std::find_if(families_.rbegin(), families_.rend(),
                             [&](const auto& known) { return known.name == name; });
  if (family == families_.rend()) {
    families_.push_back({name, help, type, {}});
    family = families_.rbegin();
  }
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  for (const auto& [key, value] : labels) metric.label.push_back({key, value});
  return metric;
}

void Families::Counter(const std::string& name, const std::string& help, double value,
                       const Labels& labels) {
  Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void Families::Counter(const std::string& name, const std::string& help,
                       const faultline::Counter& value, const Labels& labels) {
  Counter(name, help, static_cast<double>(value.value()), labels);
}

void Families::Gauge(const std::string& name, const std::string& help, double value,
                     const Labels& labels) {
  Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void Families::Histogram(const std::string& name, const std::string& help,
                         const DurationMeter& meter, const Labels& labels) {
  std::vector<double> upper;
  std::vector<uint64_t> counts;
  for (const uint64_t bound_ns : DurationMeter::kBoundsNs) {
    upper.push_back(static_cast<double>(bound_ns) / kNanosPerSecondF);
  }
  for (size_t i = 0; i < DurationMeter::kBuckets; ++i) counts.push_back(meter.bucket(i));
  Histogram(name, help, upper, counts, static_cast<double>(meter.sum_ns()) / kNanosPerSecondF,
            labels);
}

void Families::Histogram(const std::string& name, const std::string& help,
                         const std::vector<double>& upper, const std::vector<uint64_t>& counts,
                         double sum, const Labels& labels) {
  auto& histogram = Add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  uint64_t count = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    count += counts[i];
    const double bound = i < upper.size() ? upper[i] : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({count, bound});
  }
  histogram.sample_count = count;
  histogram.sample_sum = sum;
}

void Families::AddLater(std::function<void(Families&)> add) { later_.push_back(std::move(add)); }

std::vector<prometheus::MetricFamily> Families::Take() {
  for (const auto& add : std::exchange(later_, {})) add(*this);
  return std::move(families_);
}

std::string ToText(const std::vector<prometheus::MetricFamily>& families) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

Routes ExpositionRoutes(const std::string& program, const std::string& version, Sources sources,
                        const rpc::TlsFiles& tls) {
  const auto exposition = std::make_shared<Exposition>(program, version, std::move(sources), tls);
  Routes routes;
  routes["/metrics"] = [exposition](const Request&, const Reply& reply) {
    exposition->sources.metrics([exposition, reply](Families families) {
      reply(MetricsResponse(exposition, std::move(families)));
    });
  };
  routes["/healthz"] = ProbeHandler(exposition->sources.health);
  routes["/readyz"] = ProbeHandler(exposition->sources.readiness);
  return routes;
}

}  // namespace faultline::http
