// Every fault kind that Faultline knows: the one table. Pure: no Linux, gRPC or BPF here.
// To add a kind: its parameter message in its group's folder, one row in that group's kinds table;
// a new group adds one line in registry.cc and one in drivers.cc.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chaos/v1/chaos.pb.h"
#include "chaos/v1/experiment.pb.h"
#include "chaos/v1/options.pb.h"

namespace faultline::faults {

// What a fault adds to what its target's faults come to together.
struct Effect {
  enum class Sum {
    kAdd,     // delays
    kShares,  // shares in percent of what the others leave: losses multiply
    kLeast,   // rates
  };
  std::string_view name;  // such as "delay_ms"
  std::string_view unit;
  Sum sum = Sum::kAdd;
  double value = 0;
};

// How the faults of a kind go together with others on one target. Functions of a message of the
// kind's descriptor.
struct Stacking {
  // Faults that act on the same do so in the order of this number; those with the same number in
  // the order in which they were armed.
  int place = 0;
  // What it acts on, such as "network/egress". Sorted.
  std::vector<std::string> (*acts_on)(const google::protobuf::Message& message);
  // Ports of the target to which it keeps, such as "80" or "8000-8100"; empty: any.
  std::vector<std::string> (*local_ports)(const google::protobuf::Message& message,
                                          const chaos::v1::Target& target);
  // What a fault takes for itself, such as "network/egress/connects": two faults with a name in
  // common may not be on one target. Sorted; nullptr: nothing.
  std::vector<std::string> (*occupies)(const google::protobuf::Message& message) = nullptr;
  // nullptr: nothing that adds up.
  std::vector<Effect> (*effects)(const google::protobuf::Message& message) = nullptr;
};

// One row of a group's table.
struct Kind {
  // Descriptor of the kind's parameter message; name, summary and needs are its options.
  const google::protobuf::Descriptor* (*descriptor)();
  // What the field options cannot say (one parameter against another, the form of an address).
  // `message` is of that descriptor, with defaults filled in. Errors by FieldError, the field
  // named "<prefix><parameter>".
  Status (*validate)(const google::protobuf::Message& message, std::string_view field_prefix);
  Stacking stacking;
};

struct Group {
  std::string_view name;  // folder below faults/
  std::span<const Kind> kinds;
};

std::span<const Group> Groups();

// Kind of that name, or nullptr.
const Kind* FindKind(std::string_view name);
// Name of the group that a kind belongs to; empty when unknown.
std::string_view GroupOf(std::string_view kind_name);

// Text parameters to the kind's typed message: units, ranges, defaults and unknown names checked,
// then the kind's own validate. Errors name the field as "<field_prefix><parameter>", the value and
// what is allowed. INVALID_ARGUMENT with reason UNKNOWN_FAULT_KIND for an unknown kind, listing
// those that exist. The kind's own field is then "fault_type", or "<path>.kind" for a prefix
// "<path>.parameters.".
StatusOr<google::protobuf::Any> ParseParameters(
    std::string_view kind_name, const std::map<std::string, std::string>& parameters,
    std::string_view field_prefix = "parameters.");

// The reverse: every parameter with its value as text, units left out; empty lists and optional
// fields that were not given are not there. Parsing the result again gives the same message.
std::map<std::string, std::string> ParametersToText(const google::protobuf::Any& config);

// The typed message inside, of the generated class; nullptr when the type is not a kind's.
std::unique_ptr<google::protobuf::Message> Unpack(const google::protobuf::Any& config);

// Names of the agent capabilities that the kind needs.
std::vector<std::string> CapabilitiesOf(const Kind& kind);

// What the kind's faults do to packets, where no parameter says to how many; nullptr: nothing, or a
// parameter does.
const chaos::v1::EffectOptions* CountedEffectOf(const Kind& kind);
// Why nothing measures the parameter of that name, in a few words.
std::string WhyNotMeasured(const Kind& kind, std::string_view parameter);

// For ListFaultKinds, flags, forms and docs.
chaos::v1::FaultKindInfo Describe(const Kind& kind);
std::vector<chaos::v1::FaultKindInfo> DescribeAll();

// What a fault of this configuration takes for itself on its target (Stacking::occupies); empty
// when the type is not a kind's.
std::vector<std::string> Occupies(const google::protobuf::Any& config);

// How a fault of this configuration goes together with others (Stacking); none when the type is not
// a kind's.
struct StackedFault {
  int place = 0;
  std::vector<std::string> acts_on{};
  std::vector<Effect> effects{};
};
std::optional<StackedFault> StackingOf(const google::protobuf::Any& config);
// The ports of that target to which a fault of this configuration keeps (Stacking); empty when it
// keeps to none, and when the type is not a kind's.
std::vector<std::string> LocalPortsOf(const google::protobuf::Any& config,
                                      const chaos::v1::Target& target);

}  // namespace faultline::faults
