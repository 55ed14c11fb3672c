// One event loop: epoll, the connections it accepted, and the timers of the calls they wait for.
//
// No call has a thread of its own; a call that waits is a connection with a timer or a ticket. A
// closed connection stays in the table until the end of the round, so an event that was fetched
// with it finds it closed instead of finding a newcomer in its place. Loops share the listening
// socket and the desk; a ticket that belongs to another loop goes into that loop's mailbox.
//
// Invariant: apart from `deliver` and `stop`, everything happens in the thread of `run`.
#pragma once

#include "connection.hpp"
#include "desk.hpp"
#include "options.hpp"
#include "poller.hpp"
#include "service.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <vector>

namespace gristmill::simllm {

class Loop {
public:
  using Post = std::function<void(Ticket)>; // hands a ticket to the loop that it names

  Loop(std::uint32_t id, int listener, Desk& desk, const Options& options, Post post);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();
  void stop();
  void deliver(Ticket ticket);

private:
  struct Timer {
    std::uint64_t due_ns;
    std::uint32_t connection;
    std::uint64_t call;
    bool operator>(const Timer& other) const { return due_ns > other.due_ns; }
  };

  std::uint64_t next_due_ns() const;
  void dispatch(std::uint64_t number, std::uint32_t events);
  void accept_some();
  void listen(bool on);
  void read_mailbox();

  void receive(Connection& connection);
  std::size_t consume(Connection& connection, std::string_view bytes);
  void consume_inbox(Connection& connection);
  void begin(Connection& connection, Handling handling);

  void start_work(Connection& connection);
  void start_tickets();
  void fire_timers();
  void send(Connection& connection);
  void watch_output(Connection& connection, bool on);
  void end_call(Connection& connection, Outcome outcome);
  void drop(Connection& connection);
  void bury_closed();
  void pass(std::optional<Ticket> ticket);
  Connection* waiting_call(std::uint32_t connection, std::uint64_t call);

  const std::uint32_t id_;
  const int listener_;
  Desk& desk_;
  Service service_;
  Post post_;
  Poller poller_;
  bool listening_ = false;
  std::atomic<bool> stopping_ = false;

  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> closed_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::vector<Ticket> tickets_; // of this loop: their calls may start
  std::uint64_t flush_due_ns_ = Poller::never;
  std::vector<char> scratch_;

  std::mutex mailbox_mutex_;
  std::vector<Ticket> mailbox_;
};

} // namespace gristmill::simllm
