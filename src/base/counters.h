// Messages of counters, field by field.
#pragma once

#include <cstdint>

namespace faultline {

// Sets every unsigned 64-bit number of `into` to change(that of `from`, that of `into`).
template <typename Message, typename Change>
void ForEachCounter(const Message& from, Message* into, Change change) {
  const auto* reflection = Message::GetReflection();
  const auto* descriptor = Message::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->cpp_type() != field->CPPTYPE_UINT64) continue;
    reflection->SetUInt64(
        into, field,
        change(reflection->GetUInt64(from, field), reflection->GetUInt64(*into, field)));
  }
}

}  // namespace faultline
