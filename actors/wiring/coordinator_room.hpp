// COORDINATOR's room: Coordinator, who knows the workers and their calls, and JobDesk, who knows
// the jobs. It hands each message to whom it concerns and addresses what either wants to happen; it
// decides nothing of its own. Private to the wiring.
// Invariant: effects leave in the order in which they were wanted.
#pragma once

#include "actors/coordinator/coordinator.hpp"
#include "actors/jobs/job_desk.hpp"
#include "actors/wiring/coordinator_node.hpp"
#include "actors/wiring/message.hpp"

#include <map>

namespace gristmill::wiring {

class CoordinatorRoom : public Room {
public:
  CoordinatorRoom(const NodeOptions& options, journal::Recovered recovered, Time now);
  void handle(Message message, const Moment& moment, Post& post) override;
  void measure(Sizes& sizes) const override;

private:
  void on(Start&, const Moment&, Post&);
  void on(FramesIn&, const Moment&, Post&);
  void on(PeersGone&, const Moment&, Post&);
  void on(Offer&, const Moment&, Post&);
  void on(PacksTold& told, const Moment& moment, Post& post);
  void on(Granted&, const Moment&, Post&);
  void on(SessionDurable&, const Moment&, Post&);
  void on(RecordedNow&, const Moment&, Post&);
  void on(SharedChecked&, const Moment&, Post&);
  void on(DiskFull&, const Moment&, Post&);
  void on(RoomClosed&, const Moment&, Post&);
  void on(RoomCrashed&, const Moment&, Post&);
  void on(JobDurable&, const Moment&, Post&);
  void on(JobForgotten&, const Moment&, Post&);
  void on(InputsDurable&, const Moment&, Post&);
  void on(JobRead&, const Moment&, Post&);
  void on(JobReport&, const Moment&, Post&);
  void on(MergeReport&, const Moment&, Post&);
  void on(ItemsExplained&, const Moment&, Post&);
  void on(Ask&, const Moment&, Post&);
  void tick(const Moment&, Post&);

  // Those that JOB DESK does not answer: each has its specialisation.
  template <class Question>
  void answer(const Question& question, std::uint64_t token, const Moment&, Post&);

  void emit(coordinator::Effects effects, const Moment&, Post&);
  void note_probation(const Moment&, Post&);
  void emit(jobs::Effects effects, const Moment&, Post&);
  void tell(jobs::Append&, const Moment&, Post&);
  void tell(jobs::Refuse&, const Moment&, Post&);
  void tell(jobs::Show&, const Moment&, Post&);
  void tell(jobs::ShowForgotten&, const Moment&, Post&);
  void tell(jobs::ShowAppended&, const Moment&, Post&);
  void tell(jobs::Feed&, const Moment&, Post&);
  void tell(jobs::Open&, const Moment&, Post&);
  void tell(jobs::Limit&, const Moment&, Post&);
  void tell(jobs::Cancel&, const Moment&, Post&);
  void tell(jobs::Pause&, const Moment&, Post&);
  void tell(jobs::Hold&, const Moment&, Post&);
  void tell(jobs::Resume&, const Moment&, Post&);
  void tell(jobs::Hurry&, const Moment&, Post&);
  void tell(jobs::Merge&, const Moment&, Post&);
  void tell(jobs::CloseRoom&, const Moment&, Post&);
  void tell(jobs::Close&, const Moment&, Post&);

  JobView view(const jobs::JobEntry& job, const Moment&) const;
  jobs::JobStanding standing(const jobs::JobEntry& job, Time now) const;
  jobs::MetError met_at(const WaitReason& reason, Time now) const;
  Explanation why_waiting(const jobs::JobEntry& job, const Moment&) const;

  coordinator::Coordinator coordinator_;
  jobs::JobDesk desk_;
  decltype(NodeOptions::output_path) output_path_;
  const bool has_shared_;                     // directory
  std::map<std::uint64_t, JobId> explaining_; // questions that wait for a supervisor's part
  Time next_tick_{Time::min()};
};

} // namespace gristmill::wiring
