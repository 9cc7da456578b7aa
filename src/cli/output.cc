#include "cli/output.h"

#include <google/protobuf/util/json_util.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace faultline::cli {
namespace {

std::string_view ColorOf(Style style) {
  switch (style) {
    case Style::kGood:
      return "\033[32m";
    case Style::kWarning:
      return "\033[33m";
    case Style::kBad:
      return "\033[31m";
    case Style::kFaint:
      return "\033[2m";
    case Style::kBold:
      return "\033[1m";
    case Style::kPlain:
      break;
  }
  return "";
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// Of the environment's locale, whether or not the process has taken it.
bool IsUtf8Locale() {
  const locale_t locale = newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;  // of a name that is not installed: then it is "C"
  const bool utf8 = std::string_view(nl_langinfo_l(CODESET, locale)) == "UTF-8";
  freelocale(locale);
  return utf8;
}

// By what client::Client says of an address that is UNREACHABLE.
std::string_view HintForTls(std::string_view problem) {
  if (problem == "MISSING_HERE") {
    return "what listens there ends the connection: if it is a controller with TLS, give "
           "--ca-file, --cert-file and --key-file";
  }
  if (problem == "MISSING_THERE") {
    return "what listens there speaks without TLS: leave out --ca-file, --cert-file and --key-file";
  }
  return "the controller's certificate must be for the host in --address and signed by a CA of "
         "--ca-file, and --cert-file by one of the controller's CAs";
}

std::string_view HintForReason(std::string_view reason) {
  struct Row {
    std::string_view reason, hint;
  };
  static constexpr Row kRows[] = {
      {"UNREACHABLE",
       "is a controller running? 'faultline dev' starts one here; --address or FAULTLINE_ADDRESS "
       "names others"},
      {"NO_ANSWER", "the cluster may have lost its majority; --timeout waits longer"},
      {"NO_LEADER", "the cluster may have lost its majority; --timeout waits longer"},
      {"STORAGE_FAILED",
       "that node's disk is full or fails: once it takes writes again, the node goes on by itself"},
      {"UNKNOWN_FAULT_KIND", "'faultline faults' lists the kinds with their parameters"},
      {"NO_TARGET_MATCHES", "'faultline targets' lists the targets with their labels"},
      {"UNKNOWN_SELECTOR_KEY", "'faultline targets' lists the targets with their labels"},
      {"EXPERIMENT_NOT_FOUND", "'faultline list' lists the experiments"},
      {"CAPABILITY_MISSING", "'faultline agents' tells what each host can do, and why not"},
      {"AGENT_DISCONNECTED", "'faultline agents' tells which agents are connected"},
  };
  for (const auto& row : kRows) {
    if (row.reason == reason) return row.hint;
  }
  return "";
}

}  // namespace

ExitCode ExitCodeFor(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return ExitCode::kOk;
    case StatusCode::kCancelled:
      return ExitCode::kInterrupted;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return ExitCode::kUsage;
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
      return ExitCode::kUnreachable;
    case StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case StatusCode::kFailedPrecondition:
    case StatusCode::kAlreadyExists:
    case StatusCode::kResourceExhausted:
      return ExitCode::kPrecondition;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return ExitCode::kDenied;
    default:
      return ExitCode::kFailed;
  }
}

Terminal DetectTerminal() {
  Terminal terminal;
  terminal.out = isatty(STDOUT_FILENO) == 1;
  terminal.redraws =
      terminal.out && IsSet("TERM") && std::getenv("TERM") != std::string_view("dumb");
  terminal.color = terminal.redraws && !IsSet("NO_COLOR");
  terminal.utf8 = IsUtf8Locale();
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.columns = size.ws_col;
    if (size.ws_row > 0) terminal.rows = size.ws_row;
  }
  return terminal;
}

Output::Output(std::ostream& out, std::ostream& err, Terminal terminal)
    : out_(out), err_(err), terminal_(terminal) {}

bool Output::writable() const { return out_.good(); }

std::string Output::Styled(std::string_view text, Style style) const {
  if (!terminal_.color || style == Style::kPlain) return std::string(text);
  return fmt::format("{}{}\033[0m", ColorOf(style), text);
}

void Output::Line(std::string_view text) { out_ << text << '\n' << std::flush; }
void Output::Text(std::string_view text) { out_ << text << std::flush; }

void Output::Json(const google::protobuf::Message& message) {
  JsonText(ToJson(message, terminal_.out));
}

void Output::JsonText(const std::string& json) {
  out_ << json << (json.ends_with('\n') ? "" : "\n") << std::flush;
}

void Output::JsonLine(const google::protobuf::Message& message, JsonFields fields) {
  out_ << ToJson(message, false, fields) << '\n' << std::flush;
}

void Output::Note(std::string_view text) { err_ << "note: " << text << '\n' << std::flush; }

ExitCode Output::Error(const Status& status) {
  const ExitCode code = ExitCodeFor(status);
  if (code == ExitCode::kOk || code == ExitCode::kInterrupted) return code;
  const std::string sentence = ToString(status.message());
  err_ << "error: " << sentence << '\n';
  if (const auto detail = DetailOf(status)) {
    for (const auto& violation : detail->violations()) {
      const std::string what = fmt::format("{}: '{}'", violation.field(), violation.value());
      if (sentence.find(what) != std::string::npos) continue;
      err_ << "  " << what << " is not allowed: " << violation.allowed() << '\n';
    }
  }
  const std::string hint = HintFor(status);
  if (!hint.empty()) err_ << "hint: " << hint << '\n';
  err_ << std::flush;
  return code;
}

std::string ToJson(const google::protobuf::Message& message, bool indented, JsonFields fields) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = fields == JsonFields::kAll;
  options.add_whitespace = indented;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  // Fails only for an Any of an unknown type, and no answer of the API has one.
  return status.ok() ? json : "{}";
}

std::string HintFor(const Status& status) {
  const auto detail = DetailOf(status);
  if (!detail) return "";
  if (const auto tls = detail->metadata().find("tls"); tls != detail->metadata().end()) {
    return std::string(HintForTls(tls->second));
  }
  if (detail->reason() == "TARGET_BUSY") {
    const auto other = detail->metadata().find("experiment_id");
    if (other == detail->metadata().end()) return "";
    return fmt::format("'faultline stop {}' ends the other experiment", other->second);
  }
  const bool parameter = detail->violations_size() > 0 &&
                         detail->violations(0).field().find("parameters.") != std::string::npos;
  if (parameter) return "'faultline faults KIND' tells the kind's parameters";
  return std::string(HintForReason(detail->reason()));
}

}  // namespace faultline::cli
