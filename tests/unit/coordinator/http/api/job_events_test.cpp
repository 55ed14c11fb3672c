// What a client of the event stream is told, and when.
#include "coordinator/http/api/job_events.hpp"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <mutex>
#include <thread>

namespace job_events_test {

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

// One look, of one page.
std::string next(JobFeed& feed, const std::vector<wiring::JobView>& jobs, Time now,
                 std::size_t room = 1u << 20) {
  std::string text = feed.page(jobs, room);
  return text + feed.end(now, room - text.size());
}

std::size_t told_in(const std::string& text) {
  return times(text, "event: job\n");
}

} // namespace

TEST_CASE("a path that is not UTF-8 ends no stream") {
  JobFeed feed;
  std::vector jobs{job_of(1)};
  jobs[0].output = "st\xfc/out.jsonl";
  CHECK(times(next(feed, jobs, Time{}), "st\xef\xbf\xbd/out.jsonl") == 1);
}

TEST_CASE("a client is told of all jobs first, then of each when it has changed") {
  JobFeed feed;
  Time now{};
  std::vector jobs{job_of(1), job_of(2, JobState::finished)};
  const std::string first = next(feed, jobs, now);
  CHECK(times(first, "event: job\ndata: {\"id\":\"job-1\"") == 1);
  CHECK(times(first, "event: job\ndata: {\"id\":\"job-2\"") == 1);
  CHECK(next(feed, jobs, now).empty());
  jobs[0].waiting_for = WaitKind::tokens;
  jobs[0].why_waiting = "tokens per minute";
  const std::string second = next(feed, jobs, now);
  CHECK(times(second, "event: ") == 1);
  CHECK(times(second, "\"waiting_for\":\"tokens\"") == 1);
  CHECK(second.ends_with("\n\n"));
  CHECK(next(feed, jobs, now).empty());
  CHECK_FALSE(feed.is_over());
}

TEST_CASE("a job that is over is told once, and again when it was run again") {
  JobFeed feed;
  std::vector jobs{job_of(1)};
  next(feed, jobs, Time{});
  jobs[0] = job_of(1, JobState::finished);
  CHECK(times(next(feed, jobs, Time{}), "\"finished\"") == 1);
  CHECK(next(feed, jobs, Time{}).empty());
  jobs[0] = job_of(1);
  CHECK(times(next(feed, jobs, Time{}), "\"running\"") == 1);
  jobs[0] = job_of(1, JobState::finished);
  jobs[0].ended_at = 200;
  CHECK(times(next(feed, jobs, Time{}), "\"finished\"") == 1);
}

TEST_CASE("a job that is forgotten is told") {
  JobFeed feed;
  next(feed, {job_of(1), job_of(2)}, Time{});
  CHECK(next(feed, {job_of(2)}, Time{}) == "event: job.forgotten\ndata: {\"id\":\"job-1\"}\n\n");
  CHECK(next(feed, {job_of(2)}, Time{}).empty());
}

TEST_CASE("the feed of one job tells of no other, and is over with it") {
  JobFeed feed{JobId{2}};
  const std::string first = next(feed, {job_of(1), job_of(2)}, Time{});
  CHECK(times(first, "event: ") == 1);
  CHECK(times(first, "job-2") == 1);
  CHECK_FALSE(feed.is_over());
  SECTION("finished") {
    CHECK(times(next(feed, {job_of(1), job_of(2, JobState::finished)}, Time{}), "event: ") == 1);
  }
  SECTION("forgotten") {
    CHECK(times(next(feed, {job_of(1)}, Time{}), "job.forgotten") == 1);
  }
  CHECK(feed.is_over());
}

TEST_CASE("a client that has heard nothing for long hears that the stream lives") {
  JobFeed feed;
  const Time start = Time{} + 1h;
  next(feed, {job_of(1)}, start);
  CHECK(next(feed, {job_of(1)}, start + JobFeed::silence_max - 1ns).empty());
  CHECK(next(feed, {job_of(1)}, start + JobFeed::silence_max).starts_with(": "));
  CHECK(next(feed, {job_of(1)}, start + JobFeed::silence_max + 1ns).empty());
}

TEST_CASE("a client of a coordinator without jobs hears that the stream lives") {
  JobFeed feed;
  const Time start = Time{} + 1h;
  CHECK(next(feed, {}, start).starts_with(": "));
  CHECK(next(feed, {}, start + 1s).empty());
  CHECK(next(feed, {}, start + JobFeed::silence_max).starts_with(": "));
}

