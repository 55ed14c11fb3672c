#include "bare_engine.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <sys/epoll.h>
#include <system_error>
#include <unistd.h>

namespace gristmill::bench {
namespace {

constexpr std::size_t connections_per_shard = 250;

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

void check(CURLMcode code) {
  if (code != CURLM_OK) throw std::runtime_error(curl_multi_strerror(code));
}

} // namespace

Engine::Engine(std::size_t concurrency, Done done)
    : done_(std::move(done)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  const std::size_t count = (concurrency + connections_per_shard - 1) / connections_per_shard;
  for (std::size_t number = 0; number < count; ++number) {
    auto shard = std::make_unique<Shard>();
    shard->engine = this;
    shard->number = number;
    shard->multi = curl_multi_init();
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, &Engine::watch_socket);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard.get());
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, &Engine::set_timer);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard.get());
    // Unpinned, the connection cache follows the load and throws warm connections away.
    curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, static_cast<long>(connections_per_shard));
    shards_.push_back(std::move(shard));
  }
}

Engine::~Engine() {
  for (auto& shard : shards_) curl_multi_cleanup(shard->multi);
  ::close(epoll_);
}

void Engine::start(std::size_t slot, CURL* easy) {
  check(curl_multi_add_handle(shards_[slot % shards_.size()]->multi, easy));
  ++running_;
}

void Engine::run() {
  while (running_ > 0) {
    fire_timers();
    if (running_ > 0) wait();
  }
}

int Engine::watch_socket(CURL*, curl_socket_t socket, int what, void* user, void* known) {
  auto& shard = *static_cast<Shard*>(user);
  const int epoll = shard.engine->epoll_;
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
  event.data.u64 = shard.number << 32 | static_cast<std::uint32_t>(socket);
  ::epoll_ctl(epoll, known != nullptr ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
  if (known == nullptr) curl_multi_assign(shard.multi, socket, &shard);
  return 0;
}

int Engine::set_timer(CURLM*, long wait_ms, void* user) {
  static_cast<Shard*>(user)->due_ms = wait_ms < 0 ? -1 : now_ms() + wait_ms;
  return 0;
}

void Engine::act(Shard& shard, curl_socket_t socket, int events) {
  int still_running = 0;
  check(curl_multi_socket_action(shard.multi, socket, events, &still_running));
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(shard.multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const easy = message->easy_handle;
    const CURLcode code = message->data.result;
    check(curl_multi_remove_handle(shard.multi, easy));
    --running_;
    done_(easy, code);
  }
}

// A transfer that was just started wants its timer at once; going on here until no timer is due
// saves a round through the kernel for every item.
void Engine::fire_timers() {
  for (bool fired = true; fired;) {
    fired = false;
    for (auto& shard : shards_) {
      if (shard->due_ms < 0 || shard->due_ms > now_ms()) continue;
      shard->due_ms = -1;
      act(*shard, CURL_SOCKET_TIMEOUT, 0);
      fired = true;
    }
  }
}

std::int64_t Engine::next_due_ms() const {
  std::int64_t next = -1;
  for (const auto& shard : shards_) {
    if (shard->due_ms >= 0 && (next < 0 || shard->due_ms < next)) next = shard->due_ms;
  }
  return next;
}

void Engine::wait() {
  std::array<epoll_event, 512> events;
  const std::int64_t due_ms = next_due_ms();
  const std::int64_t wait_ms = due_ms < 0 ? -1 : std::max<std::int64_t>(0, due_ms - now_ms());
  const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(wait_ms));
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    int bits = 0;
    if ((event.events & EPOLLIN) != 0) bits |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) bits |= CURL_CSELECT_OUT;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) bits |= CURL_CSELECT_ERR;
    act(*shards_[event.data.u64 >> 32], static_cast<curl_socket_t>(event.data.u64 & 0xffffffffu),
        bits);
  }
}

} // namespace gristmill::bench
