#include "faults/registry.h"

#include <google/protobuf/message.h>

#include "chaos/v1/options.pb.h"
#include "faults/network/spec.h"

namespace faultline::faults {
namespace {

std::string_view NameOf(const Kind& kind) {
  return kind.descriptor()->options().GetExtension(chaos::v1::fault_kind).name();
}

const Kind* FindKindOf(const google::protobuf::Descriptor* descriptor) {
  for (const Group& group : Groups()) {
    for (const Kind& kind : group.kinds) {
      if (kind.descriptor() == descriptor) return &kind;
    }
  }
  return nullptr;
}

}  // namespace

std::span<const Group> Groups() {
  static const Group groups[] = {
      {"network", network::Kinds()},
  };
  return groups;
}

const Kind* FindKind(std::string_view name) {
  for (const Group& group : Groups()) {
    for (const Kind& kind : group.kinds) {
      if (NameOf(kind) == name) return &kind;
    }
  }
  return nullptr;
}

std::string_view GroupOf(std::string_view kind_name) {
  for (const Group& group : Groups()) {
    for (const Kind& kind : group.kinds) {
      if (NameOf(kind) == kind_name) return group.name;
    }
  }
  return {};
}

std::unique_ptr<google::protobuf::Message> Unpack(const google::protobuf::Any& config) {
  const std::string& url = config.type_url();
  const std::string type = url.substr(url.rfind('/') + 1);
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr || FindKindOf(descriptor) == nullptr) return nullptr;
  std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  if (!message->ParseFromString(config.value())) return nullptr;
  return message;
}

std::vector<chaos::v1::FaultKindInfo> DescribeAll() {
  std::vector<chaos::v1::FaultKindInfo> all;
  for (const Group& group : Groups()) {
    for (const Kind& kind : group.kinds) all.push_back(Describe(kind));
  }
  return all;
}

std::vector<std::string> Occupies(const google::protobuf::Any& config) {
  const auto message = Unpack(config);
  if (!message) return {};
  const auto occupies = FindKindOf(message->GetDescriptor())->stacking.occupies;
  return occupies == nullptr ? std::vector<std::string>{} : occupies(*message);
}

std::optional<StackedFault> StackingOf(const google::protobuf::Any& config) {
  const auto message = Unpack(config);
  if (!message) return std::nullopt;
  const Stacking& stacking = FindKindOf(message->GetDescriptor())->stacking;
  StackedFault fault{.place = stacking.place, .acts_on = stacking.acts_on(*message)};
  if (stacking.effects != nullptr) fault.effects = stacking.effects(*message);
  return fault;
}

std::vector<std::string> LocalPortsOf(const google::protobuf::Any& config,
                                      const chaos::v1::Target& target) {
  const auto message = Unpack(config);
  if (!message) return {};
  return FindKindOf(message->GetDescriptor())->stacking.local_ports(*message, target);
}

}  // namespace faultline::faults
