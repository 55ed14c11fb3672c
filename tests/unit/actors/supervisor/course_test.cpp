// Whether a job goes on: what stops it, what does not, and what is told of it.
#include "actors/supervisor/course.hpp"

#include <catch2/catch.hpp>

namespace course_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

StateChange to(JobState state, std::string why = "because") {
  return {state, JobReason::failures, std::move(why)};
}

} // namespace

TEST_CASE("a job is stopped once, for the first reason, until somebody resumes it") {
  Course course;
  CHECK(course.goes_on());
  CHECK(course.makes_calls());
  course.stop(std::nullopt, false);
  CHECK_FALSE(course.take_stop());
  course.stop(to(JobState::paused, "first"), false);
  course.stop(to(JobState::paused, "second"), false);
  CHECK_FALSE(course.goes_on());
  CHECK(course.take_stop()->sentence == "first");
  CHECK_FALSE(course.take_stop());
  course.resume(false);
  CHECK(course.makes_calls());
  course.stop(to(JobState::paused, "second"), false);
  CHECK(course.take_stop()->sentence == "second");
}

TEST_CASE("a pause saves nothing at the end of a job, but a failure is one") {
  const JobState state = GENERATE(JobState::paused, JobState::failed);
  Course course;
  course.stop(to(state), true);
  CHECK(course.take_stop().has_value() == (state == JobState::failed));
  CHECK(course.makes_calls() == (state == JobState::paused));
}

TEST_CASE("what would stop a job does nothing to one that is paused, cancelled or has failed") {
  Course course;
  SECTION("paused") {
    course.pause();
  }
  SECTION("cancelled") {
    course.cancel(now);
  }
  SECTION("failed") {
    course.fail(to(JobState::failed, "before"));
  }
  course.take_stop();
  course.stop(to(JobState::failed), false);
  CHECK_FALSE(course.take_stop());
}

TEST_CASE("a job that can never end fails, whatever it is told to do, and stays so") {
  const bool paused = GENERATE(false, true), cancelled = GENERATE(false, true);
  Course course;
  if (paused) course.pause();
  if (cancelled) course.cancel(now);
  CHECK_FALSE(course.has_failed());
  course.fail(std::nullopt);
  CHECK_FALSE(course.has_failed());
  course.fail(to(JobState::failed, "first"));
  course.fail(to(JobState::failed, "second"));
  course.resume(false);
  CHECK(course.has_failed());
  CHECK_FALSE(course.goes_on());
  CHECK(course.take_stop()->sentence == "first");
}

TEST_CASE("a cancelled job goes on to its end, also when it was paused, but makes no calls") {
  Course course;
  course.pause();
  CHECK_FALSE(course.goes_on());
  CHECK(course.cancel(now));
  CHECK(course.goes_on());
  CHECK(course.is_cancelling());
  CHECK_FALSE(course.makes_calls());
}

TEST_CASE("what is out at a cancelled job ends once, ten seconds after it was first asked") {
  Course course;
  CHECK(course.cancel_ends() == never);
  CHECK_FALSE(course.ends_all(now + 1h));
  CHECK(course.cancel(now));
  CHECK_FALSE(course.cancel(now + 5s));
  CHECK(course.cancel_ends() == now + 10s);
  CHECK_FALSE(course.ends_all(now + 10s - 1ns));
  CHECK(course.ends_all(now + 10s));
  CHECK_FALSE(course.ends_all(now + 10s + 1ns));
  CHECK(course.cancel_ends() == never);
}

TEST_CASE("a job that was resumed to probe its endpoint does so until something is answered") {
  Course course;
  course.resume(true);
  CHECK(course.is_probing());
  course.answered();
  CHECK_FALSE(course.is_probing());
}

} // namespace course_test
