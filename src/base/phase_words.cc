#include "base/phase_words.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace faultline {
namespace {

std::string LowerAfter(const std::string& name, std::string_view prefix) {
  std::string word = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return word;
}

}  // namespace

std::string StatusWord(chaos::v1::ExperimentStatus status) {
  return LowerAfter(chaos::v1::ExperimentStatus_Name(status), "EXPERIMENT_STATUS_");
}

std::string PhaseWord(chaos::v1::TargetPhase phase) {
  return LowerAfter(chaos::v1::TargetPhase_Name(phase), "TARGET_PHASE_");
}

}  // namespace faultline
