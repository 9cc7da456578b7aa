#include "agent/session.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "chaos/v1/agent.grpc.pb.h"
#include "rpc/credentials.h"
#include "rpc/keepalive.h"
#include "rpc/status.h"

namespace faultline::agent {
namespace {

using chaos::v1::ConnectRequest, chaos::v1::ConnectResponse;
using std::chrono::milliseconds;

constexpr milliseconds kWelcomePatience{1'000};
constexpr milliseconds kFirstPause{50}, kLongestPause{1'000};

// What a completion queue's tag points to.
struct Completion {
  std::function<void(bool ok)> then;
  bool on_strand = true;  // else on the queue's own thread
};

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& creds) {
  grpc::ChannelArguments arguments = rpc::KeptAlive();
  // Each attempt is a fresh connection: no memory of the last one's back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // No pings to measure the bandwidth: they wake an idle agent up for nothing.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return grpc::CreateCustomChannel(address, creds, arguments);
}

}  // namespace

struct Session::Impl : std::enable_shared_from_this<Impl> {
  Options options;
  Callbacks callbacks;
  Strand* strand = nullptr;
  std::vector<std::shared_ptr<grpc::ChannelCredentials>> credentials;  // one per controller
  grpc::CompletionQueue queue;
  std::thread thread;
  std::shared_ptr<Stream> stream;  // the present attempt
  size_t controller = 0;
  size_t failures = 0;  // attempts without a welcome, in a row
  milliseconds pause = kFirstPause;
  uint64_t welcomed_ns = 0;
  bool stopped = false;
  bool queue_closed = false;  // no operation may be started any more
  std::function<void()> stop_done;

  void Poll();
  void Connect();
  void OnStreamEnd(bool was_welcomed, const std::string& why);
};

// One stream to one node. Shared by its pending operations; on the strand, but for OnWritten.
class Session::Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Impl* owner, const std::string& address,
         const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : owner_(owner),
        address_(address),
        channel_(MakeChannel(address, credentials)),
        stub_(chaos::v1::AgentService::NewStub(channel_)) {}

  void Start() {
    ConnectRequest hello;
    *hello.mutable_hello() = owner_->callbacks.hello();
    urgent_.push_back(std::move(hello));
    ++pending_;
    call_ = stub_->PrepareAsyncConnect(&context_, &owner_->queue);
    call_->StartCall(On([this](bool ok) {
      if (!ok) return Finish();
      WriteNext();
      ReadNext();
    }));
    owner_->strand->PostAfter(kWelcomePatience, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->welcomed_) self->Cancel("no welcome");
    });
  }

  void Send(ConnectRequest request) {
    auto& queue = request.has_metrics() || request.has_baselines() ? bulk_ : urgent_;
    queue.push_back(std::move(request));
    ++pending_;
    if (pending_ > kSendLimit) return Cancel("it does not read");
    WriteNext();
  }

  void Cancel(const std::string& why) {
    if (why_.empty()) why_ = why;
    context_.TryCancel();
  }

  // Ends the stream in order, once all is sent.
  void Close() {
    ++pending_;
    WriteNext();
  }

  bool welcomed() const { return welcomed_ && !ended_; }
  const std::string& address() const { return address_; }

 private:
  // The tag of an operation: runs `then` on the strand, and keeps the stream until then.
  void* On(std::function<void(bool ok)> then) {
    return new Completion{
        [self = shared_from_this(), then = std::move(then)](bool ok) { then(ok); }};
  }

  void WriteNext() {
    if (ended_ || half_closed_ || pending_ == 0 || writing_ || owner_->queue_closed) return;
    writing_ = true;
    --pending_;
    void* written = new Completion{[self = shared_from_this()](bool ok) { self->OnWritten(ok); },
                                   /*on_strand=*/false};
    auto& queue = urgent_.empty() ? bulk_ : urgent_;
    if (queue.empty()) {
      half_closed_ = true;
      call_->WritesDone(written);
      return;
    }
    call_->Write(queue.front(), written);
    queue.pop_front();
  }

  // On the queue's thread: most often nothing waits, and the strand need not wake up.
  void OnWritten(bool ok) {
    writing_ = false;
    if (!ok || pending_ == 0) return;
    owner_->strand->Post([self = shared_from_this()] { self->WriteNext(); });
  }

  void ReadNext() {
    if (owner_->queue_closed) return;
    call_->Read(&incoming_, On([this](bool ok) {
      if (!ok) return Finish();
      Take();
      ReadNext();
    }));
  }

  void Take() {
    const Callbacks& callbacks = owner_->callbacks;
    if (owner_->stream.get() != this) return;
    if (incoming_.has_welcome() && !welcomed_) {
      welcomed_ = true;
      owner_->welcomed_ns = MonotonicNowNs();
      FL_LOG(info, "connected to {} (node {})", address_, incoming_.welcome().node_id());
      callbacks.on_welcome(incoming_.welcome());
    } else if (incoming_.has_grant()) {
      callbacks.on_grant(incoming_.grant());
    } else if (incoming_.has_desired()) {
      callbacks.on_desired(incoming_.desired());
    }
  }

  void Finish() {
    if (ended_ || owner_->queue_closed) return;
    ended_ = true;
    call_->Finish(&status_, On([this](bool) {
      const std::string reason = why_.empty() ? ToString(rpc::FromGrpc(status_).message()) : why_;
      if (owner_->stream.get() == this) owner_->OnStreamEnd(welcomed_, reason);
    }));
  }

  Impl* const owner_;
  const std::string address_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<chaos::v1::AgentService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<ConnectRequest, ConnectResponse>> call_;
  ConnectResponse incoming_;
  grpc::Status status_;
  std::deque<ConnectRequest> urgent_, bulk_;
  // Messages that wait, and the end of the stream if it does. With `writing_`, each set before the
  // other is looked at, so that either the strand or OnWritten goes on.
  std::atomic<size_t> pending_{0};
  std::atomic<bool> writing_{false};
  std::string why_;
  bool welcomed_ = false, half_closed_ = false, ended_ = false;
};

