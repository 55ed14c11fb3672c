// Why a job or an item waits: which reason goes before which, its sentence, and when it is news.
#include "actors/wiring/explanation.hpp"

#include <catch2/catch.hpp>
#include <set>

using namespace gristmill;
using namespace gristmill::wiring;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

WaitReason of(WaitKind kind, std::string endpoint = {}) {
  WaitReason reason;
  reason.kind = kind;
  reason.endpoint = std::move(endpoint);
  return reason;
}

coordinator::JobEntry job_in(JobState state, std::string detail = {}) {
  coordinator::JobEntry job;
  job.id = JobId{7};
  job.state = state;
  job.detail = std::move(detail);
  return job;
}

std::string sentence(const WaitReason& reason) {
  return explained(JobId{7}, reason, now).sentence;
}

} // namespace

TEST_CASE("a job's state is its reason before anything that a room says") {
  const auto reason = of(WaitKind::requests), none = WaitReason{};
  const auto kind_of = [&](JobState state, const std::string& disk = {}) {
    return why_waiting(job_in(state, "because"), disk, none, reason).kind;
  };
  CHECK(kind_of(JobState::running) == WaitKind::requests);
  CHECK(kind_of(JobState::paused) == WaitKind::paused);
  CHECK(kind_of(JobState::cancelling) == WaitKind::cancelling);
  CHECK(kind_of(JobState::merging) == WaitKind::merging);
  for (const JobState over : {JobState::finished, JobState::cancelled, JobState::failed})
    CHECK(kind_of(over) == WaitKind::over);
  CHECK(kind_of(JobState::running, "the disk is full") == WaitKind::disk);
  CHECK(kind_of(JobState::paused, "the disk is full") == WaitKind::paused);
  CHECK(kind_of(JobState::finished, "the disk is full") == WaitKind::over);
  const auto why = why_waiting(job_in(JobState::paused, "too many failures"), "", none, reason);
  CHECK(sentence(why) == "paused: too many failures");
}

TEST_CASE("of what two rooms say, that is given which must end first") {
  const auto kind_of = [](WaitKind supervisor, WaitKind coordinator) {
    return why_waiting(job_in(JobState::running), "", of(supervisor), of(coordinator)).kind;
  };
  CHECK(kind_of(WaitKind::none, WaitKind::none) == WaitKind::none);
  CHECK(kind_of(WaitKind::none, WaitKind::tokens) == WaitKind::tokens);
  CHECK(kind_of(WaitKind::open_items, WaitKind::none) == WaitKind::open_items);
  CHECK(kind_of(WaitKind::open_items, WaitKind::tokens) == WaitKind::tokens);
  CHECK(kind_of(WaitKind::retry, WaitKind::tokens) == WaitKind::retry);
  CHECK(kind_of(WaitKind::retry, WaitKind::no_worker) == WaitKind::no_worker);
  CHECK(kind_of(WaitKind::reading, WaitKind::unserved) == WaitKind::unserved);
}

TEST_CASE("a sentence names window, endpoint, limit and time; a remedy says what would help") {
  auto reason = of(WaitKind::requests, "http://a/v1");
  reason.limit = 60;
  reason.until = now + 400ms;
  const auto at_endpoint = explained(JobId{7}, reason, now);
  CHECK(at_endpoint.sentence ==
        "requests per minute at http://a/v1 (60) are used up; the next call may go in 0.4 s");
  CHECK_THAT(at_endpoint.remedy, Catch::Contains("endpoint"));
  CHECK(at_endpoint.for_s == Approx(0.4));
  CHECK(at_endpoint.since_s < 0);
  reason.endpoint.clear();
  reason.until = now - 1s; // it is over already
  const auto own = explained(JobId{7}, reason, now);
  CHECK(own.sentence ==
        "requests per minute of the job itself (60) are used up; the next call may go in 0.0 s");
  CHECK(own.remedy == "a higher --rpm");

  auto of_day = of(WaitKind::day_requests, "http://a/v1");
  of_day.limit = 300;
  of_day.until = now + 3h + 12min;
  CHECK(sentence(of_day) == "requests per day at http://a/v1 (300) are used up; the next call may "
                            "go in 3 h 12 min");

  auto parked = of(WaitKind::cooldown, "http://a/v1");
  parked.because = "the endpoint asked us to wait";
  parked.attempt = AttemptId::of(Epoch{1}, 2, 3);
  parked.since = now - 3s;
  parked.until = now + 27s;
  CHECK(sentence(parked) ==
        "http://a/v1 gets no calls for 27 s: the endpoint asked us to wait (the "
        "answer to call 1-2-3, 3.0 s ago)");
  parked.attempt = {}; // no answer but what the server's limits say
  CHECK(sentence(parked) ==
        "http://a/v1 gets no calls for 27 s: the endpoint asked us to wait (since 3.0 s)");

  auto flies = of(WaitKind::in_flight, "http://a/v1");
  flies.worker = "gpu-3";
  flies.attempt = AttemptId::of(Epoch{1}, 2, 3);
  flies.since = now - 150s;
  CHECK(sentence(flies) == "in flight at worker gpu-3 at http://a/v1 since 2 min (call 1-2-3)");
}

TEST_CASE("every reason has a name and a sentence of its own") {
  std::set<std::string> sentences;
  std::set<std::string_view> names;
  const auto last = static_cast<int>(WaitKind::not_open);
  for (int kind = 0; kind <= last; ++kind) {
    WaitReason reason = of(static_cast<WaitKind>(kind), "http://a");
    reason.because = "said " + std::to_string(kind);
    CAPTURE(kind, name_of(reason.kind), sentence(reason));
    CHECK(sentences.insert(sentence(reason)).second);
    CHECK_FALSE(sentence(reason).empty());
    CHECK(names.insert(name_of(reason.kind)).second);
  }
  CHECK(name_of(WaitKind::over) == "over");
  CHECK(name_of(WaitKind::not_read) == "not_read");
  CHECK(is_waiting(WaitKind::requests));
  CHECK(is_waiting(WaitKind::open_items));
  for (const WaitKind kind : {WaitKind::none, WaitKind::paused, WaitKind::over})
    CHECK_FALSE(is_waiting(kind));
}

TEST_CASE("a reason is news when it is met twice in a row, and once") {
  WaitNews news;
  const auto requests = of(WaitKind::requests, "http://a"),
             other = of(WaitKind::requests, "http://b");
  const WaitReason none;
  CHECK_FALSE(news.met(JobId{1}, none));
  CHECK_FALSE(news.met(JobId{1}, none)); // nothing was ever said
  CHECK_FALSE(news.met(JobId{1}, requests));
  CHECK_FALSE(news.met(JobId{2}, requests)); // another job
  CHECK(news.met(JobId{1}, requests));
  auto later = requests;
  later.until = now;
  CHECK_FALSE(news.met(JobId{1}, later)); // the same to people
  CHECK_FALSE(news.met(JobId{1}, none));  // between two ticks
  CHECK_FALSE(news.met(JobId{1}, requests));
  CHECK_FALSE(news.met(JobId{1}, requests));
  CHECK_FALSE(news.met(JobId{1}, other));
  CHECK(news.met(JobId{1}, other));
  CHECK_FALSE(news.met(JobId{1}, none));
  CHECK(news.met(JobId{1}, none));
  CHECK_FALSE(news.met(JobId{1}, none));
}
