#include "base/strand.h"

#include <pthread.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <thread>

namespace faultline {

namespace asio = boost::asio;

struct Strand::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  std::atomic<size_t> pending{0};
  std::atomic<bool> stopped{false};
  size_t limit = 0;
  std::thread thread;
};

Strand::Strand(const std::string& name, size_t limit) : impl_(std::make_unique<Impl>()) {
  impl_->limit = limit;
  impl_->thread = std::thread([impl = impl_.get()] { impl->context.run(); });
  pthread_setname_np(impl_->thread.native_handle(), name.substr(0, 15).c_str());
}

Strand::~Strand() { Stop(); }

void Strand::Stop() {
  impl_->stopped.store(true);
  impl_->context.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

bool Strand::Post(std::function<void()> task) {
  if (impl_->stopped.load()) return false;
  if (impl_->pending.fetch_add(1) >= impl_->limit) {
    impl_->pending.fetch_sub(1);
    return false;
  }
  asio::post(impl_->context, [impl = impl_.get(), task = std::move(task)] {
    impl->pending.fetch_sub(1);
    task();
  });
  return true;
}

void Strand::PostAfter(std::chrono::nanoseconds delay, std::function<void()> task) {
  if (impl_->stopped.load()) return;
  auto timer = std::make_shared<asio::steady_timer>(impl_->context, delay);
  timer->async_wait([timer, task = std::move(task)](const boost::system::error_code& error) {
    if (!error) task();
  });
}

bool Strand::Run(std::function<void()> task) {
  auto done = std::make_shared<std::promise<void>>();
  auto future = done->get_future();
  // By the strand, which runs it, or by a caller who waits no longer: then it is not run.
  auto taken = std::make_shared<std::atomic<bool>>(false);
  if (impl_->stopped.load()) return false;
  // The promise is destroyed with an unrun task, which also ends the wait.
  asio::post(impl_->context, [done = std::move(done), taken, task = std::move(task)] {
    if (taken->exchange(true)) return;
    task();
    done->set_value();
  });
  while (future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (impl_->stopped.load() && !taken->exchange(true)) return false;
  }
  try {
    future.get();
  } catch (const std::future_error&) {
    return false;
  }
  return true;
}

bool Strand::OnStrand() const { return std::this_thread::get_id() == impl_->thread.get_id(); }

}  // namespace faultline
