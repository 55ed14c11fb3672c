// What a client of the event stream is told, and when.
#include "coordinator/job_events.hpp"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <thread>

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

wiring::JobView job_of(std::uint32_t id, JobState state = JobState::running) {
  wiring::JobView job;
  job.id = JobId{id};
  job.state = state;
  if (is_over(state)) job.ended_at = 100;
  return job;
}

std::size_t times(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

std::string read_until(EventStream& stream, const std::string& text) {
  std::string all;
  std::array<char, 4096> piece{};
  while (all.find(text) == all.npos) {
    const auto bytes = stream.read(piece.data(), piece.size());
    if (!bytes) break;
    all.append(piece.data(), *bytes);
    std::this_thread::yield();
  }
  return all;
}

} // namespace

TEST_CASE("a path that is not UTF-8 ends no stream") {
  JobFeed feed;
  std::vector jobs{job_of(1)};
  jobs[0].output = "st\xfc/out.jsonl";
  CHECK(times(feed.next(jobs, Time{}), "st\xef\xbf\xbd/out.jsonl") == 1);
}

TEST_CASE("a client is told of all jobs first, then of each when it has changed") {
  JobFeed feed;
  Time now{};
  std::vector jobs{job_of(1), job_of(2, JobState::finished)};
  const std::string first = feed.next(jobs, now);
  CHECK(times(first, "event: job\ndata: {\"id\":\"job-1\"") == 1);
  CHECK(times(first, "event: job\ndata: {\"id\":\"job-2\"") == 1);
  CHECK(feed.next(jobs, now).empty());
  jobs[0].waiting_for = WaitKind::tokens;
  jobs[0].why_waiting = "tokens per minute";
  const std::string second = feed.next(jobs, now);
  CHECK(times(second, "event: ") == 1);
  CHECK(times(second, "\"waiting_for\":\"tokens\"") == 1);
  CHECK(second.ends_with("\n\n"));
  CHECK(feed.next(jobs, now).empty());
  CHECK_FALSE(feed.is_over());
}

TEST_CASE("a job that is over is told once, and again when it was run again") {
  JobFeed feed;
  std::vector jobs{job_of(1)};
  feed.next(jobs, Time{});
  jobs[0] = job_of(1, JobState::finished);
  CHECK(times(feed.next(jobs, Time{}), "\"finished\"") == 1);
  CHECK(feed.next(jobs, Time{}).empty());
  jobs[0] = job_of(1);
  CHECK(times(feed.next(jobs, Time{}), "\"running\"") == 1);
  jobs[0] = job_of(1, JobState::finished);
  jobs[0].ended_at = 200;
  CHECK(times(feed.next(jobs, Time{}), "\"finished\"") == 1);
}

TEST_CASE("a job that is forgotten is told") {
  JobFeed feed;
  feed.next({job_of(1), job_of(2)}, Time{});
  CHECK(feed.next({job_of(2)}, Time{}) == "event: job.forgotten\ndata: {\"id\":\"job-1\"}\n\n");
  CHECK(feed.next({job_of(2)}, Time{}).empty());
}

TEST_CASE("the feed of one job tells of no other, and is over with it") {
  JobFeed feed{JobId{2}};
  const std::string first = feed.next({job_of(1), job_of(2)}, Time{});
  CHECK(times(first, "event: ") == 1);
  CHECK(times(first, "job-2") == 1);
  CHECK_FALSE(feed.is_over());
  SECTION("finished") {
    CHECK(times(feed.next({job_of(1), job_of(2, JobState::finished)}, Time{}), "event: ") == 1);
  }
  SECTION("forgotten") {
    CHECK(times(feed.next({job_of(1)}, Time{}), "job.forgotten") == 1);
  }
  CHECK(feed.is_over());
}

TEST_CASE("a client that has heard nothing for long hears that the stream lives") {
  JobFeed feed;
  const Time start = Time{} + 1h;
  feed.next({job_of(1)}, start);
  CHECK(feed.next({job_of(1)}, start + JobFeed::silence_max - 1ns).empty());
  CHECK(feed.next({job_of(1)}, start + JobFeed::silence_max).starts_with(": "));
  CHECK(feed.next({job_of(1)}, start + JobFeed::silence_max + 1ns).empty());
}

TEST_CASE("a client of a coordinator without jobs hears that the stream lives") {
  JobFeed feed;
  const Time start = Time{} + 1h;
  CHECK(feed.next({}, start).starts_with(": "));
  CHECK(feed.next({}, start + 1s).empty());
  CHECK(feed.next({}, start + JobFeed::silence_max).starts_with(": "));
}

TEST_CASE("nobody is asked while nobody listens, and as many may listen as there are streams") {
  std::atomic<int> asked = 0;
  JobEvents events{[&asked](const std::function<void(wiring::Answer)>& then) {
                     ++asked;
                     wiring::Answer answer;
                     answer.jobs.push_back(job_of(7));
                     then(std::move(answer));
                   },
                   1ms};
  CHECK(asked == 0);
  std::vector<std::shared_ptr<EventStream>> streams;
  for (std::size_t i = 0; i < JobEvents::streams_max; ++i) streams.push_back(events.open());
  CHECK(events.open() == nullptr);
  for (const auto& stream : streams) {
    REQUIRE(stream != nullptr);
    CHECK(times(read_until(*stream, "job-7"), "event: job\n") == 1);
  }
  streams[0]->abandon();
  std::shared_ptr<EventStream> next;
  while (!(next = events.open())) std::this_thread::yield();
  CHECK(times(read_until(*next, "job-7"), "event: job\n") == 1);
}

TEST_CASE("an answer that never comes keeps nobody from ending") {
  std::function<void(wiring::Answer)> late;
  std::shared_ptr<EventStream> stream;
  std::promise<void> asked;
  {
    JobEvents events{[&](std::function<void(wiring::Answer)> then) {
      late = std::move(then);
      asked.set_value();
    }};
    stream = events.open();
    asked.get_future().wait();
  }
  CHECK(stream->is_over());
  late({});
}
