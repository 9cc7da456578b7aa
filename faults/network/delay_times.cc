#include "faults/network/delay_times.h"

namespace faultline::network {

StatusOr<DelayTimes> DelayTimes::Map(int delays_fd, int chunks_fd, int free_fd) {
  DelayTimes times;
  FL_ASSIGN_OR_RETURN(times.delays_, bpf::MappedArray<fl_delays>::Map(delays_fd, FL_MAX_RULES));
  FL_ASSIGN_OR_RETURN(times.store_, ChunkStore::Open(chunks_fd, free_fd));
  return times;
}

void DelayTimes::Open(unsigned rule) {
  // A program that had seen the rule open may have counted after Close.
  store_.Free(NumbersOf(rule));
  __atomic_store_n(&delays_[rule].no_room, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&delays_[rule].open, 1, __ATOMIC_RELEASE);
}

void DelayTimes::Close(unsigned rule) {
  __atomic_store_n(&delays_[rule].open, 0, __ATOMIC_RELEASE);
  store_.Free(NumbersOf(rule));
}

void DelayTimes::Count(unsigned rule, uint64_t given_ns) {
  if (store_.Count(NumbersOf(rule), fl_hist_bucket(given_ns))) return;
  __atomic_fetch_add(&delays_[rule].no_room, 1, __ATOMIC_RELAXED);
}

chaos::v1::FaultDelays DelayTimes::Take(unsigned rule) {
  chaos::v1::FaultDelays taken;
  auto* given = taken.mutable_given();
  given->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  store_.Take(NumbersOf(rule), [given](unsigned bucket, uint64_t count) {
    given->add_index(bucket);
    given->add_count(count);
  });
  taken.set_no_room(__atomic_exchange_n(&delays_[rule].no_room, 0, __ATOMIC_RELAXED));
  return taken;
}

}  // namespace faultline::network
