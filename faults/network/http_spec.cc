#include "faults/network/http_spec.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "faults/network/answer_spec.h"
#include "faults/network/dns_name_spec.h"
#include "faults/network/filter_spec.h"
#include "network/v1/answers.pb.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr size_t kMaxTermBytes = 256;

bool IsMethod(std::string_view text) {
  return IsToken(text) &&
         std::ranges::none_of(text, [](unsigned char c) { return std::islower(c) != 0; });
}

bool IsPath(std::string_view text) {
  return text.starts_with('/') && text.size() <= kMaxTermBytes &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isgraph(c) != 0; });
}

// Each of at most kMaxFilterItems texts must be what `is_good` says.
Status Check(const Texts& texts, std::string_view prefix, std::string_view name,
             bool (*is_good)(std::string_view), std::string_view allowed) {
  if (texts.size() > kMaxFilterItems) {
    return FieldError(fmt::format("{}{}", prefix, name), fmt::format("{}", fmt::join(texts, ",")),
                      fmt::format("at most {} of them", kMaxFilterItems));
  }
  for (const std::string& text : texts) {
    if (!is_good(text)) return FieldError(fmt::format("{}{}", prefix, name), text, allowed);
  }
  return absl::OkStatus();
}

}  // namespace

bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && text.size() <= kMaxTermBytes &&
         std::ranges::all_of(text, [&](unsigned char c) {
           return std::isalnum(c) != 0 || kMarks.find(static_cast<char>(c)) != kMarks.npos;
         });
}

StatusOr<HeaderTerm> ParseHeaderTerm(std::string_view text) {
  const size_t equals = text.find('=');
  HeaderTerm term{.name = std::string(text.substr(0, equals)), .value = {}};
  if (!IsToken(term.name) || text.size() > kMaxTermBytes || HasControlCharacters(text)) {
    return MakeError(StatusCode::kInvalidArgument, "'{}' names no header", text);
  }
  std::ranges::transform(term.name, term.name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (equals != text.npos) term.value = text.substr(equals + 1);
  return term;
}

Status ValidateHttpFault(const google::protobuf::Message& message, std::string_view prefix) {
  const auto& fault = static_cast<const v1::HttpFault&>(message);
  const auto field = [&](std::string_view name) { return fmt::format("{}{}", prefix, name); };
  if (fault.failure() == v1::HTTP_FAILURE_DELAY && fault.delay_ms() == 0) {
    return FieldError(field("delay_ms"), "0", "more than 0 when failure is delay");
  }
  FL_RETURN_IF_ERROR(
      Check(fault.method(), prefix, "method", IsMethod, "a method in upper case, such as GET"));
  FL_RETURN_IF_ERROR(Check(fault.path_prefix(), prefix, "path_prefix", IsPath,
                           "the beginning of a path, such as /api/"));
  FL_RETURN_IF_ERROR(Check(
      fault.host(), prefix, "host",
      [](std::string_view text) { return ParseNamePattern(text).ok(); },
      "a host name such as api.example.com, *.example.com for all below it, or * for all"));
  FL_RETURN_IF_ERROR(Check(
      fault.header(), prefix, "header",
      [](std::string_view text) { return ParseHeaderTerm(text).ok(); },
      "a header's name such as x-canary, or its name and value, such as x-user=42"));
  return ValidateRequestFilter(fault.filter(), prefix);
}

}  // namespace faultline::network
