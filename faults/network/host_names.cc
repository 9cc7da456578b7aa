#include "faults/network/host_names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "faults/driver.h"

namespace faultline::network {
namespace {

using Clock = std::chrono::steady_clock;

Cidr ToCidr(const sockaddr* address) {
  Cidr cidr;
  cidr.ipv6 = address->sa_family == AF_INET6;
  cidr.prefix_bits = cidr.ipv6 ? 128 : 32;
  if (cidr.ipv6) {
    std::memcpy(cidr.address.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr,
                16);
  } else {
    std::memcpy(cidr.address.data(), &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, 4);
  }
  return cidr;
}

StatusOr<std::vector<Cidr>> AskResolver(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (error != 0) return ResolverError(name, error);
  std::vector<Cidr> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    addresses.push_back(ToCidr(one->ai_addr));
  }
  freeaddrinfo(found);
  std::sort(addresses.begin(), addresses.end());
  if (addresses.size() > HostNames::kMaxAddresses) addresses.resize(HostNames::kMaxAddresses);
  return addresses;
}

}  // namespace

Status ResolverError(std::string_view name, int error) {
  const auto code = error == EAI_AGAIN ? StatusCode::kUnavailable : StatusCode::kFailedPrecondition;
  return MakeError(code, "'{}' does not resolve: {}", name, gai_strerror(error));
}

struct HostNames::State {
  struct Name {
    std::optional<StatusOr<std::vector<Cidr>>> answer;
    Clock::time_point first_asked = Clock::now(), asked, looked_up;
    bool under_way = false;
  };

  LookUp look_up;
  std::chrono::milliseconds every{kEvery}, first_answer{kFirstAnswer};
  std::mutex mutex;
  std::condition_variable wake;
  bool stopped = false;  // guarded by mutex, as the next
  std::map<std::string, Name> names;

  // What each thread does.
  void Run();
  Clock::time_point DueOf(const Name& name) const;
  // The name whose lookup is due first, of those that no thread looks up, and when.
  std::optional<std::pair<std::string, Clock::time_point>> NextDue();
};

Clock::time_point HostNames::State::DueOf(const Name& name) const {
  if (!name.answer) return Clock::time_point::min();
  const bool away = name.answer->status().code() == StatusCode::kUnavailable;
  return name.looked_up + (away ? std::min<std::chrono::milliseconds>(every, kAgain) : every);
}

std::optional<std::pair<std::string, Clock::time_point>> HostNames::State::NextDue() {
  const auto now = Clock::now();
  std::erase_if(names, [now](const auto& item) { return now - item.second.asked > kForgotten; });
  std::optional<std::pair<std::string, Clock::time_point>> next;
  for (const auto& [text, name] : names) {
    if (name.under_way) continue;
    const auto due = DueOf(name);
    if (!next || due < next->second) next = {text, due};
  }
  return next;
}

void HostNames::State::Run() {
  std::unique_lock lock(mutex);
  while (!stopped) {
    const auto next = NextDue();
    if (!next) {
      wake.wait(lock);
      continue;
    }
    if (next->second > Clock::now()) {
      wake.wait_until(lock, next->second);
      continue;
    }
    names.at(next->first).under_way = true;
    lock.unlock();
    auto answer = look_up(next->first);
    lock.lock();
    wake.notify_all();  // it is due again some time
    const auto found = names.find(next->first);
    if (found == names.end()) continue;
    found->second.under_way = false;
    found->second.looked_up = Clock::now();
    const bool worse = found->second.answer && found->second.answer->ok() && !answer.ok();
    if (!worse) found->second.answer = std::move(answer);
  }
}

HostNames::HostNames() : HostNames(AskResolver) {}

HostNames::HostNames(LookUp look_up, std::chrono::milliseconds every,
                     std::chrono::milliseconds first_answer)
    : state_(std::make_shared<State>()) {
  state_->look_up = std::move(look_up);
  state_->every = every;
  state_->first_answer = first_answer;
  for (int i = 0; i < kAtOnce; ++i) {
    std::thread thread([state = state_] { state->Run(); });
    pthread_setname_np(thread.native_handle(), "fl-names");
    thread.detach();
  }
}

HostNames::~HostNames() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopped = true;
  }
  state_->wake.notify_all();
}

StatusOr<std::vector<Cidr>> HostNames::AddressesOf(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  const auto [entry, fresh] = state_->names.try_emplace(name);
  entry->second.asked = Clock::now();
  if (fresh) state_->wake.notify_all();
  if (entry->second.answer) return *entry->second.answer;
  if (Clock::now() - entry->second.first_asked < state_->first_answer) {
    return MakeDetailedError(StatusCode::kUnavailable, faults::kUnderWay,
                             fmt::format("'{}' is still being resolved", name));
  }
  const std::chrono::duration<double> waited = state_->first_answer;
  return MakeError(StatusCode::kDeadlineExceeded, "'{}' does not resolve: no answer within {} s",
                   name, waited.count());
}

}  // namespace faultline::network
