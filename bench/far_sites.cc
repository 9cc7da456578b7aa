#include "far_sites.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/clock.h"
#include "network/v1/parameters.pb.h"
#include "writers.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kHoldNs = 24ULL * 3'600 * kNanosPerSecond;
constexpr uint16_t kClosedPort = 9;
constexpr int kConnects = 5;

double ConnectMs(const std::string& ip) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kClosedPort);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  const uint64_t begin_ns = MonotonicNowNs();
  connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const uint64_t end_ns = MonotonicNowNs();
  close(fd);
  return static_cast<double>(end_ns - begin_ns) / 1e6;
}

size_t Count(const std::string& text, std::string_view word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

}  // namespace

StatusOr<std::unique_ptr<FarSites>> FarSites::Make(int count, double one_way_ms) {
  if (const std::string why = cluster::Sites::EnterOwnNamespace(); !why.empty()) {
    return MakeError(StatusCode::kFailedPrecondition, "{}", why);
  }
  if (const auto why = netns_test::WhyNot()) {
    return MakeError(StatusCode::kFailedPrecondition, "{}", *why);
  }
  std::unique_ptr<FarSites> far(new FarSites);
  far->sites_ = std::make_unique<cluster::Sites>(
      cluster::Sites::Options{.nodes = count, .start = false, .may_slow = false});
  FL_RETURN_IF_ERROR(far->Delay(one_way_ms));
  return far;
}

Status FarSites::Delay(double one_way_ms) {
  faults::DriverContext context;
  context.undo = &undo_;
  context.on_lease_page = [this](int, faults::LeasePage* page) { lease_ = page; };
  FL_ASSIGN_OR_RETURN(driver_, network::MakeNetworkDriver(context));
  lease_->heartbeat_until_ns = BoottimeNowNs() + kHoldNs;
  lease_->control_until_ns = BoottimeNowNs() + kHoldNs;
  std::vector<chaos::v1::Target> targets;
  for (int site = 1; site <= sites_->size(); ++site) {
    auto& target = targets.emplace_back();
    target.set_target_id(fmt::format("site{}", site));
    target.set_netns(sites_->netns(site));
    target.set_interface("up0");
  }
  for (const Status& status : driver_->SetTargets(targets)) FL_RETURN_IF_ERROR(status);
  ::network::v1::NetworkLatency latency;
  latency.set_delay_ms(one_way_ms);
  latency.mutable_filter()->set_direction(::network::v1::DIRECTION_EGRESS);
  for (const auto& target : targets) {
    faults::ArmRequest request;
    request.key = {"far", 0, target.target_id()};
    request.config.PackFrom(latency);
    request.deadline_boottime_ns = BoottimeNowNs() + kHoldNs;
    FL_RETURN_IF_ERROR(driver_->Arm(request));
  }
  return absl::OkStatus();
}

std::vector<EtcdCluster::Options::Place> FarSites::Places() const {
  std::vector<EtcdCluster::Options::Place> places;
  for (int site = 1; site <= sites_->size(); ++site) {
    places.push_back({sites_->netns(site), sites_->address(site)});
  }
  return places;
}

StatusOr<double> FarSites::RoundTripMs() const {
  FL_ASSIGN_OR_RETURN(const auto netns, bpf::OpenNetns(sites_->netns(1)));
  double shortest_ms = 1e9;
  FL_RETURN_IF_ERROR(bpf::InNetns(netns, [&] {
    for (int i = 0; i < kConnects; ++i) {
      shortest_ms = std::min(shortest_ms, ConnectMs(sites_->address(2)));
    }
    return absl::OkStatus();
  }));
  return shortest_ms;
}

Status FarSites::WaitForFirstWrite(uint64_t patience_ns) {
  const uint64_t end_ns = MonotonicNowNs() + patience_ns;
  while (Leader() == 0) {
    if (MonotonicNowNs() > end_ns) return MakeError(StatusCode::kDeadlineExceeded, "no leader");
    usleep(1'000);
  }
  first_writer_.push_back(StopClient(sites_->api_address(Leader()), sites_->tls()));
  FL_RETURN_IF_ERROR(first_writer_.front()->Prepare());
  return RunLoad(first_writer_, 1).status();
}

int FarSites::Leader() const {
  constexpr std::string_view kLine = "is now leader of term ";
  int leader = 0;
  long newest = 0;
  for (int site = 1; site <= sites_->size(); ++site) {
    const std::string log = sites_->Log(site);
    const size_t at = log.rfind(kLine);
    if (at == std::string::npos) continue;
    const long term = std::strtol(log.c_str() + at + kLine.size(), nullptr, 10);
    if (term > newest) leader = site;
    newest = std::max(newest, term);
  }
  return leader;
}

int FarSites::Elections() const {
  size_t count = 0;
  for (int site = 1; site <= sites_->size(); ++site) {
    count += Count(sites_->Log(site), "role candidate");
  }
  return static_cast<int>(count);
}

}  // namespace faultline::bench
