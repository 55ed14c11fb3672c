// COORDINATOR HOST: a coordinator node on its feet. It plugs the windows (socket, disk) into the
// wiring, puts each room on the stage as an actor of its own, and carries envelopes between them.
// Invariant: it decides nothing; what a room posts is delivered, in order, and nothing else is.
#pragma once

#include "actors/coordinator/gateway.hpp"
#include "actors/kit/shared_directory.hpp"
#include "actors/kit/shell.hpp"
#include "actors/wiring/coordinator_node.hpp"
#include "actors/wiring/node_shell.hpp"
#include "coordinator/cache/answer_cache.hpp"
#include "coordinator/gateway/zmq_gateway.hpp"
#include "coordinator/inputs/file_source.hpp"
#include "coordinator/inputs/tokenizers.hpp"
#include "coordinator/journal/store.hpp"
#include "coordinator/shared/shared_words.hpp"
#include "protocol/keys/access.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

namespace gristmill::coordinator {

struct HostOptions {
  std::string state_directory;
  std::string listen = "tcp://127.0.0.1:7411";
  // In place of a socket that listens: what workers of the same process are reached by.
  std::function<std::unique_ptr<Gateway>(GatewayEvents)> gateway;
  std::optional<CoordinatorKeys> keys;
  std::vector<PoolSpec> pools; // as configured
  std::string cache_directory; // of answers; empty = there is none
  std::uint64_t cache_bytes = 0;
  std::function<Growth(const std::string& path)> growth; // of inputs that grow
  std::optional<SharedDirectory> shared;                 // with workers, if they see it
  bool flat = false;                // `gristmill run`: one job, in the state directory itself
  std::function<void(Error)> fatal; // the node cannot go on; called once, on any thread
};

class CoordinatorHost {
public:
  // Takes the state directory and replays the journal; nothing runs yet.
  static Result<std::unique_ptr<CoordinatorHost>> open(Stage& stage, HostOptions options);
  ~CoordinatorHost();

  // To be looked at, and for `run` to lay today's options over, before start().
  journal::Recovered& recovered() { return recovered_; }
  // `inputs`: below which directories jobs may read; without any, as under `run`, anywhere.
  Result<> start(InputRoots inputs = {});
  const std::string& listening() const { return listening_; } // with the port that was really taken

  // Any thread. The answer comes on a thread of the stage; one that takes longer than
  // answer_kept_for may be dropped: whoever asked has given up long ago.
  using Question = decltype(wiring::Ask::question);
  void ask(Question question, std::function<void(wiring::Answer)> answered);
  wiring::Answer ask_and_wait(Question question);

  // Any thread: there is more of a growing input of the job, or it has come to its end.
  void input_grew(JobId job);

  // What is durable of its results.
  Result<std::shared_ptr<journal::JobLines>> lines_of(JobId job, journal::LineKind kind) const;
  // What a merge of it reads and writes.
  Result<std::unique_ptr<merger::MergeFiles>> open_merge(JobId job, const JobSpec& spec);

  // What is durable stays; everything else is forgotten, as in a crash.
  void stop();

private:
  class RoomPlayer;
  CoordinatorHost(Stage& stage, HostOptions options)
      : stage_{stage}, options_{std::move(options)} {}

  void send(wiring::SendFrames send);
  void deliver_to_room(wiring::Envelope envelope);
  void answer(wiring::Answer answer);
  void forget(const wiring::Address& address);
  void gone();
  void fail_once(Error error);
  wiring::NodeOptions node_options();
  Result<std::shared_ptr<SharedAnswers>> open_shared();
  Result<> open_cache();
  Result<> open_gateway();
  std::string output_path(JobId job, const JobSpec& spec) const; // of its merged result

  Stage& stage_;
  HostOptions options_;
  journal::Recovered recovered_;
  InputAccess inputs_;
  Tokenizers tokenizers_;
  Store store_;
  std::unique_ptr<SharedWords> shared_; // with workers; none: there is no such directory
  std::string shared_path_;
  std::unique_ptr<AnswerCache> cache_;
  std::unique_ptr<wiring::CoordinatorNode> node_;
  std::unique_ptr<Gateway> gateway_;
  std::string listening_;
  std::latch plugged_{1}; // gateway_ may be used

  std::shared_mutex rooms_mutex_;
  wiring::RoomBook<Stage::ActorRef> rooms_;
  bool stopped_ = false;
  std::size_t ending_ = 0; // rooms that are not in the book, and not gone
  std::condition_variable_any nobody_ends_;

  std::mutex answers_mutex_;
  struct Asked {
    std::function<void(wiring::Answer)> answered;
    Time at{};
  };
  static constexpr std::chrono::minutes answer_kept_for{20};
  std::map<std::uint64_t, Asked> answers_; // by token, so the oldest first
  std::optional<Error> failure_;           // nothing is answered since
  std::uint64_t next_token_ = 1;
  std::atomic<bool> failed_ = false;
};

} // namespace gristmill::coordinator
