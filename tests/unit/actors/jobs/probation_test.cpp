// What is made of coordinators that ended without warning while a job ran.
#include "actors/jobs/probation.hpp"

#include <catch2/catch.hpp>

namespace probation_test {

using namespace gristmill;
using namespace gristmill::jobs;

namespace {
constexpr JobId job{7};
}

TEST_CASE("a few ends are nobody's fault, many make a job careful, and what ends us is given up") {
  const auto [crashes, same_item, careful, given_up] =
      GENERATE(table<std::uint32_t, std::uint32_t, bool, bool>({{0, 0, false, false},
                                                                {2, 2, false, false},
                                                                {3, 0, true, false},
                                                                {29, 2, true, false},
                                                                {5, 3, true, true},
                                                                {30, 0, true, true}}));
  CAPTURE(crashes, same_item);
  Probation probation;
  probation.recovered(job, crashes, same_item);
  CHECK(probation.crashes(job) == crashes);
  CHECK(probation.is_given_up(job) == given_up);
  CHECK(probation.begins(job, 10) == careful);
  CHECK(probation.is_careful(job) == careful);
}

TEST_CASE("a job is trusted again, for good, when more is recorded than there was") {
  Probation probation;
  probation.recovered(job, 3, 1);
  CHECK(probation.begins(job, 10));
  CHECK_FALSE(probation.passes(job, 10));
  CHECK(probation.passes(job, 11));
  CHECK_FALSE(probation.passes(job, 12));
  CHECK_FALSE(probation.is_careful(job));
  CHECK(probation.crashes(job) == 0);
  CHECK_FALSE(probation.begins(job, 11));
  CHECK(probation.size() == 0);
}

TEST_CASE("of a job on probation the journal is told which item is out, when it is another one") {
  Probation probation;
  probation.recovered(job, 3, 0);
  probation.recovered(JobId{8}, 1, 0);
  CHECK(probation.jobs().empty());
  probation.begins(job, 0);
  CHECK(probation.jobs() == std::vector{job});
  CHECK(probation.news({{job, 4}}).size() == 1);
  CHECK(probation.news({{job, 4}}).empty());
  CHECK(probation.news({{job, 5}}).at(0).item == 5);
  CHECK(probation.news({{JobId{9}, 5}}).empty());
  probation.closed(job);
  CHECK(probation.jobs().empty());
  CHECK(probation.begins(job, 0)); // its rooms are opened anew, and nothing was recorded
  CHECK(probation.news({{job, 5}}).size() == 1);
}

} // namespace probation_test
