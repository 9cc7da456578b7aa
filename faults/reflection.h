// Inside the registry: a kind's parameters as fields of its message. Every field is a parameter by
// its own name, those of nested messages included.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "chaos/v1/options.pb.h"

namespace faultline::faults {

// One parameter: a field, its options, and the message fields that lead to it.
struct Parameter {
  std::vector<const google::protobuf::FieldDescriptor*> path;
  const google::protobuf::FieldDescriptor* field;
  const chaos::v1::ParameterOptions* declared;

  const std::string& name() const { return field->name(); }
  const chaos::v1::ParameterOptions& options() const { return *declared; }
  google::protobuf::Message* OwnerIn(google::protobuf::Message* message) const {
    for (const auto* step : path) message = message->GetReflection()->MutableMessage(message, step);
    return message;
  }
  const google::protobuf::Message& OwnerIn(const google::protobuf::Message& message) const {
    const google::protobuf::Message* owner = &message;
    for (const auto* step : path) owner = &owner->GetReflection()->GetMessage(*owner, step);
    return *owner;
  }
};

// In the order of the fields. `descriptor` is a kind's.
const std::vector<Parameter>& ParametersOf(const google::protobuf::Descriptor* descriptor);

// Name of the enum's value at `index`: "DIRECTION_EGRESS" to "egress".
std::string ChoiceName(const google::protobuf::EnumDescriptor* type, int index);

// What a value may be, in words: "0 to 60000 ms", "a whole number from 1 to 65535", "one of
// uniform, normal".
std::string Allowed(const Parameter& parameter);

}  // namespace faultline::faults
