// What a program shows of itself over HTTP: /metrics for Prometheus, /healthz and /readyz for
// probes. Values are collected when they are asked for: nothing is kept up to date for nobody.
#pragma once

#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/meter.h"
#include "http/listener.h"

namespace faultline::http {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Metric families while they are collected. Values of one name stand together.
class Families {
 public:
  // Names end in _total for counters and in their unit otherwise (_seconds, _bytes).
  void Counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void Counter(const std::string& name, const std::string& help, const faultline::Counter& value,
               const Labels& labels = {});
  void Gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  // In seconds.
  void Histogram(const std::string& name, const std::string& help, const DurationMeter& meter,
                 const Labels& labels = {});
  // Any buckets: `upper` are their bounds, and `counts` has one more, for what is above.
  void Histogram(const std::string& name, const std::string& help, const std::vector<double>& upper,
                 const std::vector<uint64_t>& counts, double sum, const Labels& labels = {});

  // What is much: `add` is called where the families are taken, on another thread than the one that
  // collects them, and adds what it has a copy of.
  void AddLater(std::function<void(Families&)> add);

  // Together with what was to be added later.
  std::vector<prometheus::MetricFamily> Take();

 private:
  prometheus::ClientMetric& Add(const std::string& name, const std::string& help,
                                prometheus::MetricType type, const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
  std::vector<std::function<void(Families&)>> later_;
};

// Prometheus's text format, version 0.0.4.
std::string ToText(const std::vector<prometheus::MetricFamily>& families);

// Why the program is not alive, or not ready; nothing when it is.
using Reasons = std::vector<std::string>;

// What is shown. Each is called on the listener's thread, must not block, and calls back once, from
// any thread.
struct Sources {
  std::function<void(std::function<void(Families)>)> metrics;
  std::function<void(std::function<void(Reasons)>)> health;
  std::function<void(std::function<void(Reasons)>)> readiness;
};

// The three paths. /healthz and /readyz answer 200 "ok", or 503 with a reason on each line. What is
// the same for every program (build, certificate, process, scrapes) is added to `sources.metrics`;
// what they give is made text on the listener's thread, however large it is.
Routes ExpositionRoutes(const std::string& program, const std::string& version, Sources sources,
                        const rpc::TlsFiles& tls = {});

}  // namespace faultline::http
