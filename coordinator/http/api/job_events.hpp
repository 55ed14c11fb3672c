// JOB EVENTS: tells clients what changes about jobs, as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html):
//   event: job              data: the job, as GET /api/v1/jobs/ID gives it
//   event: job.forgotten    data: {"id"}
// A stream begins with the jobs that are not over, as they stand, or with all if that is wanted, so
// whoever lost one needs nothing but a new one. A client that reads slowly is told later, and then
// how a job stands then. Nobody is asked while nobody listens.
// Invariant: a client is told of a job when it differs from what the client was told last, and
// never else; no more is made for a client than its stream keeps.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/wiring/questions.hpp"
#include "coordinator/http/server/event_stream.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::coordinator {

// What one client has been told; plain.
class JobFeed {
public:
  static constexpr Duration silence_max = std::chrono::seconds{15};

  // JobId{} = of all jobs. `ended_since`: those that were over before (unix seconds) are left out.
  explicit JobFeed(JobId job = {}, std::int64_t ended_since = 0)
      : job_{job}, ended_since_{ended_since} {}

  // One look: all jobs that there are in pages, in any order, and its end. What to send of each, at
  // most `room` bytes; what has no room is told in a later look.
  std::string page(const std::vector<wiring::JobView>& jobs, std::size_t room);
  std::string end(Time now, std::size_t room);
  // The one job is over, or gone: there is nothing more to come.
  bool is_over() const { return over_; }

  // What a look must bring besides the jobs that are not over.
  std::int64_t ended_since() const { return job_.value != 0 ? never_ended : ended_since_; }
  void add_wanted(std::vector<JobId>& jobs) const;

private:
  static constexpr std::int64_t never_ended = std::numeric_limits<std::int64_t>::max();

  struct Told {
    std::int64_t ended_at = 0;
    std::string text;
    std::uint64_t seen = 0; // by the look of that number
  };
  JobId job_;
  std::int64_t ended_since_;
  std::map<JobId, Told> told_;
  std::uint64_t look_ = 1;
  bool over_ = false;
  bool quiet_ = true; // this look has told nothing
  Time sent_at_{Time::min()};
};

class JobEvents {
public:
  static constexpr std::size_t streams_max = 64;

  // `list(page, then)` asks for a page of the jobs; `every`: how often, while somebody listens.
  using List = std::function<void(wiring::ListJobs, std::function<void(wiring::Answer)>)>;
  explicit JobEvents(List list, std::chrono::milliseconds every = std::chrono::seconds{1},
                     std::chrono::milliseconds answer_within = std::chrono::seconds{30});
  ~JobEvents();

  // nullptr: streams_max are open. `ended_since` as JobFeed has it.
  std::shared_ptr<EventStream> open(JobId job = {}, std::int64_t ended_since = 0);

private:
  struct Client {
    std::shared_ptr<EventStream> stream;
    JobFeed feed;
  };
  struct Shared;

  void run();
  void look();
  std::optional<wiring::Answer> ask(wiring::ListJobs page);
  wiring::ListJobs first_page() const;

  List list_;
  std::chrono::milliseconds every_, answer_within_;
  std::shared_ptr<Shared> shared_;
  std::vector<Client> clients_; // of the thread
  std::thread thread_;
};

} // namespace gristmill::coordinator
