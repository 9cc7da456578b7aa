// faultline faults [KIND]
#include "cli/command.h"
#include "cli/kind_flags.h"
#include "cli/table.h"
#include "faults/registry.h"

namespace faultline::cli {
namespace {

void PrintKinds(Output& out, const chaos::v1::ListFaultKindsResponse& response) {
  Table table({"KIND", "NEEDS", "WHAT IT DOES"});
  for (const auto& kind : response.kinds()) {
    table.Row({Cell(kind.name(), Style::kBold),
               fmt::format("{}", fmt::join(kind.capabilities(), ", ")), kind.summary()});
  }
  table.Print(out);
}

void PrintKind(Output& out, const chaos::v1::FaultKindInfo& kind) {
  out.Line(fmt::format("{}: {}", out.Styled(kind.name(), Style::kBold), kind.summary()));
  out.Line(fmt::format("needs {}", fmt::join(kind.capabilities(), ", ")));
  out.Line("");
  Table table({"PARAMETER", "VALUE", "MEANING"});
  for (const auto& parameter : kind.parameters()) {
    table.Row({parameter.name(), FlagType(parameter), FlagHelp(parameter)});
  }
  table.Print(out);
}

StatusOr<chaos::v1::ListFaultKindsResponse> Fetch(Session& session, bool offline) {
  chaos::v1::ListFaultKindsResponse response;
  if (offline) {
    for (auto& kind : faults::DescribeAll()) *response.add_kinds() = std::move(kind);
    return response;
  }
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  return client->ListFaultKinds({}, session.call());
}

Status RunFaults(Session& session, const std::string& name, bool offline) {
  FL_ASSIGN_OR_RETURN(auto response, Fetch(session, offline));
  if (!name.empty()) {
    const std::vector<chaos::v1::FaultKindInfo> kinds(response.kinds().begin(),
                                                      response.kinds().end());
    const auto kind = KindOnLine(kinds, {"start", name});
    if (!kind) {
      std::vector<std::string> names;
      for (const auto& known : kinds) names.push_back(known.name());
      return FieldError("KIND", name, fmt::format("one of {}", fmt::join(names, ", ")),
                        "UNKNOWN_FAULT_KIND", StatusCode::kNotFound);
    }
    response.clear_kinds();
    *response.add_kinds() = *kind;
  }
  if (session.out.json()) {
    session.out.Json(response);
  } else if (name.empty()) {
    PrintKinds(session.out, response);
  } else {
    PrintKind(session.out, response.kinds(0));
  }
  return absl::OkStatus();
}

}  // namespace

void AddFaults(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  auto offline = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(app, session,
                 {"faults",
                  "List the kinds of faults, or one kind's parameters",
                  {"faultline faults",
                   fmt::format("faultline faults {}", faults::DescribeAll().front().name()),
                   "faultline faults --offline --json"}},
                 [name, offline](Session& s) { return RunFaults(s, *name, *offline); });
  command->add_option("KIND", *name, "This kind with its parameters")->type_name("");
  command->add_flag("--offline", *offline, "Those this program knows, without asking a controller");
}

}  // namespace faultline::cli
