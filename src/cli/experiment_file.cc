#include "cli/experiment_file.h"

#include "base/text.h"
#include "base/yaml.h"
#include "cli/format.h"

namespace faultline::cli {
namespace {

using google::protobuf::Descriptor;

void AddFieldNames(const Descriptor* message, std::vector<std::string>* names) {
  for (int i = 0; i < message->field_count(); ++i) names->push_back(message->field(i)->name());
}

// The experiment itself: in an answer it stands one level below.
StatusOr<YamlMap> ExperimentIn(const YamlMap& file) {
  if (!file.Has("experiment")) return file;
  std::vector<std::string> beside = {"start_to_active_ms", "sent_unix_ns"};
  AddFieldNames(chaos::v1::GetExperimentResponse::descriptor(), &beside);
  AddFieldNames(chaos::v1::StartExperimentResponse::descriptor(), &beside);
  FL_RETURN_IF_ERROR(file.AllowOnly(beside));
  return file.Map("experiment");
}

Status CheckKeys(const YamlMap& experiment) {
  std::vector<std::string> allowed = {"target", "duration", "seed", "faults"};
  if (experiment.Has("experiment_id")) {
    AddFieldNames(chaos::v1::Experiment::descriptor(), &allowed);
  }
  return experiment.AllowOnly(allowed);
}

// `error` about the value under `key`, as an error of the file.
Status Refused(const YamlMap& map, const std::string& key, const Status& error) {
  const auto detail = DetailOf(error);
  if (!detail || detail->violations().empty()) return error;
  return map.Refuse(key, detail->violations(0).value(), detail->violations(0).allowed());
}

Status ReadScalars(const YamlMap& map, ExperimentFile* file) {
  for (const char* key : {"target", "duration", "seed", "faults"}) {
    if (map.Has(key)) file->lines[key] = map.Line(key);
  }
  FL_ASSIGN_OR_RETURN(*file->request.mutable_target(), map.Text("target"));
  FL_ASSIGN_OR_RETURN(const std::string duration, map.Text("duration"));
  if (!duration.empty()) {
    const auto time = ParseTime(duration);
    if (!time || !kExperimentTime.Has(*time)) {
      return map.Refuse("duration", duration, "a time from " + kExperimentTime.Text());
    }
    *file->request.mutable_duration() = ToDuration(*time);
  }
  FL_ASSIGN_OR_RETURN(const std::string seed, map.Text("seed", "0"));
  const auto number = ParseWholeNumber("seed", seed, 0, UINT64_MAX);
  if (!number.ok()) return Refused(map, "seed", number.status());
  file->request.set_seed(*number);
  return absl::OkStatus();
}

Status ReadFault(const YamlMap& map, const std::string& path, ExperimentFile* file) {
  FL_RETURN_IF_ERROR(map.AllowOnly({"kind", "parameters"}));
  auto* fault = file->request.add_faults();
  FL_ASSIGN_OR_RETURN(*fault->mutable_kind(), map.Text("kind"));
  file->lines[path] = map.Line("");
  file->lines[path + ".kind"] = map.Line("kind");
  FL_ASSIGN_OR_RETURN(const YamlMap parameters, map.Map("parameters"));
  // Which there are is for the server to say; none may stand twice.
  FL_RETURN_IF_ERROR(parameters.AllowOnly(parameters.Keys()));
  if (map.Has("parameters")) file->lines[path + ".parameters"] = map.Line("parameters");
  for (const auto& name : parameters.Keys()) {
    FL_ASSIGN_OR_RETURN(const auto values, parameters.TextList(name));
    (*fault->mutable_parameters())[name] = fmt::format("{}", fmt::join(values, ","));
    file->lines[fmt::format("{}.parameters.{}", path, name)] = parameters.Line(name);
  }
  return absl::OkStatus();
}

StatusOr<YamlMap> Read(const std::string& path, std::istream& standard_input) {
  return path == "-" ? YamlMap::Read(standard_input, "standard input") : YamlMap::ReadFile(path);
}

}  // namespace

StatusOr<ExperimentFile> ReadExperimentFile(const std::string& path, std::istream& standard_input) {
  ExperimentFile file;
  file.name = path == "-" ? "standard input" : path;
  auto read = Read(path, standard_input);
  // A file that is not there is wrong use, not an experiment that is not there.
  if (!read.ok()) return Status(StatusCode::kInvalidArgument, read.status().message());
  FL_ASSIGN_OR_RETURN(const YamlMap map, ExperimentIn(*read));
  FL_RETURN_IF_ERROR(CheckKeys(map));
  FL_RETURN_IF_ERROR(ReadScalars(map, &file));
  FL_ASSIGN_OR_RETURN(const auto faults, map.MapList("faults"));
  if (faults.empty()) return map.Refuse("faults", "", "a list of at least one fault");
  for (size_t i = 0; i < faults.size(); ++i) {
    FL_RETURN_IF_ERROR(ReadFault(faults[i], fmt::format("faults[{}]", i), &file));
  }
  return file;
}

Status AtItsLine(const Status& error, const ExperimentFile& file) {
  const auto detail = DetailOf(error);
  if (!detail || detail->violations().empty()) return error;
  // What is missing is told at what it is missing in.
  std::string field = detail->violations(0).field();
  while (!file.lines.contains(field)) {
    const size_t dot = field.rfind('.');
    if (dot == std::string::npos) return error;
    field.resize(dot);
  }
  Status located(error.code(), ToAbsl(fmt::format("{}:{}: {}", file.name, file.lines.at(field),
                                                  ToString(error.message()))));
  AttachDetail(located, *detail);
  return located;
}

}  // namespace faultline::cli
