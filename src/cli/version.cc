// faultline version
#include <nlohmann/json.hpp>

#include "cli/command.h"

namespace faultline::cli {

void AddVersion(CLI::App& app, Session& session) {
  AddCommand(app, session, {"version", "Print this program's version", {"faultline version"}},
             [](Session& s) {
               if (s.out.json()) {
                 s.out.JsonText(nlohmann::json{{"version", FAULTLINE_VERSION}}.dump());
               } else {
                 s.out.Line("faultline " FAULTLINE_VERSION);
               }
               return absl::OkStatus();
             });
}

}  // namespace faultline::cli
