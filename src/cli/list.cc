// faultline list
#include <algorithm>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/flag_values.h"
#include "cli/format.h"
#include "cli/table.h"

namespace faultline::cli {
namespace {

struct ListArguments {
  std::vector<std::string> statuses;
  uint32_t limit = 100;
  bool stale = false;
  bool quiet = false;
};

StatusOr<chaos::v1::ExperimentStatus> ParseStatus(const std::string& word) {
  const auto* descriptor = chaos::v1::ExperimentStatus_descriptor();
  std::vector<std::string> words;
  for (int i = 1; i < descriptor->value_count(); ++i) {
    const auto status = static_cast<chaos::v1::ExperimentStatus>(descriptor->value(i)->number());
    if (StatusWord(status) == word) return status;
    words.push_back(StatusWord(status));
  }
  return FieldError("--status", word, fmt::format("one of {}", fmt::join(words, ", ")));
}

// Pages until the limit.
StatusOr<chaos::v1::ListExperimentsResponse> FetchAll(Session& session, client::Client& client,
                                                      chaos::v1::ListExperimentsRequest request,
                                                      uint32_t limit) {
  constexpr uint32_t kLargestPage = 1000;
  chaos::v1::ListExperimentsResponse all;
  while (true) {
    const auto have = static_cast<uint32_t>(all.experiments_size());
    request.set_page_size(std::min(kLargestPage, limit - have));
    FL_ASSIGN_OR_RETURN(auto page, client.ListExperiments(request, session.call()));
    for (auto& experiment : *page.mutable_experiments()) {
      *all.add_experiments() = std::move(experiment);
    }
    all.set_revision(page.revision());
    // Of the page that is furthest behind.
    if (!all.has_freshness() || page.freshness().revision() < all.freshness().revision()) {
      *all.mutable_freshness() = page.freshness();
    }
    all.set_next_page_token(page.next_page_token());
    if (page.next_page_token().empty() || static_cast<uint32_t>(all.experiments_size()) >= limit) {
      return all;
    }
    request.set_page_token(page.next_page_token());
  }
}

void PrintTable(Output& out, const chaos::v1::ListExperimentsResponse& response) {
  const int64_t now_ns = UnixNowNs();
  Table table({"ID", "STATUS", "PHASE", "FAULT", "TARGET", "ACTIVE", "STARTED", "ENDS IN"});
  for (const auto& experiment : response.experiments()) {
    table.Row({Cell(experiment.experiment_id(), Style::kBold),
               Cell(StatusWord(experiment.status()), StyleOf(experiment.status())),
               experiment.phase(), FaultsText(experiment, true), experiment.target(),
               ActiveText(experiment), FormatTime(ToUnixNanos(experiment.created_at()), now_ns),
               LeftText(experiment, now_ns)});
  }
  table.Print(out);
  if (!response.next_page_token().empty()) {
    out.Note("there are more; --limit shows more");
  }
}

Status RunList(Session& session, const ListArguments& arguments) {
  if (arguments.quiet && session.out.json()) return NotTogether("--quiet", "--json");
  chaos::v1::ListExperimentsRequest request;
  request.set_stale(arguments.stale);
  for (const auto& word : arguments.statuses) {
    FL_ASSIGN_OR_RETURN(const auto status, ParseStatus(word));
    request.add_statuses(status);
  }
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  FL_ASSIGN_OR_RETURN(const auto response, FetchAll(session, *client, request, arguments.limit));
  NoteStale(session.out, response.freshness());
  if (session.out.json()) {
    session.out.Json(response);
  } else if (arguments.quiet) {
    for (const auto& experiment : response.experiments()) {
      session.out.Line(experiment.experiment_id());
    }
  } else if (response.experiments().empty()) {
    session.out.Note("no experiments");
  } else {
    PrintTable(session.out, response);
  }
  return absl::OkStatus();
}

}  // namespace

void AddList(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ListArguments>();
  CLI::App* command = AddCommand(app, session,
                                 {"list",
                                  "List experiments, newest first",
                                  {"faultline list", "faultline list --status pending,running",
                                   "faultline stop $(faultline list -q --status running)"}},
                                 [arguments](Session& s) { return RunList(s, *arguments); });
  command
      ->add_option("--status", arguments->statuses,
                   "Only these, one or several separated by commas")
      ->type_name("pending|running|completed|failed")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--limit", arguments->limit, "At most this many (100)")
      ->type_name("NUMBER")
      ->transform(WholeNumberIn(1, 1'000'000));
  command->add_flag("--stale", arguments->stale, "Ask any node, without its leader: may lag");
  command->add_flag("-q,--quiet", arguments->quiet, "Only the ids");
}

}  // namespace faultline::cli
