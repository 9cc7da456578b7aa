#include "server/data_directory.h"

#include <algorithm>
#include <utility>

#include "raft/repair.h"
#include "server/offline_state.h"

namespace faultline::server {
namespace {

// As the newest entry has them.
raft::pb::Configuration MembersIn(const raft::LoadedLog& log) {
  for (auto entry = log.entries.rbegin(); entry != log.entries.rend(); ++entry) {
    if ((*entry)->type() != raft::pb::ENTRY_TYPE_CONFIGURATION) continue;
    raft::pb::Configuration configuration;
    if (configuration.ParseFromString((*entry)->data())) return configuration;
  }
  return log.snapshot ? log.snapshot->metadata.configuration() : raft::pb::Configuration();
}

void AddAdvice(const raft::Examination& found, v1::DirectoryReport* report) {
  const auto& members = report->members();
  const bool alone = members.size() == 1;
  if (!alone) {
    report->add_advice(fmt::format(
        "if the other controllers have their majority, nothing is lost with this directory: put a "
        "new node in its place (faultline cluster replace {} NEW HOST:PORT)",
        report->node_id() == 0 ? "OLD" : fmt::format("{}", report->node_id())));
  }
  const std::string majority = alone ? "" : "if the majority is lost: ";
  if (found.begins()) {
    report->add_advice(fmt::format(
        "{}'faultline-controller repair {}' keeps what can be read without a gap, up to entry {}, "
        "and leaves the damaged directory beside it{}",
        majority, report->directory(), found.last_index(),
        alone ? ""
              : "; then stop the other controllers and remove the file 'peers' from their "
                "directories, since they refuse the repaired one else"));
  }
  report->add_advice(
      fmt::format("{}'faultline cluster snapshot restore' begins a new cluster with a saved "
                  "snapshot",
                  alone            ? "or "
                  : found.begins() ? "or, then: "
                                   : majority));
}

v1::DirectoryReport Report(const raft::Examination& found) {
  v1::DirectoryReport report;
  report.set_directory(found.dir);
  if (found.identity) {
    report.set_node_id(found.identity->node_id);
    report.set_store_id(found.identity->store_id);
    report.set_cluster_id(found.identity->cluster_id);
  }
  report.set_term(found.log.hard_state.term);
  report.set_voted_for(found.log.hard_state.voted_for);
  report.set_first_index(found.log.first_index);
  report.set_last_index(found.last_index());
  if (found.snapshot) {
    *report.mutable_snapshot() = Summarize(found.log.snapshot->bytes->name(), *found.snapshot);
  }
  *report.mutable_members() = MembersIn(found.log).members();
  for (const raft::Damage& damage : found.damages) {
    auto* added = report.add_damages();
    added->set_file(damage.path);
    if (damage.offset) added->set_offset(*damage.offset);
    added->set_what(damage.what);
  }
  for (const std::string& cut : found.cuts) report.add_cuts(cut);
  for (const std::string& note : found.notes) report.add_notes(note);
  if (const auto state = StateOf(found.log); state.ok()) {
    *report.mutable_state() = Summarize(*state);
  } else if (state.status().code() == StatusCode::kDataLoss) {
    auto* added = report.add_damages();
    added->set_file(found.log.snapshot->bytes->name());
    added->set_what(ToString(state.status().message()));
  } else {
    report.add_notes(ToString(state.status().message()));
  }
  report.set_damaged(report.damages_size() > 0);
  report.set_repairable(report.damaged() && found.begins());
  if (report.damaged()) AddAdvice(found, &report);
  return report;
}

}  // namespace

StatusOr<v1::DirectoryReport> CheckDirectory(const std::string& dir) {
  FL_ASSIGN_OR_RETURN(const raft::Examination found, raft::ExamineDirectory(dir));
  return Report(found);
}

StatusOr<RepairReport> RepairDirectory(const std::string& dir, std::optional<uint64_t> node_id) {
  FL_ASSIGN_OR_RETURN(const raft::Examination found, raft::ExamineDirectory(dir));
  RepairReport report;
  report.before = Report(found);
  if (!report.before.damaged()) return report;
  FL_ASSIGN_OR_RETURN(const raft::Repaired repaired, raft::RepairDirectory(found, node_id));
  report.repaired = true;
  report.old_dir = repaired.old_dir;
  report.term = repaired.hard_state.term;
  return report;
}

Status ExportDirectory(const std::string& dir,
                       const std::function<Status(const v1::ExportLine&)>& line) {
  FL_ASSIGN_OR_RETURN(const raft::Examination found, raft::ExamineDirectory(dir));
  v1::ExportLine first;
  *first.mutable_directory() = Report(found);
  if (first.directory().damaged()) {
    const v1::Damage& damage = first.directory().damages(0);
    return MakeError(StatusCode::kDataLoss,
                     "{} {}: 'faultline-controller check {}' tells more, and what to do",
                     damage.file(), damage.what(), found.dir);
  }
  FL_ASSIGN_OR_RETURN(const control::State state, StateOf(found.log));
  FL_RETURN_IF_ERROR(line(first));
  for (const auto& [index, record] : state.experiments) {
    v1::ExportLine next;
    *next.mutable_experiment() = record.experiment();
    FL_RETURN_IF_ERROR(line(next));
  }
  for (const auto& [id, agent] : state.agents) {
    v1::ExportLine next;
    *next.mutable_agent() = agent;
    FL_RETURN_IF_ERROR(line(next));
  }
  return absl::OkStatus();
}

}  // namespace faultline::server
