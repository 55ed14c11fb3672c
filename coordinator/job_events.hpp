// JOB EVENTS: tells clients what changes about jobs, as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html):
//   event: job              data: the job, as GET /api/v1/jobs/ID gives it
//   event: job.forgotten    data: {"id"}
// A stream begins with all jobs as they stand, so whoever lost one needs nothing but a new one.
// Nobody is asked while nobody listens. Invariant: a client is told of a job when it differs from
// what the client was told last, and never else.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/wiring/message.hpp"
#include "coordinator/event_stream.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::coordinator {

// What one client has been told; plain.
class JobFeed {
public:
  static constexpr Duration silence_max = std::chrono::seconds{15};

  explicit JobFeed(JobId job = {}) : job_{job} {} // JobId{} = of all jobs

  // What to send now; `jobs` are all that there are, by id.
  std::string next(const std::vector<wiring::JobView>& jobs, Time now);
  // The one job is over, or gone: there is nothing more to come.
  bool is_over() const { return over_; }

private:
  struct Told {
    std::int64_t ended_at = 0;
    std::string text;
  };
  JobId job_;
  std::map<JobId, Told> told_;
  bool over_ = false;
  Time sent_at_{Time::min()};
};

class JobEvents {
public:
  static constexpr std::size_t streams_max = 64;

  // `list(then)` asks for all jobs; `every`: how often, while somebody listens.
  using List = std::function<void(std::function<void(wiring::Answer)>)>;
  explicit JobEvents(List list, std::chrono::milliseconds every = std::chrono::seconds{1});
  ~JobEvents();

  // nullptr: streams_max are open.
  std::shared_ptr<EventStream> open(JobId job = {});

private:
  struct Client {
    std::shared_ptr<EventStream> stream;
    JobFeed feed;
  };
  struct Shared;

  void run();
  void tell(const std::vector<wiring::JobView>& jobs);

  List list_;
  std::chrono::milliseconds every_;
  std::shared_ptr<Shared> shared_;
  std::vector<Client> clients_; // of the thread
  std::thread thread_;
};

} // namespace gristmill::coordinator
