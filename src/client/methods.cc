#include "client/methods.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <array>

namespace faultline::client {
namespace {

template <auto kMethod, typename Request>
StatusOr<JsonCall> Parse(std::string_view json) {
  Request request;
  FL_RETURN_IF_ERROR(FromJson(json, &request));
  return JsonCall([request = std::move(request)](
                      Client& client, const CallOptions& options) -> StatusOr<std::string> {
    FL_ASSIGN_OR_RETURN(const auto response, (client.*kMethod)(request, options));
    return ToJson(response);
  });
}

struct Method {
  std::string_view name;
  StatusOr<JsonCall> (*parse)(std::string_view json);
};

constexpr std::array kMethods = {
    Method{"AddMember", Parse<&Client::AddMember, chaos::v1::AddMemberRequest>},
    Method{"GetCluster", Parse<&Client::GetCluster, chaos::v1::GetClusterRequest>},
    Method{"GetExperiment", Parse<&Client::GetExperiment, chaos::v1::GetExperimentRequest>},
    Method{"GetReport", Parse<&Client::GetReport, chaos::v1::GetReportRequest>},
    Method{"ListAgents", Parse<&Client::ListAgents, chaos::v1::ListAgentsRequest>},
    Method{"ListExperiments", Parse<&Client::ListExperiments, chaos::v1::ListExperimentsRequest>},
    Method{"ListFaultKinds", Parse<&Client::ListFaultKinds, chaos::v1::ListFaultKindsRequest>},
    Method{"ListTargets", Parse<&Client::ListTargets, chaos::v1::ListTargetsRequest>},
    Method{"PromoteMember", Parse<&Client::PromoteMember, chaos::v1::PromoteMemberRequest>},
    Method{"RemoveMember", Parse<&Client::RemoveMember, chaos::v1::RemoveMemberRequest>},
    Method{"SetMemberAddress",
           Parse<&Client::SetMemberAddress, chaos::v1::SetMemberAddressRequest>},
    Method{"StartExperiment", Parse<&Client::StartExperiment, chaos::v1::StartExperimentRequest>},
    Method{"StopExperiment", Parse<&Client::StopExperiment, chaos::v1::StopExperimentRequest>},
    Method{"TransferLeadership",
           Parse<&Client::TransferLeadership, chaos::v1::TransferLeadershipRequest>},
};

}  // namespace

StatusOr<JsonCall> ParseCall(std::string_view method, std::string_view json) {
  const auto found = std::find_if(kMethods.begin(), kMethods.end(),
                                  [&](const Method& m) { return m.name == method; });
  if (found != kMethods.end()) return found->parse(json);
  return MakeDetailedError(StatusCode::kUnimplemented, "UNKNOWN_METHOD",
                           fmt::format("there is no method '{}'", method));
}

Status FromJson(std::string_view json, google::protobuf::Message* message) {
  if (json.empty()) return absl::OkStatus();
  const auto parsed =
      google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, message);
  if (parsed.ok()) return absl::OkStatus();
  return MakeDetailedError(
      StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
      fmt::format("the text is no {}: {}", message->GetDescriptor()->name(),
                  std::string(parsed.message().data(), parsed.message().size())));
}

std::string ToJson(const google::protobuf::Message& message) {
  std::string json;
  // Fails only for an Any of an unknown type, and no answer of the API has one.
  const auto printed = google::protobuf::util::MessageToJsonString(message, &json);
  return printed.ok() ? json : "{}";
}

}  // namespace faultline::client
