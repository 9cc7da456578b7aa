#include "faults/network/stacking_spec.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include <algorithm>

#include "faults/network/dns_name_spec.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using faults::Effect;
using google::protobuf::Message;

std::string InOneLine(const Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

// What the filter says beside its direction; empty for nothing.
std::string Selection(v1::TrafficFilter filter) {
  filter.clear_direction();
  filter.clear_include_protected();
  filter.clear_whole_host();
  if (filter.protocol() == v1::PROTOCOL_ANY) filter.clear_protocol();
  if (filter.connections() == v1::CONNECTIONS_ANY) filter.clear_connections();
  return InOneLine(filter);
}

// "<direction>/<what> of <whose> [selection]" for each direction.
void Occupy(const v1::TrafficFilter& filter, std::string_view what, const std::string& selection,
            std::vector<std::string>* names) {
  for (const std::string& direction : DirectionsOf(filter)) {
    names->push_back(selection.empty() ? fmt::format("{}/{}", direction, what)
                                       : fmt::format("{}/{} [{}]", direction, what, selection));
  }
}

template <typename Parameters>
const Parameters& As(const Message& message) {
  return static_cast<const Parameters&>(message);
}

Effect Percent(std::string_view name, double percent) {
  return {.name = name, .unit = "%", .sum = Effect::Sum::kShares, .value = percent};
}

}  // namespace

std::vector<std::string> DirectionsOf(const v1::TrafficFilter& filter) {
  switch (filter.direction()) {
    case v1::DIRECTION_INGRESS:
      return {"network/ingress"};
    case v1::DIRECTION_BOTH:
      return {"network/egress", "network/ingress"};
    default:
      return {"network/egress"};
  }
}

std::vector<std::string> BothDirections(const Message&) {
  return {"network/egress", "network/ingress"};
}

std::vector<std::string> OccupiesConnects(const Message& message) {
  std::vector<std::string> names;
  const auto& filter = As<v1::ConnectFail>(message).filter();
  Occupy(filter, "connects", Selection(filter), &names);
  return names;
}

std::vector<std::string> OccupiesNames(const Message& message) {
  std::vector<std::string> names;
  const auto& fault = As<v1::DnsFault>(message);
  for (const std::string& name : fault.names()) {
    const auto pattern = ParseNamePattern(name);
    Occupy(fault.filter(), "dns of " + (pattern.ok() ? *pattern : name), Selection(fault.filter()),
           &names);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> OccupiesRequests(const Message& message) {
  std::vector<std::string> names;
  v1::HttpFault which = As<v1::HttpFault>(message);
  const v1::TrafficFilter filter = which.filter();
  which.clear_filter();
  which.clear_failure();
  which.clear_status();
  which.clear_delay_ms();
  std::string selection = InOneLine(which);
  if (const std::string narrowed = Selection(filter); !narrowed.empty()) {
    selection += (selection.empty() ? "" : " ") + narrowed;
  }
  Occupy(filter, "http requests", selection, &names);
  return names;
}

std::vector<Effect> EffectsOfLatency(const Message& message) {
  return {{.name = "delay_ms",
           .unit = "ms",
           .sum = Effect::Sum::kAdd,
           .value = As<v1::NetworkLatency>(message).delay_ms()}};
}

std::vector<Effect> EffectsOfLoss(const Message& message) {
  return {Percent("loss_percent", As<v1::NetworkLoss>(message).loss_percent())};
}

std::vector<Effect> EffectsOfLosingAll(const Message&) { return {Percent("loss_percent", 100)}; }

std::vector<Effect> EffectsOfBandwidth(const Message& message) {
  return {{.name = "rate_bps",
           .unit = "bps",
           .sum = Effect::Sum::kLeast,
           .value = As<v1::NetworkBandwidth>(message).rate_bps()}};
}

// Each sends its own copies: of two that copy all, three packets come.
std::vector<Effect> EffectsOfDuplicate(const Message& message) {
  return {{.name = "duplicate_percent",
           .unit = "%",
           .sum = Effect::Sum::kAdd,
           .value = As<v1::NetworkDuplicate>(message).duplicate_percent()}};
}

std::vector<Effect> EffectsOfCorrupt(const Message& message) {
  return {Percent("corrupt_percent", As<v1::NetworkCorrupt>(message).corrupt_percent())};
}

std::vector<Effect> EffectsOfReorder(const Message& message) {
  return {Percent("reorder_percent", As<v1::NetworkReorder>(message).reorder_percent())};
}

}  // namespace faultline::network
