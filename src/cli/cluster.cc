// faultline cluster status|add|promote|remove|address|replace|transfer; snapshot is in snapshot.cc
#include "base/clock.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/table.h"

namespace faultline::cli {
namespace {

struct ClusterArguments {
  uint64_t id = 0;
  uint64_t other_id = 0;
  std::string address;
  bool promote = false;
};
using Arguments = std::shared_ptr<ClusterArguments>;

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

// Says on standard output what was done; as JSON, the response.
void Done(Session& session, const google::protobuf::Message& response, const std::string& text) {
  if (session.out.json()) {
    session.out.Json(response);
  } else {
    session.out.Line(text);
  }
}

Status Add(Session& session, uint64_t id, const std::string& address) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::AddMemberRequest request;
  request.set_node_id(id);
  request.set_address(address);
  FL_ASSIGN_OR_RETURN(const auto response, client->AddMember(request, session.call()));
  Done(session, response, fmt::format("node {} is a learner", id));
  return absl::OkStatus();
}

Status Promote(Session& session, uint64_t id) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::PromoteMemberRequest request;
  request.set_node_id(id);
  FL_ASSIGN_OR_RETURN(const auto response, client->PromoteMember(request, session.call()));
  Done(session, response, fmt::format("node {} is a voter", id));
  return absl::OkStatus();
}

Status Remove(Session& session, uint64_t id) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::RemoveMemberRequest request;
  request.set_node_id(id);
  FL_ASSIGN_OR_RETURN(const auto response, client->RemoveMember(request, session.call()));
  Done(session, response, fmt::format("node {} is no member any more; stop it", id));
  return absl::OkStatus();
}

Status SetAddress(Session& session, const ClusterArguments& arguments) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::SetMemberAddressRequest request;
  request.set_node_id(arguments.id);
  request.set_address(arguments.address);
  FL_ASSIGN_OR_RETURN(const auto response, client->SetMemberAddress(request, session.call()));
  Done(session, response, fmt::format("node {} is reached at {}", arguments.id, arguments.address));
  return absl::OkStatus();
}

Status Transfer(Session& session, uint64_t id) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::TransferLeadershipRequest request;
  request.set_node_id(id);
  FL_ASSIGN_OR_RETURN(const auto response, client->TransferLeadership(request, session.call()));
  Done(session, response,
       response.leader_id() == 0 ? "leadership was handed over"
                                 : fmt::format("node {} leads", response.leader_id()));
  return absl::OkStatus();
}

CLI::App* AddIdCommand(CLI::App& cluster, Session& session, const CommandText& text,
                       const Arguments& arguments, std::function<Status(Session&)> run) {
  CLI::App* command = AddCommand(cluster, session, text, std::move(run));
  command->add_option("NODE", arguments->id, "The node's number")->type_name("")->required();
  return command;
}

void AddAddressOption(CLI::App* command, const Arguments& arguments) {
  command
      ->add_option("ADDRESS", arguments->address,
                   "host:port of its peer listener, as other nodes reach it")
      ->type_name("")
      ->required();
}

void AddChanges(CLI::App& cluster, Session& session, const Arguments& arguments) {
  CLI::App* add =
      AddIdCommand(cluster, session,
                   {"add",
                    "Add a node as a learner: it gets the log, without voting",
                    {"faultline cluster add 4 node4.example.org:7401",
                     "faultline cluster add 4 10.0.0.4:7401 --promote"},
                    "The node itself is started with --join, before or after."},
                   arguments, [arguments](Session& s) {
                     FL_RETURN_IF_ERROR(Add(s, arguments->id, arguments->address));
                     return arguments->promote ? Promote(s, arguments->id) : absl::OkStatus();
                   });
  AddAddressOption(add, arguments);
  add->add_flag("--promote", arguments->promote, "Make it a voter as soon as it has caught up");
  AddIdCommand(
      cluster, session,
      {"promote", "Make a learner a voter, once it has caught up", {"faultline cluster promote 4"}},
      arguments, [arguments](Session& s) { return Promote(s, arguments->id); });
  AddIdCommand(
      cluster, session,
      {"remove", "Remove a node; a leader hands over first", {"faultline cluster remove 2"}},
      arguments, [arguments](Session& s) { return Remove(s, arguments->id); });
  CLI::App* address =
      AddIdCommand(cluster, session,
                   {"address",
                    "Change the address at which others reach a node",
                    {"faultline cluster address 2 node2.example.org:7401"}},
                   arguments, [arguments](Session& s) { return SetAddress(s, *arguments); });
  AddAddressOption(address, arguments);
  CLI::App* replace =
      AddIdCommand(cluster, session,
                   {"replace",
                    "Put a new node in the place of one: add, promote, remove",
                    {"faultline cluster replace 2 4 10.0.0.4:7401"}},
                   arguments, [arguments](Session& s) {
                     FL_RETURN_IF_ERROR(Add(s, arguments->other_id, arguments->address));
                     FL_RETURN_IF_ERROR(Promote(s, arguments->other_id));
                     return Remove(s, arguments->id);
                   });
  replace->add_option("NEW", arguments->other_id, "The new node's number")
      ->type_name("")
      ->required();
  AddAddressOption(replace, arguments);
}

}  // namespace

void AddCluster(CLI::App& app, Session& session) {
  CLI::App* cluster =
      app.add_subcommand("cluster", "Show and change who belongs to the control plane");
  cluster->footer(
      ExamplesText({"faultline cluster status", "faultline cluster add 4 10.0.0.4:7401 --promote",
                    "faultline cluster remove 2", "faultline cluster transfer 3"}));
  cluster->require_subcommand(1);
  const auto arguments = std::make_shared<ClusterArguments>();
  AddCommand(*cluster, session,
             {"status",
              "Show the nodes, who leads, and how far each has come",
              {"faultline cluster status", "faultline cluster status --json | jq .leader_id"},
              "Works without a quorum too, and says so."},
             RunStatus);
  AddChanges(*cluster, session, arguments);
  CLI::App* transfer = AddCommand(*cluster, session,
                                  {"transfer",
                                   "Hand leadership to another node, without a pause",
                                   {"faultline cluster transfer", "faultline cluster transfer 3"}},
                                  [arguments](Session& s) { return Transfer(s, arguments->id); });
  transfer->add_option("NODE", arguments->id, "To this node (the one that is best prepared)")
      ->type_name("");
  AddSnapshot(*cluster, session);
}

}  // namespace faultline::cli
