#include "load.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>

#include "base/clock.h"
#include "report.h"
#include "rpc/credentials.h"

namespace faultline::bench {
namespace {

// The loops of all clients.
class Load {
 public:
  Load(const std::vector<std::unique_ptr<LoadClient>>& clients, int writes)
      : clients_(clients), left_(writes), running_(clients.size()), latencies_(clients.size()) {
    for (auto& latencies : latencies_) latencies.reserve(static_cast<size_t>(writes));
  }

  StatusOr<LoadResult> Run() {
    const uint64_t begin_ns = MonotonicNowNs();
    for (size_t i = 0; i < clients_.size(); ++i) Next(i);
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
    const uint64_t end_ns = MonotonicNowNs();
    FL_RETURN_IF_ERROR(failure_);
    std::vector<double> all;
    for (const auto& latencies : latencies_) {
      all.insert(all.end(), latencies.begin(), latencies.end());
    }
    LoadResult result;
    result.writes_per_s =
        static_cast<double>(all.size()) * 1e9 / static_cast<double>(end_ns - begin_ns);
    result.p50_ms = Percentile(all, 50);
    result.p99_ms = Percentile(std::move(all), 99);
    return result;
  }

 private:
  void Next(size_t client) {
    if (left_.fetch_sub(1) <= 0) return End(absl::OkStatus());
    const uint64_t sent_ns = MonotonicNowNs();
    clients_[client]->Write([this, client, sent_ns](const Status& status) {
      if (!status.ok()) return End(status);
      latencies_[client].push_back(static_cast<double>(MonotonicNowNs() - sent_ns) / 1e6);
      Next(client);
    });
  }

  void End(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (!status.ok()) {
      failure_ = status;
      left_ = 0;
    }
    if (--running_ == 0) ended_.notify_all();
  }

  const std::vector<std::unique_ptr<LoadClient>>& clients_;
  std::atomic<int> left_;
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t running_;
  Status failure_;
  std::vector<std::vector<double>> latencies_;  // by client, which writes its own only
};

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address, const rpc::TlsFiles& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  // How long one attempt may take; hundreds of handshakes at once take their time.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 50);
  arguments.SetMaxReceiveMessageSize(rpc::kMaxAnswerBytes);
  const auto credentials = rpc::ChannelCredentials(tls, address);
  if (!credentials.ok()) return grpc::CreateChannel(address, nullptr);
  return grpc::CreateCustomChannel(address, *credentials, arguments);
}

StatusOr<rpc::TlsFiles> MakeCertificates(const std::string& folder, const std::string& ip) {
  const std::string script = fmt::format(
      "cd {0} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "-subj /CN=bench-ca -keyout ca.key -out ca.pem 2>/dev/null && "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=bench "
      "-keyout bench.key -out bench.csr 2>/dev/null && printf 'subjectAltName=IP:{1}' >bench.ext "
      "&& openssl x509 -req -in bench.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
      "-extfile bench.ext -out bench.pem 2>/dev/null",
      folder, ip);
  if (std::system(script.c_str()) != 0) {
    return MakeError(StatusCode::kFailedPrecondition, "openssl cannot make certificates");
  }
  return rpc::TlsFiles{folder + "/ca.pem", folder + "/bench.pem", folder + "/bench.key"};
}

double CpuSecondsOf(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  // Behind the name, which ends with the last ')': state, then ten fields, then user and system.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ResidentBytesOf(int pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  double all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

StatusOr<LoadResult> RunLoad(const std::vector<std::unique_ptr<LoadClient>>& clients, int writes) {
  return Load(clients, writes).Run();
}

}  // namespace faultline::bench
