// faultline report ID
#include <fstream>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/flag_values.h"
#include "cli/format.h"
#include "cli/report_html.h"
#include "cli/report_sections.h"
#include "cli/report_wait.h"
#include "cli/table.h"
#include "client/cancellation.h"

namespace faultline::cli {
namespace {

struct ReportFlags {
  std::string id, html_path;
  std::chrono::milliseconds wait{30'000};
  bool markdown = false, histograms = false, stale = false;
};

constexpr std::chrono::milliseconds kAskAgain{500};
constexpr TimeRange kWait{std::chrono::milliseconds(0), std::chrono::hours(24)};

// Whether nothing more of the report will come.
bool IsLate(client::Client* client, const ReportFlags& flags, const Session& session) {
  chaos::v1::GetExperimentRequest request;
  request.set_experiment_id(flags.id);
  request.set_stale(flags.stale);
  const auto response = client->GetExperiment(request, session.call());
  return response.ok() && EndedLongAgo(*response, UnixNowNs());
}

StatusOr<chaos::v1::Report> Fetch(Session& session, const ReportFlags& flags) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::GetReportRequest request;
  request.set_experiment_id(flags.id);
  request.set_stale(flags.stale);
  request.set_include_histograms(flags.histograms);
  const uint64_t give_up_ns =
      MonotonicNowNs() + static_cast<uint64_t>(std::chrono::nanoseconds(flags.wait).count());
  bool told = false;
  while (true) {
    auto response = client->GetReport(request, session.call());
    const bool waited = MonotonicNowNs() >= give_up_ns;
    if (!IsOnItsWay(response) || waited || IsLate(client, flags, session)) {
      if (!response.ok()) return response.status();
      NoteStale(session.out, response->freshness());
      return std::move(*response->mutable_report());
    }
    if (!std::exchange(told, true)) session.out.Note("the report is being written ...");
    if (session.interrupt && session.interrupt->WaitFor(kAskAgain)) {
      return MakeError(StatusCode::kCancelled, "interrupted");
    }
  }
}

void Print(Output& out, const chaos::v1::Report& report) {
  const ReportSections all = SectionsOf(report, UnixNowNs());
  for (const auto& [name, value] : all.facts) out.Line(fmt::format("{:<10} {}", name, value));
  for (const auto& warning : all.warnings) {
    out.Line(fmt::format("{:<10} {}", "note", out.Styled(warning, Style::kWarning)));
  }
  for (const Section& section : all.sections) {
    out.Line("");
    out.Line(out.Styled(section.title, Style::kBold));
    Table table(section.headings);
    for (const auto& row : section.rows) table.Row({row.begin(), row.end()});
    table.Print(out);
  }
}

Status WriteHtml(Output& out, const chaos::v1::Report& report, const std::string& path) {
  const std::string html = ToHtml(report);
  if (path == "-") {
    out.Text(html);
    return absl::OkStatus();
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << html << std::flush;
  if (!file) return FieldError("--html", path, "a file that can be written");
  out.Note(fmt::format("written to {}", path));
  return absl::OkStatus();
}

Status RunReport(Session& session, const ReportFlags& flags) {
  if (flags.markdown && session.out.json()) return NotTogether("--markdown", "--json");
  if (!flags.html_path.empty() && session.out.json()) return NotTogether("--html", "--json");
  if (flags.histograms && !session.out.json()) {
    return MakeError(StatusCode::kInvalidArgument, "--histograms is for JSON: give --json too");
  }
  FL_ASSIGN_OR_RETURN(const chaos::v1::Report report, Fetch(session, flags));
  if (!flags.html_path.empty()) {
    FL_RETURN_IF_ERROR(WriteHtml(session.out, report, flags.html_path));
  } else if (session.out.json()) {
    session.out.Json(report);
  } else if (flags.markdown) {
    session.out.Text(ToMarkdown(report));
  } else {
    Print(session.out, report);
  }
  return absl::OkStatus();
}

}  // namespace

void AddReport(CLI::App& app, Session& session) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command =
      AddCommand(app, session,
                 {"report",
                  "What an ended experiment did: asked and measured, before, during and after",
                  {"faultline report exp-42", "faultline report exp-42 --html report.html",
                   "faultline report exp-42 --markdown >> incident.md",
                   "faultline report exp-42 --json | jq .parameters"}},
                 [flags](Session& s) { return RunReport(s, *flags); });
  command->add_option("ID", flags->id, "The experiment")->type_name("")->required();
  CLI::Option* html =
      command->add_option("--html", flags->html_path, "Write one page with charts to FILE, or -")
          ->type_name("FILE");
  command->add_flag("--markdown", flags->markdown, "Print Markdown")->excludes(html);
  command->add_flag("--histograms", flags->histograms, "With --json: every bucket of every phase");
  AddTime(command, "--wait", &flags->wait, kWait,
          "How long to wait for a report that is on its way (30s)");
  command->add_flag("--stale", flags->stale, "Ask any node, without its leader: may lag");
}

}  // namespace faultline::cli
