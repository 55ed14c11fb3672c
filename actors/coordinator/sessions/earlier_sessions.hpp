// EARLIER SESSIONS: those that the journal shows open when this life of ours begins. Their workers
// may still be making calls, so the jobs wait for them for a grace. The journal has no record of
// single permits: a claim of an earlier life is checked against whose session was open and up to
// which item of a job calls may have been made. Invariant: an attempt of an earlier life has one
// owner, the first process that claimed it.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/records.hpp"
#include "protocol/node/messages.hpp"

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

namespace gristmill::coordinator {

class EarlierSessions {
public:
  // `workers_died`: with our last life, so nobody comes back.
  EarlierSessions(Epoch epoch, std::vector<journal::SessionNote> expected, bool workers_died,
                  Time now);

  // Earlier lives may have called the job's items below `mark`.
  void job_opened(JobId job, std::uint64_t mark) { marks_[job] = mark; }
  void job_closed(JobId job) { marks_.erase(job); }
  bool has_job(JobId job) const { return marks_.contains(job); }

  // Whether the process may have been given the call by an earlier life; if so, it is its from now.
  bool may_have_been_given(const protocol::Claim& claim, Nonce process);

  // These sessions are over in the journal too, or every later life would wait for a process that
  // has been dead for long: those of the process that says Hello, and, if it comes with nothing in
  // hand, those of its name, because it took the place of another.
  std::vector<journal::SessionNote> greeted_by(const protocol::Hello& hello, bool empty_handed);

  struct GraceOver {
    std::vector<journal::SessionNote> closed{}; // that are expected no more
    bool all_told = false;                      // every session has said what it holds
  };
  std::optional<GraceOver> end_grace(Time now); // once
  bool in_grace() const { return grace_; }
  Time grace_ends() const { return grace_ends_; }
  std::size_t expected() const { return expected_.size(); }
  // Calls that processes had in flight, at most, which never came back. What became of them nobody
  // knows.
  std::uint64_t untold_calls() const;

private:
  void never_told(const journal::SessionNote& lost);
  std::vector<journal::SessionNote> expect_no_more(Nonce process);

  Epoch epoch_;
  std::vector<journal::SessionNote> expected_;
  bool workers_died_;
  Time grace_ends_;
  bool grace_ = true;
  bool all_told_ = true;                         // no session is lost
  std::map<Nonce, std::uint64_t> untold_;        // calls of each
  std::set<Nonce> processes_;                    // whose sessions were open
  std::map<JobId, std::uint64_t> marks_;         // of open jobs
  std::unordered_map<AttemptId, Nonce> claimed_; // by whom
};

} // namespace gristmill::coordinator
