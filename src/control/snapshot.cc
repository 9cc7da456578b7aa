#include "control/snapshot.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

namespace faultline::control {
namespace {

constexpr uint32_t kFormat = 2;
constexpr size_t kPieceBytes = 256 << 10;
constexpr uint64_t kMaxItemBytes = 256 << 20;
enum Kind : uint64_t { kHeader = 1, kExperiment = 2, kAgent = 3, kEnd = 4 };

Status Damaged(std::string_view what) {
  return MakeError(StatusCode::kDataLoss, "the snapshot is damaged: {}", what);
}

class ItemWriter {
 public:
  explicit ItemWriter(const ByteSink& sink) : sink_(sink) {}

  Status Put(Kind kind, const google::protobuf::Message& message) {
    const size_t size = message.ByteSizeLong();
    AppendVarint(kind);
    AppendVarint(size);
    const size_t begin = piece_.size();
    piece_.resize(begin + size);  // a StringOutputStream would fill all of its capacity each time
    {
      google::protobuf::io::ArrayOutputStream stream(piece_.data() + begin, static_cast<int>(size));
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      message.SerializeWithCachedSizes(&coded);
    }
    return piece_.size() < kPieceBytes ? absl::OkStatus() : Flush();
  }

  Status Flush() {
    const Status status = piece_.empty() ? absl::OkStatus() : sink_(piece_);
    piece_.clear();
    return status;
  }

 private:
  void AppendVarint(uint64_t value) {
    uint8_t bytes[10];
    const auto* end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(value, bytes);
    piece_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
  }

  const ByteSink& sink_;
  std::string piece_;
};

class ItemReader {
 public:
  explicit ItemReader(ByteSource& source) : source_(source) {}

  // The next item's kind; its message's bytes are in item().
  StatusOr<Kind> Next() {
    FL_ASSIGN_OR_RETURN(const uint64_t kind, Varint());
    FL_ASSIGN_OR_RETURN(const uint64_t size, Varint());
    if (kind < kHeader || kind > kEnd || size > kMaxItemBytes) return Damaged("no known item");
    FL_RETURN_IF_ERROR(Fill(size));
    item_ = std::string_view(buffer_).substr(at_, size);
    at_ += size;
    return static_cast<Kind>(kind);
  }
  std::string_view item() const { return item_; }

  template <typename Message>
  StatusOr<Message> As() const {
    Message message;
    if (!message.ParseFromArray(item_.data(), static_cast<int>(item_.size()))) {
      return Damaged("an item cannot be read");
    }
    return message;
  }

  // Nothing follows.
  Status End() {
    if (at_ < buffer_.size()) return Damaged("there is more after the end");
    FL_ASSIGN_OR_RETURN(const std::string_view rest, source_.Next());
    return rest.empty() ? absl::OkStatus() : Damaged("there is more after the end");
  }

 private:
  // `count` bytes stand in the buffer from at_ on.
  Status Fill(uint64_t count) {
    if (buffer_.size() - at_ >= count) return absl::OkStatus();
    buffer_.erase(0, at_);
    at_ = 0;
    while (buffer_.size() < count) {
      FL_ASSIGN_OR_RETURN(const std::string_view piece, source_.Next());
      if (piece.empty()) return Damaged("it ends too early");
      buffer_.append(piece);
    }
    return absl::OkStatus();
  }

  StatusOr<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      FL_RETURN_IF_ERROR(Fill(1));
      const auto byte = static_cast<uint8_t>(buffer_[at_++]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Damaged("a number cannot be read");
  }

  ByteSource& source_;
  std::string buffer_;
  size_t at_ = 0;
  std::string_view item_;
};

class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string_view bytes) : bytes_(bytes) {}
  StatusOr<std::string_view> Next() override { return std::exchange(bytes_, {}); }

 private:
  std::string_view bytes_;
};

StatusOr<v1::SnapshotHeader> ReadHeader(ItemReader& reader) {
  FL_ASSIGN_OR_RETURN(const Kind kind, reader.Next());
  if (kind != kHeader) return Damaged("it does not begin with its header");
  FL_ASSIGN_OR_RETURN(auto header, reader.As<v1::SnapshotHeader>());
  if (header.format() != kFormat) {
    return MakeError(StatusCode::kDataLoss, "the snapshot has format {}; this version reads {}",
                     header.format(), kFormat);
  }
  return header;
}

