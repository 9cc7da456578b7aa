// faultline cluster add|promote|remove|address|replace|transfer
#include <algorithm>

#include "cli/command.h"
#include "cli/flag_values.h"

namespace faultline::cli {
namespace {

struct ClusterArguments {
  uint64_t id = 0;
  uint64_t other_id = 0;
  std::string address;
  bool promote = false;
};
using Arguments = std::shared_ptr<ClusterArguments>;

// Says on standard output what was done; as JSON, the response.
void Done(Session& session, const google::protobuf::Message& response, const std::string& text) {
  if (session.out.json()) {
    session.out.Json(response);
  } else {
    session.out.Line(text);
  }
}

// Null when there is no such member.
const chaos::v1::ClusterMember* MemberIn(const chaos::v1::GetClusterResponse& cluster,
                                         uint64_t id) {
  const auto found = std::find_if(cluster.members().begin(), cluster.members().end(),
                                  [id](const auto& member) { return member.node_id() == id; });
  return found == cluster.members().end() ? nullptr : &*found;
}

// NOT_FOUND when there is no such member.
StatusOr<chaos::v1::ClusterMember> FindMember(Session& session, client::Client& client,
                                              uint64_t id) {
  FL_ASSIGN_OR_RETURN(const auto cluster, client.GetCluster({}, session.call()));
  if (const auto* member = MemberIn(cluster, id)) return *member;
  return MakeError(StatusCode::kNotFound, "node {} is no member", id);
}

// OK too when the node is a member with that address already: a command that stopped half-way is
// given again.
Status Add(Session& session, uint64_t id, const std::string& address) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::AddMemberRequest request;
  request.set_node_id(id);
  request.set_address(address);
  const auto response = client->AddMember(request, session.call());
  if (ReasonOf(response.status()) != "MEMBER_EXISTS") {
    if (response.ok()) Done(session, *response, fmt::format("node {} is a learner", id));
    return response.status();
  }
  const auto member = FindMember(session, *client, id);
  if (!member.ok() || member->address() != address) return response.status();
  Done(session, chaos::v1::AddMemberResponse(),
       fmt::format("node {} is a {} already", id, member->voter() ? "voter" : "learner"));
  return absl::OkStatus();
}

// OK too when it is a voter already. Says so when it has to wait.
Status Promote(Session& session, uint64_t id) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  if (const auto member = FindMember(session, *client, id);
      member.ok() && !member->voter() && member->lag_entries() > 0) {
    session.out.Note(fmt::format("node {} lacks {} entries of the log: waiting until it has them",
                                 id, member->lag_entries()));
  }
  chaos::v1::PromoteMemberRequest request;
  request.set_node_id(id);
  const auto response = client->PromoteMember(request, session.call());
  if (response.ok()) {
    Done(session, *response, fmt::format("node {} is a voter", id));
  } else if (ReasonOf(response.status()) == "MEMBER_IS_VOTER") {
    Done(session, chaos::v1::PromoteMemberResponse(),
         fmt::format("node {} is a voter already", id));
  } else {
    return response.status();
  }
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

void IsNoMemberAlready(Session& session, uint64_t id) {
  Done(session, chaos::v1::RemoveMemberResponse(), fmt::format("node {} is no member already", id));
}

// Goes on where an earlier run stopped, as far as that shows. A new node that votes while the old
// one is a member may be another member, named by mistake, whose vote would be lost: only the
// operator can tell.
Status Replace(Session& session, const ClusterArguments& arguments) {
  const uint64_t old_id = arguments.id, new_id = arguments.other_id;
  if (old_id == new_id) {
    return MakeError(StatusCode::kInvalidArgument,
                     "node {} cannot take the place of node {}: the new node needs another number",
                     new_id, old_id);
  }
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  FL_ASSIGN_OR_RETURN(const auto cluster, client->GetCluster({}, session.call()));
  const auto* old_member = MemberIn(cluster, old_id);
  const auto* new_member = MemberIn(cluster, new_id);
  const bool votes = new_member != nullptr && new_member->voter();
  if (old_member == nullptr) {
    if (!votes || new_member->address() != arguments.address) {
      return MakeError(StatusCode::kNotFound, "node {} is no member: there is nothing to replace",
                       old_id);
    }
    IsNoMemberAlready(session, old_id);
    return absl::OkStatus();
  }
  if (votes) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "node {0} is a voter already and takes nobody's place; if an earlier run made "
                     "it one for node {1}, what is left is 'faultline cluster remove {1}'",
                     new_id, old_id);
  }
  FL_RETURN_IF_ERROR(Add(session, new_id, arguments.address));
  FL_RETURN_IF_ERROR(Promote(session, new_id));
  const Status removed = Remove(session, old_id);
  if (ReasonOf(removed) != "MEMBER_NOT_FOUND") return removed;
  IsNoMemberAlready(session, old_id);  // somebody else has removed it
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

// An argument that is a node's number.
CLI::Option* AddNode(CLI::App* command, const std::string& name, uint64_t* id,
                     const std::string& help) {
  return command->add_option(name, *id, help)
      ->type_name("")
      ->transform(WholeNumberIn(1, INT64_MAX));
}

CLI::App* AddIdCommand(CLI::App& cluster, Session& session, const CommandText& text,
                       const Arguments& arguments, std::function<Status(Session&)> run) {
  CLI::App* command = AddCommand(cluster, session, text, std::move(run));
  AddNode(command, "NODE", &arguments->id, "The node's number")->required();
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
  CLI::App* replace = AddIdCommand(
      cluster, session,
      {"replace",
       "Put a new node in the place of one: add, promote, remove",
       {"faultline cluster replace 2 4 10.0.0.4:7401"},
       "Given again, it goes on where it stopped, but for the removal: that is asked for by "
       "itself once the new node votes."},
      arguments, [arguments](Session& s) { return Replace(s, *arguments); });
  AddNode(replace, "NEW", &arguments->other_id, "The new node's number")->required();
  AddAddressOption(replace, arguments);
}

}  // namespace

void AddMemberChanges(CLI::App& cluster, Session& session) {
  const auto arguments = std::make_shared<ClusterArguments>();
  AddChanges(cluster, session, arguments);
  CLI::App* transfer = AddCommand(cluster, session,
                                  {"transfer",
                                   "Hand leadership to another node, without a pause",
                                   {"faultline cluster transfer", "faultline cluster transfer 3"}},
                                  [arguments](Session& s) { return Transfer(s, arguments->id); });
  AddNode(transfer, "NODE", &arguments->id, "To this node (the one that is best prepared)");
}

}  // namespace faultline::cli
