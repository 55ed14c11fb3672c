// gristmill-bench-sessions: many worker sessions in one process and one thread, to load a
// coordinator with. Each is the real Worker over a real ZeroMQ connection, with the real codec and
// grammar; only its calls are none: each is answered after a drawn latency with the same words.
//
// At SIGTERM or SIGINT it prints one line of JSON: the calls since it began, or since SIGUSR1, the
// frames and bytes both ways, and how long a slot that a call had left free waited for the next
// one.
#include "actors/kit/clock.hpp"
#include "actors/kit/random.hpp"
#include "actors/worker/worker.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <deque>
#include <fmt/format.h>
#include <memory>
#include <queue>
#include <sys/resource.h>
#include <zmq.hpp>

namespace gristmill::bench {
namespace {

volatile std::sig_atomic_t stopping = 0, beginning = 0;

struct Options {
  std::string coordinator;
  std::string name = "stub";
  std::uint32_t sessions = 4, slots = 16;
  double latency_ms = 0;
};

struct Figures {
  std::uint64_t calls = 0, frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0;
  std::vector<float> waits_ms; // of free slots

  double wait_ms(double share) {
    if (waits_ms.empty()) return 0;
    const auto at = waits_ms.begin() +
                    static_cast<std::ptrdiff_t>(share * static_cast<double>(waits_ms.size() - 1));
    std::nth_element(waits_ms.begin(), at, waits_ms.end());
    return *at;
  }
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

worker::CallEnded answer_to(AttemptId attempt, Duration latency) {
  worker::CallEnded ended;
  ended.attempt = attempt;
  ended.end = worker::CallEnd::answered;
  ended.http_status = 200;
  ended.body = R"({"id":"s","object":"chat.completion","model":"stub","choices":[{"index":0,)"
               R"("message":{"role":"assistant","content":"An answer of a few words."},)"
               R"("finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":6,)"
               R"("total_tokens":18}})";
  ended.latency_us = static_cast<std::uint64_t>(latency / std::chrono::microseconds{1});
  return ended;
}

struct Session {
  Session(zmq::context_t& context, worker::Options options)
      : worker{std::move(options)}, socket{context, zmq::socket_type::dealer} {}

  worker::Worker worker;
  zmq::socket_t socket;
  std::deque<Time> free_since; // slots that calls have left
  std::vector<worker::CallEnded> ended;
};

class Stub {
public:
  explicit Stub(const Options& options) : options_{options} {
    for (std::uint32_t n = 0; n < options.sessions; ++n) {
      worker::Options of_worker;
      of_worker.name = fmt::format("{}-{}", options.name, n);
      of_worker.process = Nonce{random_.next()};
      of_worker.capacity = {options.slots, limits::held_bytes_max};
      auto session = std::make_unique<Session>(context_, std::move(of_worker));
      session->socket.set(zmq::sockopt::linger, 0);
      session->socket.set(zmq::sockopt::sndhwm, 0);
      session->socket.set(zmq::sockopt::rcvhwm, 0);
      session->socket.connect(options.coordinator);
      polled_.push_back({session->socket.handle(), 0, ZMQ_POLLIN, 0});
      sessions_.push_back(std::move(session));
    }
  }

  void run() {
    for (auto& session : sessions_) carry_out(*session, session->worker.link_up(boot_now()));
    while (!stopping) {
      if (beginning != 0) begin();
      ::zmq_poll(polled_.data(), static_cast<int>(polled_.size()), wait_ms());
      for (std::size_t n = 0; n < sessions_.size(); ++n)
        if (polled_[n].revents != 0) receive(*sessions_[n]);
      answer();
      const Time now = boot_now();
      for (auto& session : sessions_)
        if (session->worker.wake_at() <= now) carry_out(*session, session->worker.tick(now));
    }
  }