bool IsSame(const v1::ExperimentRecord& a, const v1::ExperimentRecord& b) {
  return a.experiment().revision() == b.experiment().revision() &&
         a.report_index() == b.report_index() && a.ByteSizeLong() == b.ByteSizeLong();
}

}  // namespace

Status WriteState(const StateData& state, const ByteSink& sink) {
  ItemWriter writer(sink);
  v1::SnapshotHeader header;
  header.set_format(kFormat);
  header.mutable_state()->set_cluster_id(state.cluster_id);
  header.mutable_state()->set_version(state.version);
  for (const auto& [name, index] : state.webhooks) {
    auto* cursor = header.mutable_state()->add_webhooks();
    cursor->set_name(name);
    cursor->set_index(index);
  }
  header.set_experiments(state.experiments.size());
  header.set_agents(state.agents.size());
  FL_RETURN_IF_ERROR(writer.Put(kHeader, header));
  for (const auto& [index, record] : state.experiments) {
    FL_RETURN_IF_ERROR(writer.Put(kExperiment, record));
  }
  for (const auto& [id, agent] : state.agents) FL_RETURN_IF_ERROR(writer.Put(kAgent, agent));
  FL_RETURN_IF_ERROR(writer.Put(kEnd, v1::SnapshotHeader()));
  return writer.Flush();
}

Status VisitState(ByteSource& source, const StateVisitor& visitor) {
  ItemReader reader(source);
  FL_ASSIGN_OR_RETURN(const auto header, ReadHeader(reader));
  FL_RETURN_IF_ERROR(visitor.header(header));
  uint64_t experiments = 0, agents = 0, last_index = 0;
  for (;;) {
    FL_ASSIGN_OR_RETURN(const Kind kind, reader.Next());
    if (kind == kHeader) return Damaged("a second header");
    if (kind == kEnd) break;
    if (kind == kAgent) {
      FL_ASSIGN_OR_RETURN(auto agent, reader.As<chaos::v1::Agent>());
      FL_RETURN_IF_ERROR(visitor.agent(std::move(agent)));
      ++agents;
      continue;
    }
    FL_ASSIGN_OR_RETURN(auto record, reader.As<v1::ExperimentRecord>());
    if (record.created_index() <= last_index) return Damaged("experiments are out of order");
    last_index = record.created_index();
    FL_RETURN_IF_ERROR(visitor.experiment(std::move(record)));
    ++experiments;
  }
  if (experiments != header.experiments() || agents != header.agents()) {
    return Damaged(fmt::format("it has {} experiments and {} agents instead of {} and {}",
                               experiments, agents, header.experiments(), header.agents()));
  }
  return reader.End();
}

StatusOr<State> ReadState(ByteSource& source, const ExperimentMap* present) {
  State state;
  StateVisitor visitor;
  visitor.header = [&](const v1::SnapshotHeader& header) {
    state.cluster_id = header.state().cluster_id();
    state.version = std::max(header.state().version(), kFirstVersion);
    for (const auto& cursor : header.state().webhooks()) {
      state.webhooks[cursor.name()] = cursor.index();
    }
    return absl::OkStatus();
  };
  visitor.experiment = [&](v1::ExperimentRecord record) {
    const uint64_t index = record.created_index();
    if (present != nullptr && present->contains(index) && IsSame(present->at(index), record)) {
      state.InsertShared(index, *present);
    } else {
      state.Insert(std::move(record));
    }
    return absl::OkStatus();
  };
  visitor.agent = [&](chaos::v1::Agent agent) {
    const std::string id = agent.agent_id();
    state.agents.Set(id, std::move(agent));
    return absl::OkStatus();
  };
  FL_RETURN_IF_ERROR(VisitState(source, visitor));
  return state;
}

std::string ToSnapshot(const StateData& state) {
  std::string bytes;
  const ByteSink sink = [&bytes](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  };
  (void)WriteState(state, sink);  // this sink takes everything
  return bytes;
}

StatusOr<State> FromSnapshot(std::string_view bytes) {
  StringSource source(bytes);
  return ReadState(source);
}

}  // namespace faultline::control
