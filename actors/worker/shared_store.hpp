// SHARED STORE: the window through which a worker reads documents from, and writes the bodies of
// answers to, a directory that it shares with its coordinator. It works in the background, and
// whatever it was told of a session that is over comes back and is not heard. What waits in it is
// bounded by whoever tells it: calls held, and the window of outcomes.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/node/messages.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gristmill::worker {

// The coordinator's directory below the shared one, seen by a session.
struct SharedTask {
  SessionId session;
  std::string directory;
};
struct ProvedShared {
  SessionId session;
  protocol::SharedProof words;
  std::string failure; // a sentence; empty = the words say all
};

// A body to keep in the file of the session's and the job's.
struct BodyToStore {
  AttemptId attempt;
  JobId job;
  std::string body; // as of openai::stored_text
};
struct BodyStored {
  SessionId session;
  AttemptId attempt;
  protocol::StoredBody place; // durable; none = it could not be kept
  std::string failure;
};

// The texts of a call's parts; a part that has its text has no range.
struct TextsToLoad {
  CallId call;
  std::vector<protocol::SharedRange> parts;
};
struct TextsLoaded {
  SessionId session;
  CallId call;
  std::vector<std::string> texts;
  std::string failure;
};

class SharedStore {
public:
  virtual ~SharedStore() = default;
  // Any thread, all of them; they never block.
  virtual void prove(SharedTask task) = 0; // what follows is of this session
  virtual void store(std::vector<BodyToStore> bodies) = 0;
  virtual void load(std::vector<TextsToLoad> calls) = 0;
};

struct SharedStoreEvents {
  std::function<void(ProvedShared)> proved;
  std::function<void(std::vector<BodyStored>)> stored;
  std::function<void(std::vector<TextsLoaded>)> loaded;
};

} // namespace gristmill::worker
