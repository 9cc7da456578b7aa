// faultline targets [SELECTOR]
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/table.h"

namespace faultline::cli {
namespace {

void PrintTargets(Output& out, const chaos::v1::ListTargetsResponse& response) {
  Table table({"TARGET", "LABELS", "INTERFACE", "NETNS", "CGROUP", "PORTS", "ADDRESSES"});
  for (const auto& target : response.targets()) {
    table.Row({Cell(target.target_id(), Style::kBold), LabelsText(target.labels()),
               target.interface() + (target.at_host_end() ? " (host end)" : ""), target.netns(),
               target.cgroup(), fmt::format("{}", fmt::join(target.ports(), ",")),
               fmt::format("{}", fmt::join(target.addresses(), ","))});
  }
  table.Print(out);
}

Status RunTargets(Session& session, const std::string& selector, bool stale) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::ListTargetsRequest request;
  request.set_target(selector);
  request.set_stale(stale);
  FL_ASSIGN_OR_RETURN(const auto response, client->ListTargets(request, session.call()));
  NoteStale(session.out, response.freshness());
  if (session.out.json()) {
    session.out.Json(response);
  } else if (response.targets().empty()) {
    session.out.Note("no targets");
  } else {
    PrintTargets(session.out, response);
  }
  return absl::OkStatus();
}

}  // namespace

void AddTargets(CLI::App& app, Session& session) {
  auto selector = std::make_shared<std::string>();
  auto stale = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(app, session,
                 {"targets",
                  "List what faults can be put on",
                  {"faultline targets", "faultline targets service:checkout,version:v1"}},
                 [selector, stale](Session& s) { return RunTargets(s, *selector, *stale); });
  command->add_option("SELECTOR", *selector, "Only those that match")->type_name("");
  command->add_flag("--stale", *stale, "Ask any node, without its leader: may lag");
}

}  // namespace faultline::cli
