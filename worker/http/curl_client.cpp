#include "worker/http/curl_client.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "worker/http/api_keys.hpp"
#include "worker/http/curl_call.hpp"
#include "worker/http/curl_shard.hpp"
#include "worker/http/key_redaction.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace gristmill::worker {

class CurlClient::Loop {
public:
  Loop(ModelClientEvents events, CurlClientOptions options)
      : events_{std::move(events)}, options_{std::move(options)}, thread_{guarded_thread(
                                                                      "model client",
                                                                      [this] { run(); })} {}

  ~Loop() {
    post([](Inbox& inbox) { inbox.stop = true; });
    thread_.join();
  }

  struct Inbox {
    std::vector<HttpCall> calls;
    std::vector<AttemptId> aborts;
    std::vector<PageRead> pages;
    bool stop = false;
  };

  template <class Change> void post(Change change) {
    {
      const std::lock_guard lock{mutex_};
      change(inbox_);
    }
    connections_.watch.wake();
  }

private:
  void run();
  int wait_ms(Time now) const;
  void run_sockets();
  void run_timers(Time now);
  void collect();
  void admit(HttpCall request);
  void admit(PageRead page, Time now);
  std::deque<CurlCall*>& queue_of(CurlCall& call);
  void abort(CurlCall& call);
  bool send_waiting(Time now);
  void expire_waiting(Time now);
  void hand_over(CurlCall& call, Time now);
  void finish(CurlCall& call);
  void deliver();

  static constexpr std::size_t spare_handles_max = 256;

  ModelClientEvents events_;
  CurlClientOptions options_;

  std::mutex mutex_;
  Inbox inbox_; // guarded by mutex_

  // All below belong to the thread. Shards go first at the end: they close connections, which the
  // rest keeps account of.
  ApiKeys keys_;
  CurlConnections connections_;
  CurlShare share_;
  std::vector<std::unique_ptr<CurlEasy>> spare_;
  std::vector<std::unique_ptr<CurlShard>> shards_;
  std::unordered_map<AttemptId, std::unique_ptr<CurlCall>> calls_;
  std::unordered_map<EndpointId, std::unique_ptr<CurlCall>> pages_;
  std::vector<std::deque<CurlCall*>> waiting_; // by host, in the order of arrival
  std::size_t waiting_count_ = 0, first_host_ = 0;
  Time waiting_ends_ = never; // no waiting call's permit ends earlier
  std::vector<SocketWatch::Event> ready_;
  std::vector<CurlShard::Finished> finished_;
  std::vector<CallEnded> ended_;
  std::vector<PageEnded> read_;

  std::thread thread_;
};

void CurlClient::Loop::run() {
  while (true) {
    connections_.watch.wait(wait_ms(boot_now()), ready_);
    run_sockets();
    run_timers(boot_now());
    collect();

    Inbox inbox;
    {
      const std::lock_guard lock{mutex_};
      std::swap(inbox, inbox_);
    }
    for (HttpCall& request : inbox.calls) admit(std::move(request));
    for (PageRead& page : inbox.pages) admit(std::move(page), boot_now());
    for (const AttemptId attempt : inbox.aborts)
      if (const auto call = calls_.find(attempt); call != calls_.end()) abort(*call->second);
    while (inbox.stop && !calls_.empty()) abort(*calls_.begin()->second);
    while (inbox.stop && !pages_.empty()) abort(*pages_.begin()->second);

    const Time now = boot_now();
    expire_waiting(now);
    // What is handed over may end or be connected at once and so make room for more.
    while (send_waiting(now)) {
      run_timers(now);
      collect();
    }
    deliver();
    if (inbox.stop) return;
  }
}

int CurlClient::Loop::wait_ms(Time now) const {
  Time until = waiting_ends_;
  for (const auto& shard : shards_) until = std::min(until, shard->timer_at());
  if (until == never) return -1;
  if (until <= now) return 0;
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  return static_cast<int>(std::min(to_ms(until - now) + 1, most));
}

void CurlClient::Loop::run_sockets() {
  for (const SocketWatch::Event& event : ready_) {
    if (event.wanted)
      shards_[event.shard]->on_socket(event);
    else if (event.hung_up)
      connections_.book.hung_up(event.fd);
  }
}

void CurlClient::Loop::run_timers(Time now) {
  for (const auto& shard : shards_) {
    if (shard->timer_at() <= now) shard->on_timer();
  }
}

void CurlClient::Loop::collect() {
  finished_.clear();
  for (const auto& shard : shards_) shard->take_finished(finished_);
  for (const auto& [call, result] : finished_) {
    call->easy->read_result(*call, result);
    finish(*call);
  }
}

void CurlClient::Loop::admit(HttpCall request) {
  auto owned = std::make_unique<CurlCall>();
  CurlCall& call = *owned;
  call.request = std::move(request);
  const auto authorization =
      keys_.authorization(call.request.api_key_env, call.request.api_key_file);
  if (!authorization) {
    call.end_as(CallEnd::failed, "no_api_key", authorization.error().message);
    ended_.push_back(std::move(call.reply));
    return;
  }
  call.authorization = *authorization;
  // An attempt is one call: the one that is under way is also the end of its repetition.
  if (!calls_.emplace(call.request.attempt, std::move(owned)).second) return;
  queue_of(call).push_back(&call);
}

void CurlClient::Loop::admit(PageRead page, Time now) {
  auto owned = std::make_unique<CurlCall>();
  CurlCall& call = *owned;
  call.page = page.endpoint;
  call.in_our_network = page.in_our_network;
  call.body_bytes_max = page.bytes_max == 0 ? limits::metrics_bytes_max : page.bytes_max;
  call.request.url = std::move(page.url);
  call.request.timeout = call.request.connect_timeout = page.timeout;
  call.request.not_after = now + page.timeout;
  if (!pages_.emplace(page.endpoint, std::move(owned)).second) return;
  queue_of(call).push_front(&call);
}

