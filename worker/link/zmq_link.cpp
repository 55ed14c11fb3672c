#include "worker/link/zmq_link.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "actors/kit/random.hpp"
#include "actors/kit/socket_thread.hpp"
#include "worker/link/zmq_connection.hpp"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <mutex>
#include <poll.h>
#include <thread>
#include <zmq.hpp>

namespace gristmill::worker {
namespace {

constexpr int batch_frames = 64;
constexpr Duration redial_min = std::chrono::milliseconds{200},
                   redial_max = std::chrono::seconds{2};

int ms_until(Time time) {
  return static_cast<int>(std::max<std::int64_t>(0, to_ms(time - boot_now()) + 1));
}

} // namespace

class ZmqLink::Thread {
public:
  Thread(LinkOptions options, LinkEvents events)
      : options_{std::move(options)}, events_{std::move(events)}, gauge_{options_.in_bytes_max} {}
  ~Thread() { stop(); }

  Result<> open();
  void stop();
  void send(std::vector<std::string> frames);
  void consumed(std::size_t bytes) {
    if (gauge_.consumed(bytes)) bell_.ring();
  }

private:
  void run();
  bool wait(); // whether the bell was rung
  void dial();
  void hear_news();
  void went_up();
  void went_down(LinkTrouble trouble);
  void redial(LinkTrouble trouble);
  void receive_batch();
  void send_queued();
  void say_farewell();

  const LinkOptions options_;
  const LinkEvents events_;
  zmq::context_t context_;                    // outlives its sockets
  std::unique_ptr<ZmqConnection> connection_; // none: between two

  Bell bell_;
  ReadGauge gauge_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<std::string> out_; // under mutex_

  bool up_ = false;
  std::optional<LinkTrouble> told_; // why the link is down, as it was last told
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  Random random_{random_seed()};
  Duration redial_pause_ = redial_min;
  Time redial_at_{};
  std::thread thread_;
};

Result<> ZmqLink::Thread::open() {
  auto connection = ZmqConnection::dial(context_, options_);
  GRISTMILL_TRY(connection);
  connection_ = std::move(*connection);
  thread_ = guarded_thread("link", [this] { run(); });
  return {};
}

void ZmqLink::Thread::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  bell_.ring();
  thread_.join();
}

void ZmqLink::Thread::send(std::vector<std::string> frames) {
  for (const std::string& frame : frames)
    GRISTMILL_CHECK(frame.size() <= limits::frame_bytes_max, "a frame of {} bytes", frame.size());
  {
    const std::lock_guard lock{mutex_};
    std::move(frames.begin(), frames.end(), std::back_inserter(out_));
  }
  bell_.ring();
}

void ZmqLink::Thread::run() {
  block_signals_of_this_thread();
  while (!stopping_) {
    if (wait()) bell_.answer();
    if (!connection_ && boot_now() >= redial_at_) dial();
    hear_news();
    receive_batch();
    send_queued();
  }
  say_farewell();
  connection_.reset();
}

bool ZmqLink::Thread::wait() {
  if (connection_) return connection_->wait(bell_.fd(), gauge_.may_read(), !waiting_.empty(), -1);
  pollfd bell{bell_.fd(), POLLIN, 0};
  return ::poll(&bell, 1, ms_until(redial_at_)) > 0;
}

void ZmqLink::Thread::dial() {
  auto connection = ZmqConnection::dial(context_, options_);
  if (!connection) return redial(LinkTrouble::nobody_answers); // no descriptors left, for instance
  connection_ = std::move(*connection);
}

void ZmqLink::Thread::hear_news() {
  while (connection_) {
    const auto news = connection_->next_news();
    if (!news) return;
    if (news->up)
      went_up();
    else if (news->trouble == LinkTrouble::nobody_answers)
      went_down(news->trouble); // it is dialled again without us
    else
      redial(news->trouble);
  }
}

void ZmqLink::Thread::went_up() {
  {
    const std::lock_guard lock{mutex_};
    out_.clear(); // meant for the connection before
  }
  up_ = true;
  told_.reset();
  redial_pause_ = redial_min;
  events_.up();
}

void ZmqLink::Thread::went_down(LinkTrouble trouble) {
  up_ = false;
  waiting_.clear();
  waiting_bytes_ = 0;
  if (std::exchange(told_, trouble) == trouble) return;
  events_.down(sentence_of(trouble, options_.coordinator, options_.access));
}

// This connection is spent: another takes its place after a pause.
void ZmqLink::Thread::redial(LinkTrouble trouble) {
  receive_batch(); // what came before the end
  connection_.reset();
  // Spread, so that the workers of a restarted coordinator do not all come at once.
  redial_at_ = boot_now() + random_.between(redial_pause_ / 2, redial_pause_);
  redial_pause_ = std::min(2 * redial_pause_, redial_max);
  went_down(trouble);
}

void ZmqLink::Thread::receive_batch() {
  if (!up_ || !connection_) return;
  std::vector<std::string> batch;
  std::string frame;
  while (batch.size() < batch_frames && gauge_.may_read() && connection_->receive(frame)) {
    gauge_.received(frame.size());
    batch.push_back(std::move(frame));
  }
  if (!batch.empty()) events_.received(std::move(batch));
}

void ZmqLink::Thread::send_queued() {
  std::vector<std::string> frames;
  {
    const std::lock_guard lock{mutex_};
    frames.swap(out_);
  }
  if (!up_) return;
  while (!waiting_.empty() && connection_->try_send(waiting_.front())) {
    waiting_bytes_ -= waiting_.front().size();
    waiting_.pop_front();
  }
  for (std::string& frame : frames) {
    if (waiting_.empty() && connection_->try_send(frame)) continue;
    waiting_bytes_ += frame.size();
    waiting_.push_back(std::move(frame));
  }
  if (waiting_bytes_ > options_.out_bytes_max) redial(LinkTrouble::takes_no_frames);
}

// What was sent before stop() may be a Goodbye, which spares the coordinator a wait.
void ZmqLink::Thread::say_farewell() {
  const Time deadline = boot_now() + options_.farewell;
  send_queued();
  while (up_ && !waiting_.empty() && boot_now() < deadline) {
    connection_->wait(-1, false, true, ms_until(deadline));
    send_queued();
  }
  if (up_) connection_->linger(ms_until(deadline));
}

ZmqLink::ZmqLink(std::unique_ptr<Thread> thread) : thread_{std::move(thread)} {}
ZmqLink::~ZmqLink() = default;

Result<std::unique_ptr<ZmqLink>> ZmqLink::open(LinkOptions options, LinkEvents events) {
  if (!options.access && leaves_this_machine(options.coordinator))
    return fail(ErrorCode::usage,
                fmt::format("reaching {} without keys: anybody on the way could read the prompts; "
                            "give --access FILE or --keys DIR, as `gristmill keygen` wrote them",
                            options.coordinator));
  try {
    auto thread = std::make_unique<Thread>(std::move(options), std::move(events));
    GRISTMILL_TRY(thread->open());
    return std::unique_ptr<ZmqLink>{new ZmqLink{std::move(thread)}};
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, fmt::format("the link could not start: {}", error.what()));
  }
}

void ZmqLink::send(std::vector<std::string> frames) {
  thread_->send(std::move(frames));
}
void ZmqLink::consumed(std::size_t bytes) {
  thread_->consumed(bytes);
}
void ZmqLink::stop() {
  thread_->stop();
}

} // namespace gristmill::worker
