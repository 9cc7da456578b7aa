// Snapshots in memory, of states that are one text. For tests.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "raft/state_image.h"
#include "raft/types.h"

namespace faultline::raft {

class TextImage final : public StateImage {
 public:
  explicit TextImage(std::string text) : text_(std::move(text)) {}
  Status Write(const ByteSink& sink) const override {
    return text_.empty() ? absl::OkStatus() : sink(text_);
  }

 private:
  const std::string text_;
};

struct TextState final : LoadedState {
  std::string text;
};

inline StatusOr<std::shared_ptr<LoadedState>> LoadText(ByteSource& source) {
  auto state = std::make_shared<TextState>();
  for (;;) {
    FL_ASSIGN_OR_RETURN(const std::string_view piece, source.Next());
    if (piece.empty()) return std::shared_ptr<LoadedState>(std::move(state));
    state->text += piece;
  }
}

inline const std::string& TextOf(const LoadedState& state) {
  return static_cast<const TextState&>(state).text;
}

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes, size_t piece_bytes = SIZE_MAX)
      : bytes_(std::move(bytes)), rest_(bytes_), piece_bytes_(piece_bytes) {}
  StatusOr<std::string_view> Next() override {
    const std::string_view piece = rest_.substr(0, piece_bytes_);
    rest_.remove_prefix(piece.size());
    return piece;
  }

 private:
  const std::string bytes_;
  std::string_view rest_;
  const size_t piece_bytes_;
};

class MemoryBytes final : public SnapshotBytes {
 public:
  explicit MemoryBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  StatusOr<std::unique_ptr<ByteSource>> Read(uint64_t offset) const override {
    return std::make_unique<MemorySource>(bytes_.substr(offset));
  }
  const std::string& name() const override { return name_; }

 private:
  const std::string bytes_;
  const std::string name_ = "a snapshot in memory";
};

inline SnapshotPtr MakeSnapshot(const pb::SnapshotMetadata& metadata, const StateImage& image) {
  std::string bytes;
  SnapshotEncoder encoder([&bytes](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  });
  pb::SnapshotHeader header;
  *header.mutable_metadata() = metadata;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->metadata = metadata;
  (void)encoder.Begin(header);
  (void)image.Write([&encoder](std::string_view piece) { return encoder.Append(piece); });
  snapshot->sum = *encoder.Finish();
  snapshot->bytes = std::make_shared<const MemoryBytes>(std::move(bytes));
  return snapshot;
}

}  // namespace faultline::raft
