// CRC-32C (Castagnoli), the checksum of RocksDB's files and of ours.
#pragma once

#include <boost/crc.hpp>
#include <cstdint>
#include <string_view>

namespace faultline::raft {

using Crc32cState = boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

inline uint32_t Crc32c(std::string_view bytes) {
  Crc32cState state;
  state.process_bytes(bytes.data(), bytes.size());
  return state.checksum();
}

}  // namespace faultline::raft
