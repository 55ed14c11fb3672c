// JOB INPUTS: what the inputs of a submitted job amount to. Directories and patterns below the data
// root become files, lists that clients wrote are checked entry by entry; more inputs than a
// specification should hold are written down in a list of our own, which later readers trust. What
// such a list names of the uploads is linked beside it, so that list and content go together.
// It also knows which uploads jobs have, and removes the others when they are old.
// Invariant: no input leads out of what Uploads allows, and a job that was refused leaves nothing.
//
// All of it may read a disk for seconds: a few threads of its own do it, so that a directory of a
// million files holds nobody up.
#pragma once

#include "coordinator/inputs/addition.hpp"
#include "coordinator/inputs/uploads.hpp"
#include "protocol/job/spec.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::coordinator {

struct JobInputsLimits {
  std::uint64_t files_max = 1'000'000; // of one job
  // Uploads that no job has by then are removed.
  std::chrono::seconds unused_max{24 * 3'600}, look_every{3'600};
};

class JobInputs {
public:
  // `in_use`: the files of each job that there is (files_of). `uploads` must outlive it.
  JobInputs(Uploads& uploads, const std::vector<std::vector<InputSpec>>& in_use,
            JobInputsLimits limits);
  ~JobInputs(); // after the orders under way; the others are dropped

  // The specification with its inputs as the job reads them, and with the tokenizer that its rank
  // file is. They are held until the job is refused or forgotten.
  void admit(JobSpec spec, std::function<void(Result<JobSpec>)> admitted);
  // The same of more inputs of a job that there is, each a file in the end: an append is never a
  // list.
  void admit_more(std::vector<InputSpec> inputs, std::function<void(Result<Addition>)> admitted);
  // Of files_of() the job, or of an addition. It was refused, or is not needed: uploads stay, its
  // client may correct it; a list of ours does not. `released`: they are not held any more.
  void refused(std::vector<InputSpec> inputs, std::function<void()> released = {});
  // The job is gone, and then what it alone had.
  void forgotten(std::vector<InputSpec> inputs, std::function<void()> removed);
  // An upload that will not be used; conflict: a job has it, not_found: it is not there.
  void discard(std::string id, std::function<void(Result<>)> discarded);

private:
  class Listing;
  void order(std::function<void()> order);
  void run();
  // Held while they are looked at, and what comes of them from then on.
  template <class Admitted, class Look>
  Result<Admitted> held_while(const std::vector<InputSpec>& asked, Look look);
  Result<JobSpec> admitted(JobSpec spec);
  Result<Addition> admitted_more(const std::vector<InputSpec>& inputs);
  Result<> place_tokenizer(JobSpec& spec) const;
  Result<> place(const InputSpec& input, Listing& listing);
  Result<> place_list(const InputSpec& list, Listing& listing);
  std::vector<std::string> ids_of(const std::vector<InputSpec>& inputs) const;
  void hold(const std::vector<InputSpec>& inputs);
  void let_go(const std::vector<InputSpec>& inputs, bool remove);
  std::vector<InputSpec> located(const std::vector<InputSpec>& inputs) const;

  Uploads& uploads_;
  const JobInputsLimits limits_;
  // An upload is looked for among those that are held, and removed, in one.
  std::mutex held_mutex_;
  // How many inputs of jobs an upload is: one that two appends of a job name counts twice, and goes
  // when both are forgotten.
  std::map<std::string, std::size_t> held_;

  static constexpr std::size_t threads_max = 4;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> orders_;
  std::chrono::steady_clock::time_point look_at_{}; // for old uploads; first of all
  bool ends_ = false;
  std::vector<std::thread> threads_;
};

} // namespace gristmill::coordinator
