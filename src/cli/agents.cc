// faultline agents
#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/format.h"
#include "cli/table.h"

namespace faultline::cli {
namespace {

void PrintAgents(Output& out, const chaos::v1::ListAgentsResponse& response) {
  const int64_t now_ns = UnixNowNs();
  Table table({"AGENT", "STATE", "HOST", "KERNEL", "VERSION", "NODE", "TARGETS", "LAST SEEN"});
  for (const auto& agent : response.agents()) {
    const bool up = agent.connected();
    table.Row({Cell(agent.agent_id(), Style::kBold),
               Cell(up ? "connected" : "gone", up ? Style::kGood : Style::kBad), agent.hostname(),
               agent.kernel(), agent.software_version(),
               up ? fmt::format("{}", agent.node_id()) : "",
               fmt::format("{}", agent.targets_size()),
               FormatTime(ToUnixNanos(agent.last_seen()), now_ns)});
  }
  table.Print(out);
}

void PrintCapabilities(Output& out, const chaos::v1::Agent& agent) {
  out.Line("");
  out.Line(fmt::format("{} can:", out.Styled(agent.agent_id(), Style::kBold)));
  Table table({"CAPABILITY", "HERE", "REASON"});
  for (const auto& capability : agent.capabilities()) {
    const bool has = capability.available();
    table.Row({capability.name(), Cell(has ? "yes" : "no", has ? Style::kGood : Style::kBad),
               capability.reason()});
  }
  table.Print(out, "  ");
}

Status RunAgents(Session& session, bool stale) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::ListAgentsRequest request;
  request.set_stale(stale);
  FL_ASSIGN_OR_RETURN(const auto response, client->ListAgents(request, session.call()));
  NoteStale(session.out, response.freshness());
  if (session.out.json()) {
    session.out.Json(response);
  } else if (response.agents().empty()) {
    session.out.Note("no agent has connected yet");
  } else {
    PrintAgents(session.out, response);
    for (const auto& agent : response.agents()) PrintCapabilities(session.out, agent);
  }
  return absl::OkStatus();
}

}  // namespace

void AddAgents(CLI::App& app, Session& session) {
  auto stale = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(app, session,
                 {"agents",
                  "List agents with what their hosts can do, and why not",
                  {"faultline agents", "faultline agents --json | jq '.agents[].capabilities'"}},
                 [stale](Session& s) { return RunAgents(s, *stale); });
  command->add_flag("--stale", *stale, "Ask any node, without its leader: may lag");
}

}  // namespace faultline::cli