TEST_CASE("jobs that were over before a client came are told only if they are wanted") {
  const std::vector jobs{job_of(1), job_of(2, JobState::finished)}; // it ended at 100
  JobFeed later{{}, 101}, same{{}, 100}, all{{}, 0}, one{JobId{2}, 101};
  CHECK(times(next(later, jobs, Time{}), "job-2") == 0);
  CHECK(times(next(same, jobs, Time{}), "job-2") == 1);
  CHECK(times(next(all, jobs, Time{}), "job-2") == 1);
  CHECK(times(next(one, jobs, Time{}), "job-2") == 1);
  CHECK(one.is_over());
}

TEST_CASE("a client that reads slowly is told job by job, and of each as it stands then") {
  JobFeed feed;
  std::vector<wiring::JobView> jobs;
  for (std::uint32_t id = 1; id <= 9; ++id) jobs.push_back(job_of(id));
  const std::size_t one = next(feed, {jobs[0]}, Time{}).size();
  CHECK(told_in(next(feed, jobs, Time{}, one - 1)) == 0);
  CHECK(told_in(next(feed, jobs, Time{}, one)) == 1);
  CHECK(told_in(next(feed, jobs, Time{}, 4 * one)) == 4);
  jobs[8].state = JobState::paused;
  const std::string rest = next(feed, jobs, Time{}, 10 * one);
  CHECK(told_in(rest) == 3);
  CHECK(times(rest, "\"paused\"") == 1);
  CHECK(next(feed, {}, Time{}, 0).empty());
  CHECK(times(next(feed, {}, Time{}), "job.forgotten") == 9); // later, but told
}

TEST_CASE("a list of jobs that comes in pages is told as one") {
  JobFeed feed;
  const std::vector first{job_of(1), job_of(2)}, second{job_of(3)};
  CHECK(told_in(feed.page(first, 1u << 20)) == 2);
  CHECK(told_in(feed.page(second, 1u << 20)) == 1);
  CHECK(feed.end(Time{}, 1u << 20).empty());
  CHECK(feed.page(first, 1u << 20).empty());
  CHECK(feed.page(second, 1u << 20).empty());
  CHECK(feed.end(Time{}, 1u << 20).empty());
}

TEST_CASE("a look asks for page after page, for what is told of, and not for what was over") {
  std::mutex mutex;
  std::vector<wiring::ListJobs> asked;
  JobEvents events{
      [&](const wiring::ListJobs& page, const std::function<void(wiring::Answer)>& then) {
        wiring::Answer answer;
        {
          const std::lock_guard lock{mutex};
          asked.push_back(page);
        }
        const bool first = page.after.value == 0;
        answer.jobs.push_back(job_of(first ? 1 : 2));
        if (first) answer.more = JobId{1};
        then(std::move(answer));
      },
      1ms};
  const auto stream = events.open({}, 77);
  CHECK(times(read_until(*stream, "job-2"), "event: job\n") == 2);
  const auto asked_for_both = [&] {
    const std::lock_guard lock{mutex};
    return asked.back().wanted->size() == 2;
  };
  while (!asked_for_both()) std::this_thread::yield();
  const std::lock_guard lock{mutex};
  CHECK(asked[0].ended_since == 77);
  CHECK(asked[0].wanted->empty());
  CHECK(asked[1].after == JobId{1});
}

TEST_CASE("a question that is never answered is asked again") {
  std::atomic<int> asked = 0;
  JobEvents events{[&](const wiring::ListJobs&, const std::function<void(wiring::Answer)>& then) {
                     if (++asked == 1) return; // lost
                     wiring::Answer answer;
                     answer.jobs.push_back(job_of(7));
                     then(std::move(answer));
                   },
                   1ms, 1ms};
  const auto stream = events.open();
  CHECK(times(read_until(*stream, "job-7"), "event: job\n") == 1);
}

TEST_CASE("nobody is asked while nobody listens, and as many may listen as there are streams") {
  std::atomic<int> asked = 0;
  JobEvents events{
      [&asked](const wiring::ListJobs&, const std::function<void(wiring::Answer)>& then) {
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
    JobEvents events{[&](const wiring::ListJobs&, std::function<void(wiring::Answer)> then) {
      late = std::move(then);
      asked.set_value();
    }};
    stream = events.open();
    asked.get_future().wait();
  }
  CHECK(stream->is_over());
  late({});
}

} // namespace job_events_test