  void print() {
    fmt::print("{{\"calls\":{},\"frames_in\":{},\"frames_out\":{},\"bytes_in\":{},\"bytes_out\":{},"
               "\"wait_p50_ms\":{:.3f},\"wait_p99_ms\":{:.3f},\"cpu_s\":{:.3f}}}\n",
               figures_.calls, figures_.frames_in, figures_.frames_out, figures_.bytes_in,
               figures_.bytes_out, figures_.wait_ms(0.5), figures_.wait_ms(0.99),
               cpu_seconds() - cpu_before_);
  }

private:
  struct UnderWay {
    Time ends;
    Session* session;
    AttemptId attempt;
    Duration latency;
    bool operator>(const UnderWay& other) const { return ends > other.ends; }
  };

  void begin() {
    beginning = 0;
    figures_ = {};
    cpu_before_ = cpu_seconds();
    for (auto& session : sessions_) session->free_since.clear();
  }

  long wait_ms() const {
    constexpr long most = 100; // whoever ends us is heard
    Time until = under_way_.empty() ? never : under_way_.top().ends;
    for (const auto& session : sessions_) until = std::min(until, session->worker.wake_at());
    const Time now = boot_now();
    if (until <= now) return 0;
    return until == never ? most : std::min(most, static_cast<long>(to_ms(until - now)));
  }

  void receive(Session& session) {
    zmq::message_t frame;
    while (session.socket.recv(frame, zmq::recv_flags::dontwait)) {
      ++figures_.frames_in;
      figures_.bytes_in += frame.size();
      carry_out(session, session.worker.received(frame.to_string_view(), boot_now()));
    }
  }

  // All that have ended by now, of a session together.
  void answer() {
    const Time now = boot_now();
    std::vector<Session*> heard;
    while (!under_way_.empty() && under_way_.top().ends <= now) {
      const UnderWay& call = under_way_.top();
      if (call.session->ended.empty()) heard.push_back(call.session);
      call.session->ended.push_back(answer_to(call.attempt, call.latency));
      under_way_.pop();
    }
    for (Session* session : heard) {
      figures_.calls += session->ended.size();
      session->free_since.insert(session->free_since.end(), session->ended.size(), now);
      carry_out(*session,
                session->worker.ended(std::exchange(session->ended, {}), std::time(nullptr), now));
    }
  }

  void carry_out(Session& session, worker::Effects effects) {
    const Time now = boot_now();
    for (const std::string& frame : effects.frames) {
      ++figures_.frames_out;
      figures_.bytes_out += frame.size();
      session.socket.send(zmq::buffer(frame), zmq::send_flags::dontwait);
    }
    for (const worker::HttpCall& call : effects.starts) {
      if (!session.free_since.empty()) {
        figures_.waits_ms.push_back(
            static_cast<float>(to_seconds(now - session.free_since.front()) * 1'000));
        session.free_since.pop_front();
      }
      // Half as long to one and a half times as long.
      const Duration latency = from_seconds(options_.latency_ms / 1'000 * (0.5 + random_.unit()));
      under_way_.push({now + latency, &session, call.attempt, latency});
    }
    if (!effects.refused.empty()) {
      fmt::print(stderr, "gristmill-bench-sessions: {}\n", effects.refused);
      stopping = 1;
    }
  }

  const Options& options_;
  Random random_{random_seed()};
  zmq::context_t context_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<zmq_pollitem_t> polled_;
  std::priority_queue<UnderWay, std::vector<UnderWay>, std::greater<>> under_way_;
  Figures figures_;
  double cpu_before_ = 0;
};

} // namespace
} // namespace gristmill::bench

int main(int argc, char** argv) {
  using namespace gristmill::bench;
  Options options;
  CLI::App app{"Many worker sessions whose calls are answered without a server."};
  app.add_option("--coordinator", options.coordinator, "tcp://HOST:PORT")->required();
  app.add_option("--name", options.name, "what their names begin with");
  app.add_option("--sessions", options.sessions, "how many")->check(CLI::Range(1u, 10'000u));
  app.add_option("--slots", options.slots, "calls in flight of each")
      ->check(CLI::Range(1u, 32'768u));
  app.add_option("--latency-ms", options.latency_ms,
                 "mean time to answer; each is drawn between half of it and half more");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { stopping = 1; });
  std::signal(SIGUSR1, [](int) { beginning = 1; });
  std::signal(SIGINT, [](int) { stopping = 1; });
  Stub stub{options};
  stub.run();
  stub.print();
}
