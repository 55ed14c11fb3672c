// The conversation between a worker and its coordinator, as a grammar and as the class that holds
// a speaker to it. Frames of a session are numbered from 1 in each direction; (0) is outside of any
// session and number.
//
//   conversation = { session }
//   session      = Hello(0) , ( Refused(0) | welcomed )
//   welcomed     = worker: { Need | Heartbeat | Outcomes | Returned } , [ Goodbye ]     from 1
//                  coordinator: Welcome(1) , { JobOpened | Batch | Permits | Wait | Recorded
//                                            | Cancel | Drain }                          from 2
//   at any time    worker: Hello(0), which starts the session anew
//                  coordinator: Refused(0); with no_session or resync the worker says Hello
//
// Up to five messages that follow one another in braces may share a frame, a Goodbye at their end.
// Hello, Welcome and Refused stand alone.
//
// One Grammar listens to one speaker on one connection. What a worker says under an older epoch is
// of another session: it must hear that, or it would never say Hello to a restarted coordinator.
// Invariant: of each session every numbered frame is `ok` at most once, and in order.
#pragma once

#include "protocol/node/codec.hpp"

#include <cstdint>
#include <string>

namespace gristmill::protocol {

enum class Verdict : std::uint8_t {
  ok,
  needs_hello,   // no session on this connection: coordinator: Refused{no_session}; worker: drop
  other_session, // coordinator: Refused{no_session}; worker: drop
  stale_epoch,   // to a worker, of an earlier life of its coordinator: drop
  duplicate,     // drop silently
  gap,           // coordinator: Refused{resync}; worker: say Hello again
  violation,     // no release of ours says this: drop and log the sentence
};

struct Heard {
  Verdict verdict = Verdict::ok;
  std::string sentence; // of a gap or a violation
};

class Grammar {
public:
  // The epoch: a coordinator's own; a worker's is the last one it was welcomed to, 0 = none.
  Grammar(Direction speaker, Epoch epoch) : speaker_{speaker}, epoch_{epoch} {}

  Heard hear(const Frame& frame);

  // A coordinator: the Hello just heard was accepted as this session.
  void begin(SessionId session);
  // A worker: it says Hello. Only a Welcome of a newer session ends the waiting; ids of sessions
  // rise.
  void expect_welcome() { expects_welcome_ = true; }

  Epoch epoch() const { return epoch_; }
  SessionId session() const { return session_; }
  std::uint64_t heard() const {
    return heard_;
  } // the number of the last frame that was ok: our ack

private:
  Heard hear_order(const Frame& frame) const;
  Heard hear_hello(const Frame& frame);
  Heard hear_refused(const Frame& frame);
  Heard hear_welcome(const Frame& frame);
  Heard hear_numbered(const Frame& frame);

  Direction speaker_;
  Epoch epoch_;
  SessionId session_, newest_; // newest: of all Welcomes, also of those that came too late
  std::uint64_t heard_ = 0;
  bool expects_welcome_ = false;
  bool said_goodbye_ = false;
};

} // namespace gristmill::protocol
