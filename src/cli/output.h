// What every command has in common on its way out, decided here and nowhere else: exit codes, text
// or JSON, terminal or pipe, colour, and how an error looks.
#pragma once

#include <google/protobuf/message.h>

#include <ostream>
#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline::cli {

// Exit codes: part of the program's interface, listed in docs/cli.md.
enum class ExitCode {
  kOk = 0,
  kFailed = 1,        // the operation was carried out and failed
  kUsage = 2,         // bad input, or this command cannot be set up here
  kUnreachable = 3,   // no controller answers, or the cluster has no leader
  kNotFound = 4,      // no such experiment, target or agent
  kPrecondition = 5,  // not now or not here: target busy, capability missing
  kDenied = 6,        // not authenticated or not allowed
  kInterrupted = 130  // ended by Ctrl-C before it was done
};
ExitCode ExitCodeFor(const Status& status);

// Where the output goes to.
struct Terminal {
  bool out = false;    // standard output is a terminal
  bool color = false;  // ... on which colour is welcome
  int columns = 80;
  int rows = 24;
  bool redraws = false;  // ... that moves its cursor when told, so that pictures can be drawn anew
  bool utf8 = true;      // the locale's characters are UTF-8: there are blocks to draw with
};
// Of this process. A terminal whose TERM is "dumb" or not set gets no escape sequence: neither
// colour, which NO_COLOR turns off too, nor pictures.
Terminal DetectTerminal();

// Whether a JSON document has fields that are 0 or empty. (Messages that are not set it never has.)
enum class JsonFields { kAll, kSet };

enum class Style { kPlain, kGood, kWarning, kBad, kFaint, kBold };

// Threads: one at a time.
class Output {
 public:
  // The streams outlive it.
  Output(std::ostream& out, std::ostream& err, Terminal terminal);

  void set_json(bool json) { json_ = json; }
  bool json() const { return json_; }
  const Terminal& terminal() const { return terminal_; }
  // False once something could not be written.
  bool writable() const;

  // Text with the style's colour where colour is wanted, else as it is.
  std::string Styled(std::string_view text, Style style) const;

  void Line(std::string_view text);
  void Text(std::string_view text);
  // One JSON document: indented on a terminal, one line elsewhere. Field names as in the .proto,
  // fields that are 0 or empty included.
  void Json(const google::protobuf::Message& message);
  void JsonText(const std::string& json);
  // One JSON document on one line, at once: for streams.
  void JsonLine(const google::protobuf::Message& message, JsonFields fields = JsonFields::kAll);

  // To standard error, for people: "note: ...".
  void Note(std::string_view text);
  // "error: <sentence>", a line for each thing wrong that the sentence does not tell, and a hint
  // where there is one. Result: the exit code. Silent for kInterrupted.
  ExitCode Error(const Status& status);

 private:
  std::ostream& out_;
  std::ostream& err_;
  const Terminal terminal_;
  bool json_ = false;
};

// As Output::Json writes it.
std::string ToJson(const google::protobuf::Message& message, bool indented,
                   JsonFields fields = JsonFields::kAll);

// What a user may do about an error; empty when nothing can be said.
std::string HintFor(const Status& status);

}  // namespace faultline::cli
