#include "faults/network/lane_input.h"

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace faultline::network {
namespace {

constexpr size_t kMoreBytes = 256 * 1024;
constexpr size_t kBodyBytes = LaneInput::kRoomBytes - kReturnHeadBytes;

}  // namespace

LaneInput::LaneInput()
    : room_(MakeRoom()),
      more_(std::make_unique_for_overwrite<uint8_t[]>(kMoreBytes)),
      linear_(std::make_unique_for_overwrite<uint8_t[]>(kPrefixedHeadBytes + kBodyBytes +
                                                        kMoreBytes)) {}

ssize_t LaneInput::Read(int fd) {
  const std::array<iovec, 3> places = {iovec{head_.data(), head_.size()},
                                       iovec{room_.get() + kReturnHeadBytes, kBodyBytes},
                                       iovec{more_.get(), kMoreBytes}};
  const ssize_t got = readv(fd, places.data(), static_cast<int>(places.size()));
  size_bytes_ = got > 0 ? static_cast<size_t>(got) : 0;
  return got;
}

bool LaneInput::FindPrefix(const fl_lane_prefix* parked, fl_lane_prefix* prefix) {
  carried_ = ReadPrefix(head_.data(), size_bytes_, prefix);
  return carried_ || ReadParked(head_.data(), size_bytes_, parked, prefix);
}

ReturnFrame LaneInput::Take(const fl_lane_prefix& prefix) {
  ReturnFrame frame;
  if (!carried_) {
    frame.size_bytes = size_bytes_;
    frame.bytes = std::make_unique_for_overwrite<uint8_t[]>(size_bytes_);
    Gather(frame.bytes.get());
    SetReturnTag(prefix, frame.bytes.get());
    return frame;
  }
  const size_t body = size_bytes_ - head_.size();
  if (prefix.tagged != 0 || body > kBodyBytes || body < kBodyBytes / 2) {
    Gather(linear_.get());
    return Rebuild(linear_.get(), size_bytes_, prefix);
  }
  WriteReturnHead(head_.data(), prefix, room_.get());
  frame.bytes = std::exchange(room_, MakeRoom());
  frame.size_bytes = kReturnHeadBytes + body;
  frame.room_bytes = kRoomBytes;
  return frame;
}

void LaneInput::GiveBack(ReturnFrame frame) {
  if (frame.room_bytes == kRoomBytes && spare_.size() < kMostSpare) {
    spare_.push_back(std::move(frame.bytes));
  }
}

std::unique_ptr<uint8_t[]> LaneInput::MakeRoom() {
  if (spare_.empty()) return std::make_unique_for_overwrite<uint8_t[]>(kRoomBytes);
  auto room = std::move(spare_.back());
  spare_.pop_back();
  return room;
}

void LaneInput::Gather(uint8_t* to) const {
  const size_t head = std::min(size_bytes_, head_.size());
  const size_t body = std::min(size_bytes_ - head, kBodyBytes);
  std::memcpy(to, head_.data(), head);
  std::memcpy(to + head, room_.get() + kReturnHeadBytes, body);
  std::memcpy(to + head + body, more_.get(), size_bytes_ - head - body);
}

}  // namespace faultline::network
