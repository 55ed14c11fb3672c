// DISPATCH: how many calls go to which worker now, and how many are asked of the jobs. A worker is
// sent about a second of calls beyond what it can have in flight; as the jobs run out that share
// shrinks, so that no worker holds what another could start. Fairness is decided where permits are
// given (TURNS of RATE LIMITER) and in the order of calls (FAIR QUEUE). Dispatch sees to it that
// each stream of a job has calls at every worker when its turn comes, and that a job with a
// deadline gets what it needs. Invariant: a worker is never given more calls or bytes than its
// capacity and about one second ahead, and no stream is asked for more than its part of what its
// job's queue may hold.
#pragma once

#include "actors/coordinator/dispatch/fair_queue.hpp"
#include "actors/coordinator/dispatch/urgency.hpp"
#include "actors/coordinator/sessions/roster.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/words/calls.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gristmill::coordinator {

// What one worker is given now, batch by batch.
struct Portion {
  std::uint32_t calls = 0; // of whoever's turn it is
  // Of each of these streams, whatever the others hold, as many as make a hand: whoever came first
  // may have filled the worker with calls that must wait.
  std::set<StreamId> short_of{};
  std::uint32_t hand = 0;
  std::size_t batch_calls = 0, batch_bytes = 0; // so far
  bool full = false;                            // the worker takes no more bytes
  bool urgent = false; // it could begin them now, or will soon have nothing in hand

  bool empty() const { return calls == 0 && short_of.empty(); }
  void next_batch() { batch_calls = batch_bytes = 0; }
};

// Room for calls that is told to the supervisor of a job.
struct Wanted {
  JobId job;
  StreamRoom room;
};

class Dispatch {
public:
  // ---- jobs -----------------------------------------------------------------------------------
  void job_opened(JobId job, const Share& share, std::uint32_t batch_size, std::uint32_t streams,
                  Time now);
  void job_closed(JobId job);
  // Until it is released none of its calls leave; those that have not go back.
  std::vector<CallId> job_held(JobId job);
  void job_released(JobId job);
  bool is_held(JobId job) const;
  const Share& share_of(JobId job) const { return queue_.share(job); } // as it is now
  // A job with a deadline: so many items are left, and seconds. Its share, if it is another now.
  std::optional<Share> mind_deadline(JobId job, double items_left, double seconds_left,
                                     const std::vector<JobId>& rivals);
  void call_began(JobId job, std::size_t parts);
  void tick(Time now);

  // ---- calls ----------------------------------------------------------------------------------
  void came(const OfferedCall& call); // that was asked for
  bool push(OfferedCall call);        // false: the job is held
  void withdraw(JobId job, const std::vector<CallId>& calls);

  // Those that may be fed, in the order in which they are: the emptiest first, and one that may do
  // nothing with a call gets what the others leave.
  static std::vector<Session*> turns(const std::vector<Session*>& sessions);
  Portion portion_of(const Session& session, std::size_t sessions, Time now) const;
  // The next call of the batch, as far as the worker can make it; nothing: the batch is complete.
  std::optional<OfferedCall> next(const Session& session, Portion& portion,
                                  const FairQueue::Reaches& reaches);
  // What is asked of jobs depends on what all workers together could hold, as it was last counted.
  void count_hands(const SessionMap& sessions);
  std::vector<Wanted> ask();

  // ---- for who asks why calls wait --------------------------------------------------------------
  std::size_t queued(JobId job) const { return queue_.size(job); }
  std::size_t other_jobs_queued(JobId job) const; // that have calls in the queue
  std::set<std::string> models_queued(JobId job) const { return queue_.models(job); }
  bool has_asked(JobId job) const; // for calls that have not come
  void measure(Sizes& sizes) const;

private:
  struct Asked {
    std::uint32_t calls = 0; // asked of the supervisor, not yet offered
    std::int64_t bytes = 0;  // the supervisor's credit, debt included
  };
  struct Job {
    std::uint32_t batch_size = 0;
    std::vector<Asked> streams{};
    Share share{}; // as its user gave it
    Pace pace{};   // of its permits
    bool held = false;
  };

  bool has_several_streams() const;
  void look_at(JobId job); // at all its streams, when jobs are asked
  bool may_hold_more(const Session& session, const StreamId& stream) const;
  std::uint32_t ahead_of(const Session& session, std::size_t sessions) const;
  std::optional<StreamRoom> ask_stream(const StreamId& id, Job& job, std::size_t target) const;

  FairQueue queue_;
  std::map<JobId, Job> jobs_;
  std::size_t hands_ = 0; // calls that all workers together could hold
  // Streams whose calls became fewer since their supervisors were asked, and the least number of
  // calls that all others were asked for.
  std::set<StreamId> to_ask_;
  std::size_t asked_for_ = 0;
};

} // namespace gristmill::coordinator
