// The two ends of the wire as tests see them: whatever an end tells is written down, and a test
// waits until what is written down satisfies it. Invariant: nothing here sleeps.
#pragma once

#include "coordinator/gateway/zmq_gateway.hpp"
#include "worker/link/zmq_link.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace gristmill::stage {

// Text that several threads add to and one waits for.
class Notes {
public:
  template <class Change> void add(Change&& change) {
    const std::lock_guard lock{mutex_};
    change();
    changed_.notify_all();
  }
  template <class Condition> bool become(Condition&& condition) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{60}, condition);
  }
  // Does something again and again until it has led to the condition: for what is only told to
  // those who try, and for a try that may come too early.
  template <class Try, class Condition> bool become_by(Try&& try_once, Condition&& condition) {
    const auto given_up = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (std::chrono::steady_clock::now() < given_up) {
      try_once();
      std::unique_lock lock{mutex_};
      if (changed_.wait_for(lock, std::chrono::milliseconds{5}, condition)) return true;
    }
    return false;
  }
  template <class Read> auto look(Read&& read) {
    const std::lock_guard lock{mutex_};
    return read();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct CoordinatorEnd {
  explicit CoordinatorEnd(coordinator::GatewayOptions options, bool consuming = true) {
    auto opened = coordinator::ZmqGateway::open(
        std::move(options),
        {.received =
             [this, consuming](std::vector<coordinator::ReceivedFrame> batch) {
               std::size_t bytes = 0;
               for (const auto& frame : batch) bytes += frame.bytes.size();
               notes.add([&] {
                 for (auto& frame : batch) frames.push_back(std::move(frame));
                 unconsumed += consuming ? 0 : bytes;
                 if (consuming && gateway) gateway->consumed(bytes);
               });
             },
         .gone =
             [this](std::vector<coordinator::PeerId> peers) {
               notes.add([&] { gone.insert(gone.end(), peers.begin(), peers.end()); });
             },
         .removed =
             [this](std::vector<coordinator::PeerId> peers) {
               notes.add([&] { removed.insert(removed.end(), peers.begin(), peers.end()); });
             }});
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    notes.add([&] { gateway = std::move(*opened); });
  }
  ~CoordinatorEnd() { gateway->stop(); }

  void send(const coordinator::PeerId& peer, std::vector<std::string> texts) {
    std::vector<coordinator::OutgoingFrame> out;
    for (std::string& text : texts) out.push_back({peer, std::move(text)});
    gateway->send(std::move(out));
  }
  bool has_frames(std::size_t count) {
    return notes.become([&] { return frames.size() >= count; });
  }
  std::vector<coordinator::ReceivedFrame> received() {
    return notes.look([&] { return frames; });
  }
  std::vector<coordinator::PeerId> gone_peers() {
    return notes.look([&] { return gone; });
  }
  // The peer that said this, once it has.
  coordinator::PeerId peer_that_said(const std::string& text) {
    coordinator::PeerId peer;
    REQUIRE(notes.become([&] {
      for (const auto& frame : frames)
        if (frame.bytes == text) peer = frame.peer;
      return !peer.empty();
    }));
    return peer;
  }

  Notes notes;
  std::vector<coordinator::ReceivedFrame> frames;
  std::vector<coordinator::PeerId> gone, removed;
  std::size_t unconsumed = 0;
  std::unique_ptr<coordinator::ZmqGateway> gateway;
};

struct WorkerEnd {
  explicit WorkerEnd(worker::LinkOptions options, bool consuming = true) {
    auto opened = worker::ZmqLink::open(
        std::move(options),
        {.received =
             [this, consuming](std::vector<std::string> batch) {
               std::size_t bytes = 0;
               for (const auto& frame : batch) bytes += frame.size();
               notes.add([&] {
                 for (auto& frame : batch) frames.push_back(std::move(frame));
                 unconsumed += consuming ? 0 : bytes;
                 if (consuming && link) link->consumed(bytes);
               });
             },
         .up = [this] { notes.add([&] { ++ups; }); },
         .down = [this](std::string why) { notes.add([&] { downs.push_back(std::move(why)); }); }});
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    notes.add([&] { link = std::move(*opened); });
  }
  ~WorkerEnd() { link->stop(); }

  bool comes_up(int times = 1) {
    return notes.become([&] { return ups >= times; });
  }
  bool was_up() {
    return notes.look([&] { return ups > 0; });
  }
  bool goes_down(const std::string& because) {
    return notes.become([&] {
      for (const std::string& why : downs)
        if (why.find(because) != std::string::npos) return true;
      return false;
    });
  }
  bool has_frames(std::size_t count) {
    return notes.become([&] { return frames.size() >= count; });
  }
  std::vector<std::string> received() {
    return notes.look([&] { return frames; });
  }
  std::vector<std::string> troubles() {
    return notes.look([&] { return downs; });
  }

  Notes notes;
  std::vector<std::string> frames, downs;
  int ups = 0;
  std::size_t unconsumed = 0;
  std::unique_ptr<worker::ZmqLink> link;
};

} // namespace gristmill::stage
