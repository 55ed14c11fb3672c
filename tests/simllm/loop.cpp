#include "loop.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

namespace gristmill::simllm {
namespace {

constexpr std::size_t scratch_bytes = 128u << 10;
constexpr std::size_t most_early_bytes = 1u << 20; // sent by the client before it has its answer
constexpr int most_accepts = 64; // in one go, so that other loops and connections get their turn
// Answers leave on the next full quarter of a millisecond: one wake-up for all that are due by then
// saves a sixth of a waiting call's cost, and over a socket no test can tell the difference.
constexpr std::uint64_t grain_ns = 250'000;
constexpr std::uint64_t flush_after_ns = 40'000'000;
constexpr std::uint64_t listener_number = Poller::bell - 1;

} // namespace

Loop::Loop(std::uint32_t id, int listener, Desk& desk, const Options& options, Post post)
    : id_(id), listener_(listener), desk_(desk), service_(desk, options), post_(std::move(post)),
      scratch_(scratch_bytes + simdjson::SIMDJSON_PADDING) {
  listen(true);
}

void Loop::run() {
  while (!stopping_) {
    for (const auto& event : poller_.wait(next_due_ns())) dispatch(event.data.u64, event.events);
    fire_timers();
    start_tickets();
    bury_closed();
    if (flush_due_ns_ != Poller::never && boot_time_ns() >= flush_due_ns_) {
      desk_.flush_log();
      flush_due_ns_ = Poller::never;
    }
  }
}

void Loop::stop() {
  stopping_ = true;
  poller_.ring();
}

void Loop::deliver(Ticket ticket) {
  {
    const std::lock_guard lock(mailbox_mutex_);
    mailbox_.push_back(ticket);
  }
  poller_.ring();
}

std::uint64_t Loop::next_due_ns() const {
  if (!tickets_.empty()) return 0;
  return timers_.empty() ? flush_due_ns_ : std::min(timers_.top().due_ns, flush_due_ns_);
}

void Loop::dispatch(std::uint64_t number, std::uint32_t events) {
  if (number == listener_number) return accept_some();
  if (number == Poller::bell) return read_mailbox();
  Connection& connection = *connections_[number];
  if (!connection.closed() && (events & EPOLLOUT) != 0) {
    send(connection);
    consume_inbox(connection);
  }
  if (!connection.closed() && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
    receive(connection);
  }
}

void Loop::accept_some() {
  for (int i = 0; i < most_accepts; ++i) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      // Without a free descriptor the waiting clients stay in the backlog until one is closed.
      if (errno == EMFILE || errno == ENFILE) listen(false);
      return;
    }
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(connections_.size()));
      connections_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    connections_[index] = std::make_unique<Connection>(fd, index, desk_.connected());
    poller_.add(fd, EPOLLIN, index);
  }
}

void Loop::listen(bool on) {
  listening_ = on;
  if (on) {
    poller_.add(listener_, EPOLLIN | EPOLLEXCLUSIVE, listener_number);
  } else {
    poller_.remove(listener_);
  }
}

void Loop::read_mailbox() {
  poller_.silence();
  const std::lock_guard lock(mailbox_mutex_);
  tickets_.insert(tickets_.end(), mailbox_.begin(), mailbox_.end());
  mailbox_.clear();
}

void Loop::receive(Connection& connection) {
  const auto count = ::recv(connection.fd(), scratch_.data(), scratch_bytes, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return drop(connection);
  const std::string_view bytes(scratch_.data(), static_cast<std::size_t>(count));
  if (connection.busy() || !connection.inbox.empty()) {
    connection.inbox.append(bytes);
    if (connection.busy() && connection.inbox.size() > most_early_bytes) return drop(connection);
    return consume_inbox(connection);
  }
  // The usual case: the whole request came at once and is read where it lies.
  const std::size_t used = consume(connection, bytes);
  if (used < bytes.size() && !connection.closed()) connection.inbox = bytes.substr(used);
}

void Loop::consume_inbox(Connection& connection) {
  if (connection.closed() || connection.busy() || connection.inbox.empty()) return;
  std::string& inbox = connection.inbox;
  inbox.reserve(inbox.size() + simdjson::SIMDJSON_PADDING);
  const std::size_t used = consume(connection, inbox);
  if (connection.closed()) return;
  if (used == inbox.size())
    std::string().swap(inbox); // ten thousand of them wait empty
  else
    inbox.erase(0, used);
}

std::size_t Loop::consume(Connection& connection, std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !connection.closed() && !connection.busy()) {
    const auto state = connection.reader.read(bytes.substr(used));
    if (state == HttpReader::State::more) {
      if (connection.reader.take_continue()) connection.send_continue();
      break;
    }
    if (state == HttpReader::State::bad) {
      begin(connection, {.reply = error_reply(400, "this is not a valid HTTP request", false)});
      return bytes.size();
    }
    begin(connection, service_.handle(connection.reader.request(), connection.number));
    used += connection.reader.used_bytes();
    connection.reader.start_next();
  }
  return used;
}

