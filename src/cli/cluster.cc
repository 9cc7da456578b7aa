// faultline cluster status; what changes members is in cluster_members.cc, snapshot in snapshot.cc
#include "base/clock.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/table.h"

namespace faultline::cli {
namespace {

std::string RoleWord(const chaos::v1::ClusterMember& member) {
  if (!member.reachable()) return "unreachable";
  switch (member.role()) {
    case chaos::v1::MEMBER_ROLE_LEADER:
      return "leader";
    case chaos::v1::MEMBER_ROLE_FOLLOWER:
      return "follower";
    case chaos::v1::MEMBER_ROLE_CANDIDATE:
      return "candidate";
    default:
      return "failed";
  }
}

Style RoleStyle(const chaos::v1::ClusterMember& member) {
  const bool well = member.reachable() && (member.role() == chaos::v1::MEMBER_ROLE_LEADER ||
                                           member.role() == chaos::v1::MEMBER_ROLE_FOLLOWER);
  return well ? Style::kGood : Style::kBad;
}

void PrintMembers(Output& out, const chaos::v1::GetClusterResponse& cluster) {
  Table table({"NODE", "ADDRESS", "VOTES", "ROLE", "MATCH", "LAG", "LAST CONTACT", "ROUND TRIP",
               "VERSION"});
  const bool led = cluster.leader_id() != 0;
  for (const auto& member : cluster.members()) {
    const bool leads = member.node_id() == cluster.leader_id();
    table.Row({Cell(fmt::format("{}", member.node_id()), Style::kBold), member.address(),
               Cell(std::string(member.voter() ? "voter" : "learner")),
               Cell(RoleWord(member), RoleStyle(member)),
               led ? fmt::format("{}", member.match_index()) : "",
               led ? fmt::format("{}", member.lag_entries()) : "",
               !led || leads               ? ""
               : member.has_last_contact() ? FormatDuration(member.last_contact())
                                           : "never",
               FormatLatencyMs(static_cast<double>(member.round_trip_us()) / 1e3),
               member.version()});
  }
  table.Print(out);
}

void PrintCluster(Output& out, const chaos::v1::GetClusterResponse& cluster) {
  const auto fact = [&](std::string_view name, const std::string& text) {
    out.Line(fmt::format("{:<8} {}", name, text));
  };
  fact("cluster", cluster.cluster_id().empty() ? "(has had no leader yet)" : cluster.cluster_id());
  fact("leader", cluster.leader_id() == 0
                     ? out.Styled("none", Style::kBad)
                     : fmt::format("node {}, term {}", cluster.leader_id(), cluster.term()));
  fact("quorum", cluster.has_quorum() ? out.Styled("yes", Style::kGood)
                                      : out.Styled("no: nothing can be started", Style::kBad));
  fact("timeouts", fmt::format("heartbeat {}, election {}", FormatDuration(cluster.heartbeat()),
                               FormatDuration(cluster.election_timeout())));
  if (cluster.change_pending()) fact("change", "of members under way");
  out.Line("");
  PrintMembers(out, cluster);
  if (cluster.removed()) {
    out.Note(
        fmt::format("node {}, which answers, was removed from the cluster", cluster.node_id()));
  }
  for (const auto& [reason, count] : cluster.refused_peers()) {
    if (reason == "ADDRESS_NOT_RESOLVED") {
      out.Note(
          fmt::format("node {} could not resolve a member's address {} times: its log says "
                      "which",
                      cluster.node_id(), count));
      continue;
    }
    out.Note(fmt::format("node {} refused others {} times: {}", cluster.node_id(), count, reason));
  }
}

Status RunStatus(Session& session) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  FL_ASSIGN_OR_RETURN(const auto response, client->GetCluster({}, session.call()));
  if (session.out.json()) {
    session.out.Json(response);
  } else {
    PrintCluster(session.out, response);
  }
  return absl::OkStatus();
}

}  // namespace

void AddCluster(CLI::App& app, Session& session) {
  CLI::App* cluster =
      app.add_subcommand("cluster", "Show and change who belongs to the control plane");
  cluster->footer(
      ExamplesText({"faultline cluster status", "faultline cluster add 4 10.0.0.4:7401 --promote",
                    "faultline cluster remove 2", "faultline cluster transfer 3"}));
  cluster->require_subcommand(1);
  AddCommand(*cluster, session,
             {"status",
              "Show the nodes, who leads, and how far each has come",
              {"faultline cluster status", "faultline cluster status --json | jq .leader_id"},
              "Works without a quorum too, and says so."},
             RunStatus);
  AddMemberChanges(*cluster, session);
  AddSnapshot(*cluster, session);
}

}  // namespace faultline::cli
