// Open jobs: what was appended, and what is refused.
#include "actors/jobs/appends.hpp"

#include "protocol/limits.hpp"
#include "tests/unit/actors/jobs/job_desk_harness.hpp"

#include <fmt/format.h>

namespace job_appends_test {

using namespace gristmill;
using namespace gristmill::jobs;
using namespace gristmill::job_desk_test;
using Catch::Contains;

namespace {

AppendInputs inputs(std::string key, std::string hash = "h") {
  return {JobId{7}, std::move(key), std::move(hash), 10, {{"/up/a", "a.jsonl"}}};
}

journal::RecoveredJob open_job(JobState state = JobState::running) {
  journal::RecoveredJob job = Scene::held(state);
  JobSpec spec = good_spec();
  spec.open = true;
  job.spec = to_json(spec);
  return job;
}

struct OpenScene : Scene {
  explicit OpenScene(journal::RecoveredJob job = open_job()) {
    desk.recovered(std::move(job), moment.now);
    start();
  }
  void inputs_durable() {
    const auto appends = wanted<Append>();
    REQUIRE(appends.size() == 1);
    last = desk.inputs_durable(std::get<InputsDurable>(appends[0].then.value()));
  }
};

} // namespace

TEST_CASE("a key names what was appended with it, for ever") {
  Appends appends;
  const auto first = appends.append(inputs("k"));
  REQUIRE(first);
  CHECK(first->number == 1);
  CHECK(first->inputs.at(0).name == "append-1/a.jsonl");
  CHECK(appends.append(inputs("l"))->number == 2);
  const auto again = appends.known(inputs("k"));
  REQUIRE(again);
  REQUIRE(*again);
  CHECK((*again)->number == 1);
  CHECK((*again)->repeated);
  const auto other = appends.known(inputs("k", "another"));
  REQUIRE_FALSE(other);
  CHECK(other.error().code == ErrorCode::conflict);
  CHECK_THAT(other.error().message, Contains("append 1 of job-7"));
  CHECK_FALSE(*appends.known(inputs("m")));
  CHECK(appends.inputs().size() == 2);
  SECTION("after a restart, too") {
    Appends later;
    later.recovered({*first}, false);
    CHECK((*later.known(inputs("k")))->number == 1);
    CHECK(later.append(inputs("n"))->number == 2);
    CHECK_FALSE(later.is_closed());
  }
  SECTION("and when it is closed") {
    appends.close();
    CHECK((*appends.known(inputs("k")))->repeated);
    const auto refused = appends.append(inputs("n"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::conflict);
    CHECK_THAT(refused.error().message, Contains("was closed"));
  }
}

TEST_CASE("so much may be appended to a job, and no more") {
  Appends appends;
  for (std::size_t n = 1; n <= limits::job_appends_max; ++n)
    REQUIRE(appends.append(inputs(std::to_string(n))));
  CHECK_FALSE(appends.append(inputs("one more")));
  CHECK((*appends.known(inputs("1")))->repeated);
}

TEST_CASE("an append is answered, and fed to the job, when it is durable") {
  OpenScene scene;
  scene.ask(inputs("k"));
  CHECK(scene.order() == kinds<Append>());
  const journal::Group part = scene.wanted<Append>()[0].part;
  REQUIRE(part.appends.size() == 1);
  CHECK(part.appends[0].number == 1);
  CHECK(part.appends[0].key == "k");
  scene.inputs_durable();
  CHECK(scene.order() == kinds<ShowAppended, Feed>());
  CHECK(scene.wanted<ShowAppended>()[0].appended.number == 1);
  CHECK(scene.wanted<Feed>()[0].append.inputs.size() == 1);
  SECTION("once: asked for again it is only answered, behind what may not be durable yet") {
    scene.ask(inputs("k"));
    CHECK(scene.order() == kinds<Append>());
    CHECK(scene.wanted<Append>()[0].part.empty());
    scene.inputs_durable();
    CHECK(scene.order() == kinds<ShowAppended>());
    CHECK(scene.wanted<ShowAppended>()[0].appended.repeated);
  }
}

TEST_CASE("a job is closed once, and that is fed to it when it is durable") {
  OpenScene scene;
  scene.ask(CloseInputs{JobId{7}});
  REQUIRE(scene.wanted<Append>()[0].part.appends.size() == 1);
  CHECK(scene.wanted<Append>()[0].part.appends[0].closes());
  scene.inputs_durable();
  CHECK(scene.order() == kinds<Show, Feed>());
  scene.ask(CloseInputs{JobId{7}});
  CHECK(scene.wanted<Append>()[0].part.empty());
  scene.ask(inputs("k"));
  CHECK(scene.refused(ErrorCode::conflict));
}

TEST_CASE("nothing is appended to a job that is not open, is over, or is not there") {
  Scene plain{JobState::running, JobReason::none};
  plain.start();
  plain.ask(inputs("k"));
  CHECK(plain.refused(ErrorCode::conflict));
  plain.ask(CloseInputs{JobId{7}});
  CHECK(plain.refused(ErrorCode::conflict));
  OpenScene over{open_job(JobState::cancelled)};
  over.ask(inputs("k"));
  CHECK(over.refused(ErrorCode::conflict));
  AppendInputs nowhere = inputs("k");
  nowhere.job = JobId{8};
  over.ask(nowhere);
  CHECK(over.refused(ErrorCode::not_found));
}

} // namespace job_appends_test