void Loop::begin(Connection& connection, Handling handling) {
  connection.set_reply(std::move(handling.reply));
  connection.call = handling.call;
  connection.summary = handling.summary;
  connection.latency_us = handling.latency_us;
  for (const Ticket ticket : handling.started) pass(ticket);
  if (handling.call != 0 && flush_due_ns_ == Poller::never && desk_.logs()) {
    flush_due_ns_ = boot_time_ns() + flush_after_ns;
  }
  if (!handling.served) return send(connection);
  connection.phase = Connection::Phase::in_line;
  if (desk_.take_slot({id_, connection.index, connection.call})) start_work(connection);
}

void Loop::start_work(Connection& connection) {
  connection.holds_slot = true;
  connection.phase = Connection::Phase::working;
  if (connection.latency_us == 0) return send(connection);
  const std::uint64_t due_ns = boot_time_ns() + connection.latency_us * 1000;
  const std::uint64_t full_ns = (due_ns + grain_ns - 1) / grain_ns * grain_ns;
  timers_.push({full_ns, connection.index, connection.call});
}

// A ticket started may end a call and so bring the next one; the list grows while it is walked.
void Loop::start_tickets() {
  for (std::size_t i = 0; i < tickets_.size(); ++i) {
    const Ticket ticket = tickets_[i];
    Connection* connection = waiting_call(ticket.connection, ticket.call);
    if (connection == nullptr) {
      pass(desk_.pass_slot_on());
      continue;
    }
    start_work(*connection);
    consume_inbox(*connection);
  }
  tickets_.clear();
}

void Loop::fire_timers() {
  if (timers_.empty()) return;
  const std::uint64_t now_ns = boot_time_ns();
  while (!timers_.empty() && timers_.top().due_ns <= now_ns) {
    const Timer timer = timers_.top();
    timers_.pop();
    if (Connection* connection = waiting_call(timer.connection, timer.call)) {
      send(*connection);
      consume_inbox(*connection);
    }
  }
}

void Loop::send(Connection& connection) {
  if (connection.reply().ending == Reply::Ending::hang) {
    connection.phase = Connection::Phase::hung;
    return;
  }
  connection.phase = Connection::Phase::sending;
  if (connection.reply().ending != Reply::Ending::reset) {
    const auto sent = connection.send_reply();
    if (sent == Connection::Sent::broken) return drop(connection);
    watch_output(connection, sent == Connection::Sent::blocked);
    if (sent == Connection::Sent::blocked) return;
  }
  end_call(connection, Outcome::answered);
  if (connection.reply().ending == Reply::Ending::reset) connection.reset();
  if (connection.reply().ending != Reply::Ending::keep) return drop(connection);
  connection.phase = Connection::Phase::reading;
}

void Loop::watch_output(Connection& connection, bool on) {
  if (connection.watches_output == on) return;
  connection.watches_output = on;
  poller_.change(connection.fd(), on ? EPOLLIN | EPOLLOUT : EPOLLIN, connection.index);
}

void Loop::end_call(Connection& connection, Outcome outcome) {
  if (std::exchange(connection.call, 0) == 0) return;
  const bool held_slot = std::exchange(connection.holds_slot, false);
  pass(desk_.finish(connection.summary, outcome, held_slot));
}

void Loop::drop(Connection& connection) {
  end_call(connection, Outcome::abandoned);
  connection.close();
  closed_.push_back(connection.index);
  desk_.disconnected();
}

void Loop::bury_closed() {
  if (closed_.empty()) return;
  for (const std::uint32_t index : closed_) {
    connections_[index].reset();
    free_.push_back(index);
  }
  closed_.clear();
  if (!listening_) listen(true);
}

void Loop::pass(std::optional<Ticket> ticket) {
  if (!ticket) return;
  if (ticket->loop == id_)
    tickets_.push_back(*ticket);
  else
    post_(*ticket);
}

Connection* Loop::waiting_call(std::uint32_t connection, std::uint64_t call) {
  Connection* found = connections_[connection].get();
  return found != nullptr && !found->closed() && found->call == call ? found : nullptr;
}

} // namespace gristmill::simllm