// The line before its host, which it is about to join.
std::deque<CurlCall*>& CurlClient::Loop::queue_of(CurlCall& call) {
  call.seat.host = connections_.book.host_of(call.request.url);
  if (call.seat.host >= waiting_.size()) waiting_.resize(call.seat.host + 1);
  ++waiting_count_;
  waiting_ends_ = std::min(waiting_ends_, call.request.not_after);
  return waiting_[call.seat.host];
}

void CurlClient::Loop::abort(CurlCall& call) {
  if (!call.easy) {
    auto& queue = waiting_[call.seat.host];
    queue.erase(std::find(queue.begin(), queue.end(), &call));
    --waiting_count_;
  }
  if (call.gate == Gate::ahead)
    call.end_as(CallEnd::unstarted, "aborted", "Aborted before it was sent.");
  else
    call.end_as(CallEnd::aborted, "aborted",
                fmt::format("Aborted after it was sent to {}; the answer is not known.",
                            host_and_port(call.request.url)));
  finish(call);
}

// Whether any could go.
bool CurlClient::Loop::send_waiting(Time now) {
  if (waiting_count_ == 0) return false;
  const std::size_t before = waiting_count_;
  // Another host comes first each time, or the first ones would take every handshake.
  ++first_host_;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    auto& queue = waiting_[(first_host_ + i) % waiting_.size()];
    while (!queue.empty() && connections_.book.take(queue.front()->seat)) {
      CurlCall& call = *queue.front();
      queue.pop_front();
      --waiting_count_;
      hand_over(call, now);
    }
  }
  if (waiting_count_ == 0) waiting_ends_ = never;
  return waiting_count_ < before;
}

void CurlClient::Loop::expire_waiting(Time now) {
  if (now < waiting_ends_) return;
  waiting_ends_ = never;
  std::vector<CurlCall*> expired;
  for (auto& queue : waiting_) {
    std::erase_if(queue, [&](CurlCall* call) {
      const bool over = now >= call->request.not_after;
      if (over)
        expired.push_back(call);
      else
        waiting_ends_ = std::min(waiting_ends_, call->request.not_after);
      return over;
    });
  }
  waiting_count_ -= expired.size();
  for (CurlCall* call : expired) {
    call->end_as(CallEnd::too_late, "permit_ended",
                 "The permit ended before the call's turn came; nothing was sent.");
    finish(*call);
  }
}

void CurlClient::Loop::hand_over(CurlCall& call, Time now) {
  if (spare_.empty()) {
    call.easy = std::make_unique<CurlEasy>(share_.handle(), options_, connections_);
  } else {
    call.easy = std::move(spare_.back());
    spare_.pop_back();
  }
  while (shards_.size() <= call.seat.shard)
    shards_.push_back(std::make_unique<CurlShard>(static_cast<std::uint32_t>(shards_.size()),
                                                  connections_.watch));
  if (call.page) call.request.timeout = call.request.not_after - now; // of which it has waited some
  call.since = now;
  call.easy->prepare(call);
  shards_[call.seat.shard]->add(call);
}

void CurlClient::Loop::finish(CurlCall& call) {
  if (call.easy) {
    shards_[call.seat.shard]->remove(call);
    connections_.book.leave(call.seat);
    if (spare_.size() < spare_handles_max) spare_.push_back(std::move(call.easy));
  }
  if (call.page) {
    CallEnded& reply = call.reply;
    read_.push_back(
        {*call.page, reply.http_status, std::move(reply.body), std::move(reply.message)});
    pages_.erase(read_.back().endpoint);
    return;
  }
  if (call.authorization != nullptr) redact_key(call.reply, ApiKeys::key_in(*call.authorization));
  ended_.push_back(std::move(call.reply));
  calls_.erase(ended_.back().attempt);
}

void CurlClient::Loop::deliver() {
  if (!ended_.empty()) events_.ended(std::exchange(ended_, {}), wall_seconds());
  if (!read_.empty() && events_.read) events_.read(std::exchange(read_, {}));
}

Result<> check_ca_file(const std::string& path) {
  if (path.empty()) return {};
  errno = 0;
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("-----BEGIN ") && line.find("CERTIFICATE-----") != line.npos) return {};
  return fail(
      ErrorCode::usage,
      fmt::format("--ca-file: expected a file with certificates in PEM form, got {} ({})", path,
                  errno != 0 ? std::strerror(errno) : "no line -----BEGIN CERTIFICATE-----"));
}

CurlClient::CurlClient(ModelClientEvents events, CurlClientOptions options)
    : loop_{std::make_unique<Loop>(std::move(events), std::move(options))} {}

CurlClient::~CurlClient() = default;

void CurlClient::start(std::vector<HttpCall> calls) {
  loop_->post([&](Loop::Inbox& inbox) {
    std::move(calls.begin(), calls.end(), std::back_inserter(inbox.calls));
  });
}

void CurlClient::abort(std::vector<AttemptId> attempts) {
  loop_->post([&](Loop::Inbox& inbox) {
    inbox.aborts.insert(inbox.aborts.end(), attempts.begin(), attempts.end());
  });
}

void CurlClient::read(std::vector<PageRead> pages) {
  loop_->post([&](Loop::Inbox& inbox) {
    std::move(pages.begin(), pages.end(), std::back_inserter(inbox.pages));
  });
}

} // namespace gristmill::worker
