#include "protocol/node/grammar.hpp"

#include <fmt/format.h>

namespace gristmill::protocol {
namespace {

template <class... Args> Heard violation(fmt::format_string<Args...> sentence, Args&&... args) {
  return {Verdict::violation, fmt::format(sentence, std::forward<Args>(args)...)};
}

} // namespace

Heard Grammar::hear(const Frame& frame) {
  const bool worker = speaker_ == Direction::from_worker;
  if (Heard heard = hear_order(frame); heard.verdict != Verdict::ok) return heard;
  if (worker && frame.epoch > epoch_)
    return violation("expected an epoch up to {}, got {}: a later coordinator has served this "
                     "worker; start only one with this state",
                     epoch_.value, frame.epoch.value);
  const Message& first = frame.messages.front();
  if (std::holds_alternative<Hello>(first)) return hear_hello(frame);
  if (!worker && frame.epoch < epoch_) return {Verdict::stale_epoch, {}};
  if (std::holds_alternative<Refused>(first)) return hear_refused(frame);
  if (!frame.session || frame.seq == 0)
    return violation(
        "expected a {} with a session and a number from 1, got session {} and number {}",
        name_of(first), frame.session.value, frame.seq);
  if (std::holds_alternative<Welcome>(first)) return hear_welcome(frame);
  return hear_numbered(frame);
}

// Which messages its speaker may say, and which of them together.
Heard Grammar::hear_order(const Frame& frame) const {
  const bool worker = speaker_ == Direction::from_worker;
  if (frame.messages.empty()) return violation("expected a message, got none");
  for (const Message& message : frame.messages) {
    if (from_worker(message) != worker)
      return violation("expected a {}'s message, got {}", worker ? "worker" : "coordinator",
                       name_of(message));
    const bool alone = stands_alone(message);
    const bool last = alone || std::holds_alternative<Goodbye>(message);
    if ((last && &message != &frame.messages.back()) || (alone && frame.messages.size() > 1))
      return violation("expected {} {} its frame, got it among {} messages", name_of(message),
                       alone ? "alone in" : "at the end of", frame.messages.size());
  }
  return {};
}

Heard Grammar::hear_hello(const Frame& frame) {
  if (frame.session || frame.seq != 0)
    return violation("expected a Hello outside of any session, got session {} and number {}",
                     frame.session.value, frame.seq);
  session_ = {};
  return {};
}

Heard Grammar::hear_refused(const Frame& frame) {
  if (frame.seq != 0)
    return violation("expected a Refused outside of the numbering, got number {}", frame.seq);
  return {};
}

Heard Grammar::hear_welcome(const Frame& frame) {
  if (frame.session <= newest_) return {Verdict::duplicate, {}};
  if (frame.seq != 1) return violation("expected a Welcome as number 1, got number {}", frame.seq);
  newest_ = frame.session;
  if (!expects_welcome_) return {Verdict::other_session, {}};
  epoch_ = frame.epoch;
  begin(frame.session);
  heard_ = 1;
  return {};
}

Heard Grammar::hear_numbered(const Frame& frame) {
  if (!session_) return {Verdict::needs_hello, {}};
  if (frame.session != session_ || frame.epoch != epoch_ || expects_welcome_)
    return {Verdict::other_session, {}};
  if (frame.seq <= heard_) return {Verdict::duplicate, {}};
  if (frame.seq != heard_ + 1)
    return {Verdict::gap, fmt::format("expected frame {}, got {}", heard_ + 1, frame.seq)};
  if (said_goodbye_)
    return violation("expected nothing after Goodbye in this session, got {}",
                     name_of(frame.messages.front()));
  heard_ = frame.seq;
  said_goodbye_ = std::holds_alternative<Goodbye>(frame.messages.back());
  return {};
}

void Grammar::begin(SessionId session) {
  session_ = session;
  heard_ = 0;
  expects_welcome_ = false;
  said_goodbye_ = false;
}

} // namespace gristmill::protocol
