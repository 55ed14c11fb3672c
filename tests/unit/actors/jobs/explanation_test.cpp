// Why a job or an item waits: which reason goes before which, its sentence, and when it is news.
#include "actors/jobs/explanation.hpp"
#include "actors/jobs/wait_news.hpp"

#include <catch2/catch.hpp>
#include <set>

namespace explanation_test {

using namespace gristmill;
using namespace gristmill::jobs;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

WaitReason of(WaitKind kind, std::string endpoint = {}) {
  WaitReason reason;
  reason.kind = kind;
  reason.endpoint = std::move(endpoint);
  return reason;
}

JobEntry job_in(JobState state, std::string detail = {}) {
  JobEntry job;
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
  CHECK(kind_of(WaitKind::endpoint, WaitKind::tokens) == WaitKind::endpoint);
  CHECK(kind_of(WaitKind::endpoint, WaitKind::no_worker) == WaitKind::no_worker);
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

TEST_CASE("a learned limit says that it is learned, and what was configured") {
  auto slots = of(WaitKind::calls_taken_up, "http://a/v1");
  slots.limit = 17;
  slots.learned = true;
  CHECK(sentence(slots) ==
        "calls in flight at http://a/v1: all 17 that its server was found to "
        "take up are being made, learned while calls were made; configured: none");
  slots.configured = 500;
  CHECK_THAT(sentence(slots), Catch::EndsWith("configured: 500"));
  auto rate = of(WaitKind::requests, "http://a/v1");
  rate.limit = 45;
  rate.learned = true;
  rate.configured = 60;
  CHECK(sentence(rate) == "requests per minute at http://a/v1 (45, learned while calls were made; "
                          "configured: 60) are used up");
  rate.learned = false;
  CHECK(sentence(rate) == "requests per minute at http://a/v1 (45) are used up");
}

TEST_CASE("who makes all the calls that may be made at once goes at full speed and does not wait") {
  for (const WaitKind kind :
       {WaitKind::calls_allowed, WaitKind::calls_taken_up, WaitKind::workers_full}) {
    CHECK(is_waiting(kind, 0));
    CHECK_FALSE(is_waiting(kind, 1));
  }
  CHECK(is_waiting(WaitKind::requests, 1));
  CHECK(is_waiting(WaitKind::retry, 1));
}

TEST_CASE("a wait for an endpoint or for another attempt says what was met") {
  Circumstances known;
  known.error =
      CountedError{OutcomeClass::unavailable, "loading", 503, 12, 0, "Loading model", "", "", 90};
  known.error_age_s = 2;
  known.failing_s = 180;
  const auto told = [&](WaitKind kind, std::uint64_t limit = 0) {
    WaitReason reason = of(kind, "http://a/v1");
    reason.limit = limit;
    reason.until = now + 1s;
    reason.because = "the endpoint asked us to wait";
    return explained(JobId{7}, reason, now, known).sentence;
  };
  const std::string words = "HTTP 503 loading: Loading model (12 times, the last 2.0 s ago)";
  CHECK(told(WaitKind::breaker) ==
        "http://a/v1: the endpoint fails since 3 min: " + words + "; it is tried again in 1.0 s");
  CHECK(told(WaitKind::retry, 300) ==
        "all 300 open items wait for another attempt, the next one in 1.0 s: " + words);
  CHECK_THAT(told(WaitKind::cooldown), Catch::Contains(words));
  CHECK_THAT(told(WaitKind::quota), Catch::Contains(words));
  CHECK(told(WaitKind::none) == "nothing waits: calls go as fast as they can");
  known.retrying = 300;
  CHECK(told(WaitKind::none) ==
        "calls go as fast as they can; 300 items wait for another attempt: " + words);
  CHECK_THAT(told(WaitKind::requests, 60), Catch::Contains("300 items wait for another attempt"));
  CHECK_THAT(told(WaitKind::merging), !Catch::Contains("wait for another attempt"));
  known.error->count = 1;
  known.retrying = 1;
  CHECK_THAT(told(WaitKind::none),
             Catch::Contains("; 1 item waits for another attempt: HTTP 503 loading: Loading model "
                             "(once, the last 2.0 s ago)"));
}

TEST_CASE("what goes on with a job that is paused is the command that does") {
  const auto remedy = [&](JobReason stopped_for) {
    Circumstances known;
    known.stopped_for = stopped_for;
    return explained(JobId{7}, of(WaitKind::paused), now, known).remedy;
  };
  CHECK(remedy(JobReason::user) == "`gristmill resume job-7`");
  CHECK(remedy(JobReason::budget) ==
        "`gristmill resume job-7 --budget-usd USD` with more than it has");
  CHECK_THAT(remedy(JobReason::quota), Catch::Contains("`gristmill resume job-7`"));
  CHECK(remedy(JobReason::failures) == "`gristmill resume job-7`, when that is mended");
}

TEST_CASE("a call whose number is not known is told without one") {
  auto flies = of(WaitKind::in_flight, "http://a/v1");
  flies.worker = "gpu-3";
  CHECK(sentence(flies) == "in flight at worker gpu-3 at http://a/v1");
  for (int kind = 0; kind <= static_cast<int>(WaitKind::not_open); ++kind)
    CHECK_THAT(sentence(of(static_cast<WaitKind>(kind), "http://a")), !Catch::Contains("0-0-0"));
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

} // namespace explanation_test
