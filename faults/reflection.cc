#include "faults/reflection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "faults/registry.h"

namespace faultline::faults {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Collect(const Descriptor* descriptor, std::vector<const FieldDescriptor*> path,
             std::vector<Parameter>* parameters) {
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      auto longer = path;
      longer.push_back(field);
      Collect(field->message_type(), std::move(longer), parameters);
    } else {
      parameters->push_back({path, field, &field->options().GetExtension(chaos::v1::parameter)});
    }
  }
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> Choices(const EnumDescriptor* type) {
  std::vector<std::string> names;
  for (int i = 1; i < type->value_count(); ++i) names.push_back(ChoiceName(type, i));
  return names;
}

std::string OneToText(const Message& owner, const FieldDescriptor* field, int index) {
  const auto* reflection = owner.GetReflection();
  const bool list = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return fmt::format("{}", reflection->GetDouble(owner, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return fmt::format("{}", list ? reflection->GetRepeatedUInt32(owner, field, index)
                                    : reflection->GetUInt32(owner, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return fmt::format("{}", reflection->GetUInt64(owner, field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return ChoiceName(field->enum_type(), reflection->GetEnum(owner, field)->index());
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(owner, field) ? "true" : "false";
    default:
      return list ? reflection->GetRepeatedString(owner, field, index)
                  : reflection->GetString(owner, field);
  }
}

std::string TypeName(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "number";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "choice";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "flag";
    case FieldDescriptor::CPPTYPE_STRING:
      return field->is_repeated() ? "text list" : "text";
    default:
      return field->is_repeated() ? "integer list" : "integer";
  }
}

}  // namespace

const std::vector<Parameter>& ParametersOf(const Descriptor* descriptor) {
  // Each experiment's start asks: options are extensions, and slow to be found.
  static const auto* const all = [] {
    auto* of = new std::map<const Descriptor*, std::vector<Parameter>>;
    for (const Group& group : Groups()) {
      for (const Kind& kind : group.kinds)
        Collect(kind.descriptor(), {}, &(*of)[kind.descriptor()]);
    }
    return of;
  }();
  return all->at(descriptor);
}

std::string ChoiceName(const EnumDescriptor* type, int index) {
  // By convention each value begins with the zero value's prefix, as in "DIRECTION_UNSPECIFIED".
  constexpr std::string_view kZero = "UNSPECIFIED";
  const size_t prefix = type->value(0)->name().size() - kZero.size();
  return Lower(type->value(index)->name().substr(prefix));
}

std::string Allowed(const Parameter& parameter) {
  const auto& options = parameter.options();
  const std::string unit = options.unit().empty() ? "" : " " + options.unit();
  std::string range;
  if (options.has_min() && options.has_max()) {
    range = fmt::format("{} to {}{}", options.min(), options.max(), unit);
  } else if (options.has_min()) {
    range = fmt::format("at least {}{}", options.min(), unit);
  } else if (options.has_max()) {
    range = fmt::format("at most {}{}", options.max(), unit);
  }
  switch (parameter.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM:
      return fmt::format("one of {}", fmt::join(Choices(parameter.field->enum_type()), ", "));
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return range.empty() ? "a number" + unit : range;
    case FieldDescriptor::CPPTYPE_STRING:
      return "a text";
    default:
      return range.empty() ? "a whole number" : "a whole number from " + range;
  }
}

std::map<std::string, std::string> ParametersToText(const google::protobuf::Any& config) {
  std::map<std::string, std::string> result;
  const auto message = Unpack(config);
  if (!message) return result;
  for (const auto& parameter : ParametersOf(message->GetDescriptor())) {
    const Message& owner = parameter.OwnerIn(std::as_const(*message));
    if (!parameter.field->is_repeated()) {
      if (parameter.field->has_optional_keyword() &&
          !owner.GetReflection()->HasField(owner, parameter.field)) {
        continue;
      }
      result[parameter.name()] = OneToText(owner, parameter.field, 0);
      continue;
    }
    const int size = owner.GetReflection()->FieldSize(owner, parameter.field);
    if (size == 0) continue;
    std::vector<std::string> items;
    for (int i = 0; i < size; ++i) items.push_back(OneToText(owner, parameter.field, i));
    result[parameter.name()] = fmt::format("{}", fmt::join(items, ","));
  }
  return result;
}

std::vector<std::string> CapabilitiesOf(const Kind& kind) {
  const auto& names =
      kind.descriptor()->options().GetExtension(chaos::v1::fault_kind).capabilities();
  return {names.begin(), names.end()};
}

const chaos::v1::EffectOptions* CountedEffectOf(const Kind& kind) {
  const auto& options = kind.descriptor()->options().GetExtension(chaos::v1::fault_kind);
  return options.has_effect() ? &options.effect() : nullptr;
}

std::string WhyNotMeasured(const Kind& kind, std::string_view parameter) {
  for (const auto& known : ParametersOf(kind.descriptor())) {
    if (known.name() == parameter) return known.options().not_measured();
  }
  return "";
}

chaos::v1::FaultKindInfo Describe(const Kind& kind) {
  const Descriptor* descriptor = kind.descriptor();
  const auto& options = descriptor->options().GetExtension(chaos::v1::fault_kind);
  chaos::v1::FaultKindInfo info;
  info.set_name(options.name());
  info.set_summary(options.summary());
  *info.mutable_capabilities() = options.capabilities();
  for (const auto& parameter : ParametersOf(descriptor)) {
    const auto& described = parameter.options();
    auto* out = info.add_parameters();
    out->set_name(parameter.name());
    out->set_type(TypeName(parameter.field));
    out->set_unit(described.unit());
    out->set_default_value(described.default_value());
    if (described.has_min()) out->set_min(described.min());
    if (described.has_max()) out->set_max(described.max());
    out->set_help(described.help());
    out->set_measured_by(described.measured_by());
    out->set_required(described.required());
    if (parameter.field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      for (auto& choice : Choices(parameter.field->enum_type())) out->add_choices(choice);
    }
  }
  return info;
}

}  // namespace faultline::faults
