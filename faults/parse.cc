// Text parameters to a kind's typed message.
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "base/units.h"
#include "faults/reflection.h"
#include "faults/registry.h"

namespace faultline::faults {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool InRange(const Parameter& parameter, double value) {
  const auto& options = parameter.options();
  return !(options.has_min() && value < options.min()) &&
         !(options.has_max() && value > options.max());
}

Status SetNumber(const Parameter& parameter, std::string_view text, std::string_view field,
                 Message* owner) {
  const std::string& unit = parameter.options().unit();
  const auto value = ParseQuantity(text, unit);
  if (!value.ok()) {
    const std::string units = UnitsLike(unit);
    return FieldError(
        field, text,
        units.empty() ? Allowed(parameter)
                      : fmt::format("{} (a number, or one with {})", Allowed(parameter), units));
  }
  if (!InRange(parameter, *value)) return FieldError(field, text, Allowed(parameter));
  owner->GetReflection()->SetDouble(owner, parameter.field, *value);
  return absl::OkStatus();
}

Status SetInteger(const Parameter& parameter, std::string_view text, std::string_view field,
                  Message* owner) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  const bool fits =
      parameter.field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64 || value <= UINT32_MAX;
  if (error != std::errc() || end != text.end() || !fits ||
      !InRange(parameter, static_cast<double>(value))) {
    return FieldError(field, text, Allowed(parameter));
  }
  const auto* reflection = owner->GetReflection();
  if (parameter.field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
    reflection->SetUInt64(owner, parameter.field, value);
  } else if (parameter.field->is_repeated()) {
    reflection->AddUInt32(owner, parameter.field, static_cast<uint32_t>(value));
  } else {
    reflection->SetUInt32(owner, parameter.field, static_cast<uint32_t>(value));
  }
  return absl::OkStatus();
}

Status SetChoice(const Parameter& parameter, std::string_view text, std::string_view field,
                 Message* owner) {
  const EnumDescriptor* type = parameter.field->enum_type();
  for (int i = 1; i < type->value_count(); ++i) {
    if (ChoiceName(type, i) != text) continue;
    owner->GetReflection()->SetEnum(owner, parameter.field, type->value(i));
    return absl::OkStatus();
  }
  return FieldError(field, text, Allowed(parameter));
}

Status SetOne(const Parameter& parameter, std::string_view text, std::string_view field,
              Message* owner) {
  switch (parameter.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return SetNumber(parameter, text, field, owner);
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return SetInteger(parameter, text, field, owner);
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetChoice(parameter, text, field, owner);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return FieldError(field, text, Allowed(parameter));
      owner->GetReflection()->SetBool(owner, parameter.field, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_STRING:
      if (parameter.field->is_repeated()) {
        owner->GetReflection()->AddString(owner, parameter.field, std::string(text));
      } else {
        owner->GetReflection()->SetString(owner, parameter.field, std::string(text));
      }
      return absl::OkStatus();
    default:
      return MakeError(StatusCode::kInternal, "{}: a parameter cannot be of this field type",
                       field);
  }
}

Status Set(const Parameter& parameter, std::string_view text, std::string_view field,
           Message* message) {
  Message* owner = parameter.OwnerIn(message);
  text = Trimmed(text);
  if (!parameter.field->is_repeated()) return SetOne(parameter, text, field, owner);
  while (!text.empty()) {
    const size_t comma = text.find(',');
    FL_RETURN_IF_ERROR(SetOne(parameter, Trimmed(text.substr(0, comma)), field, owner));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return SetOne(parameter, text, field, owner);
  }
  return absl::OkStatus();
}

// The field of the request in which the kind itself stands.
std::string KindField(std::string_view parameters_prefix) {
  constexpr std::string_view kParameters = "parameters.";
  if (parameters_prefix == kParameters || !parameters_prefix.ends_with(kParameters)) {
    return "fault_type";
  }
  parameters_prefix.remove_suffix(kParameters.size());
  return fmt::format("{}kind", parameters_prefix);
}

Status RefuseUnknown(const Descriptor* descriptor, const std::vector<Parameter>& known,
                     const std::map<std::string, std::string>& given, std::string_view prefix) {
  for (const auto& [name, text] : given) {
    const auto is_name = [&name](const Parameter& p) { return p.name() == name; };
    if (std::any_of(known.begin(), known.end(), is_name)) continue;
    std::vector<std::string> names;
    for (const auto& parameter : known) names.push_back(parameter.name());
    return FieldError(fmt::format("{}{}", prefix, name), text,
                      fmt::format("the parameters of {} are {}",
                                  descriptor->options().GetExtension(chaos::v1::fault_kind).name(),
                                  fmt::join(names, ", ")),
                      "UNKNOWN_PARAMETER");
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<google::protobuf::Any> ParseParameters(std::string_view kind_name,
                                                const std::map<std::string, std::string>& given,
                                                std::string_view field_prefix) {
  const Kind* kind = FindKind(kind_name);
  if (kind == nullptr) {
    std::vector<std::string> names;
    for (const auto& info : DescribeAll()) names.push_back(info.name());
    return FieldError(KindField(field_prefix), kind_name,
                      fmt::format("one of {}", fmt::join(names, ", ")), "UNKNOWN_FAULT_KIND");
  }
  const Descriptor* descriptor = kind->descriptor();
  const std::vector<Parameter>& parameters = ParametersOf(descriptor);
  FL_RETURN_IF_ERROR(RefuseUnknown(descriptor, parameters, given, field_prefix));
  std::unique_ptr<Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  for (const auto& parameter : parameters) {
    const auto found = given.find(parameter.name());
    const std::string& text =
        found == given.end() ? parameter.options().default_value() : found->second;
    const bool missing = found == given.end() && parameter.options().required();
    if (found == given.end() && text.empty() && !missing) continue;
    const std::string field = fmt::format("{}{}", field_prefix, parameter.name());
    if (missing) {
      return FieldError(field, "", fmt::format("it must be given: {}", Allowed(parameter)));
    }
    FL_RETURN_IF_ERROR(Set(parameter, text, field, message.get()));
  }
  FL_RETURN_IF_ERROR(kind->validate(*message, field_prefix));
  google::protobuf::Any config;
  config.PackFrom(*message);
  return config;
}

}  // namespace faultline::faults