void Session::Impl::Poll() {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {
    const std::shared_ptr<Completion> completion(static_cast<Completion*>(tag));
    if (!completion->on_strand) {
      completion->then(ok);
      continue;
    }
    strand->Post([completion, ok] { completion->then(ok); });
  }
}

void Session::Impl::Connect() {
  if (stopped || stream) return;
  stream = std::make_shared<Stream>(this, options.controllers[controller], credentials[controller]);
  stream->Start();
}

void Session::Impl::OnStreamEnd(bool was_welcomed, const std::string& why) {
  FL_LOG(info, "{}: {}: {}", stream->address(), was_welcomed ? "stream ended" : "cannot connect",
         why);
  stream.reset();
  if (was_welcomed) callbacks.on_end();
  if (stopped) {
    if (stop_done) std::exchange(stop_done, nullptr)();
    return;
  }
  controller = (controller + 1) % options.controllers.size();
  // A stream that ended soon after its welcome is a failure too, or nodes that shut agents out
  // would be tried in a busy loop.
  if (was_welcomed && MonotonicNowNs() - welcomed_ns > kNanosPerSecond) {
    failures = 0;
    pause = kFirstPause;
  } else if (++failures % options.controllers.size() == 0) {
    strand->PostAfter(pause, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Connect();
    });
    pause = std::min(pause * 2, kLongestPause);
    return;
  }
  Connect();
}

StatusOr<std::unique_ptr<Session>> Session::Make(Options options, Callbacks callbacks,
                                                 Strand* strand) {
  const auto impl = std::make_shared<Impl>();
  for (const std::string& address : options.controllers) {
    FL_ASSIGN_OR_RETURN(
        auto credentials,
        rpc::ChannelCredentials({options.tls_ca_file, options.tls_cert_file, options.tls_key_file},
                                address, "controllers"));
    impl->credentials.push_back(std::move(credentials));
  }
  impl->options = std::move(options);
  impl->callbacks = std::move(callbacks);
  impl->strand = strand;
  impl->thread = std::thread([owner = impl.get()] { owner->Poll(); });
  pthread_setname_np(impl->thread.native_handle(), "fl-session");
  return std::unique_ptr<Session>(new Session(impl));
}

Session::Session(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Session::~Session() {
  impl_->strand->Run([this] {
    impl_->stopped = impl_->queue_closed = true;
    if (impl_->stream) impl_->stream->Cancel("the agent ends");
    impl_->stream.reset();
  });
  impl_->queue.Shutdown();
  impl_->thread.join();
  // What the queue still posted runs before the object goes.
  impl_->strand->Run([] {});
}

void Session::Start() { impl_->Connect(); }

void Session::Stop(uint64_t grace_ms, std::function<void()> done) {
  impl_->stopped = true;
  if (!impl_->stream) return done();
  impl_->stop_done = std::move(done);
  if (!welcomed()) return impl_->stream->Cancel("the agent ends");
  impl_->stream->Close();
  impl_->strand->PostAfter(milliseconds(grace_ms), [weak = std::weak_ptr(impl_->stream)] {
    if (const auto stream = weak.lock()) stream->Cancel("the agent ends");
  });
}

bool Session::Send(ConnectRequest request) {
  if (!welcomed()) return false;
  impl_->stream->Send(std::move(request));
  return true;
}

void Session::MoveOn(const std::string& why) {
  if (impl_->stream) impl_->stream->Cancel(why);
}

bool Session::welcomed() const { return impl_->stream && impl_->stream->welcomed(); }

std::string Session::controller() const { return impl_->options.controllers[impl_->controller]; }

}  // namespace faultline::agent
