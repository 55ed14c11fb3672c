// COORDINATOR NODE: the wiring of a coordinator: which rooms there are, who tells whom, and what
// waits for which journal position. Production gives each room an actor of its own; the simulator
// calls the same rooms and interleaves their messages as it likes.
// Invariant: everything that leaves a room goes through its Post, and nothing else connects rooms.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "actors/journal/journal_store.hpp"
#include "actors/journal/line_store.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/wiring/message.hpp"

#include <functional>
#include <memory>

namespace gristmill::wiring {

struct NodeOptions {
  std::string cluster;
  bool flat = false;         // `gristmill run`: one job, in the state directory itself
  bool workers_died = false; // `gristmill run`: its workers die with it, and did with our last life
  std::uint64_t random_seed = 0;
  std::vector<PoolSpec> pools;         // as configured for this life
  Duration day = defaults::day_window; // of limits per day
  // Where a job's result stands, or will stand, as clients are told.
  std::function<std::string(JobId, const JobSpec&)> output_path = [](JobId, const JobSpec& spec) {
    return spec.output;
  };
  // Windows that a job's rooms need when it opens.
  std::function<Result<std::unique_ptr<intake::ByteSource>>(const JobSpec&)> open_source;
  std::function<Result<std::unique_ptr<merger::MergeFiles>>(JobId, const JobSpec&)> open_merge;
  // That a job's tokens are counted by; nullptr = they are estimated, as without this window.
  using OpenedTokenizer = Result<std::shared_ptr<const bpe::Tokenizer>>;
  std::function<OpenedTokenizer(const JobSpec&)> open_tokenizer = [](const JobSpec&) {
    return OpenedTokenizer{};
  };
  journal::LineStore* lines = nullptr;
  bool has_cache = false;                          // of answers, which outlives jobs and nodes
  coordinator::SharedPlace shared = {};            // a directory that workers may share
  const supervisor::PartPlan* part_plan = nullptr; // as each job says
};

class CoordinatorNode {
public:
  CoordinatorNode(NodeOptions options, journal::Recovered recovered);

  // The room behind an address; called once for each, for jobs when a message for one first comes.
  std::unique_ptr<Room> make_room(const Address& address, const Moment& moment);
  // Rooms that exist from the beginning.
  static std::vector<Address> shared_rooms();

private:
  NodeOptions options_;
  Epoch epoch_;
  journal::Position last_ = 0;
  journal::Recovered of_limiter_, of_coordinator_; // until their rooms are made
};

} // namespace gristmill::wiring
