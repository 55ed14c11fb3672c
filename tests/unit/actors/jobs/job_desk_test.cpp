// The life of a job as the desk decides it: what is wanted at each step, in order, and nothing
// else.
#include "tests/unit/actors/jobs/job_desk_harness.hpp"
#include "tests/unit/nano_usd.hpp"

namespace gristmill::job_desk_test {

TEST_CASE("a job that is handed in is opened, and shown to its user, once it is durable") {
  Scene scene;
  scene.ask(SubmitJob{good_spec()}, 5);
  CHECK(scene.order() == kinds<Append>());
  CHECK(scene.appended().job == JobId{1});
  scene.durable();
  CHECK(scene.order() == kinds<Open, Show>());
  CHECK(scene.wanted<Show>()[0].token == 5);
  CHECK(scene.desk.lives().has_room(JobId{1}, JobRoom::supervisor));
  JobSpec faulty = good_spec();
  faulty.inputs.clear();
  scene.ask(SubmitJob{faulty}, 6);
  CHECK(scene.refused(ErrorCode::usage, 6));
}

TEST_CASE("a pause takes permission away at once, and is shown when it is durable") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  scene.ask(PauseJob{JobId{7}});
  CHECK(scene.order() == kinds<Pause, Hold, Append>());
  CHECK(scene.appended().reason == JobReason::user);
  scene.durable();
  CHECK(scene.order() == kinds<Show>());
  scene.ask(ReopenJob{JobId{7}, {}, {}});
  CHECK(scene.appended().state == JobState::running);
  scene.durable();
  CHECK(scene.order() == kinds<Resume, Show>());
  CHECK_FALSE(scene.wanted<Resume>()[0].probing);
}

TEST_CASE("a job that is cancelled is merged of what there is, and ends as cancelled") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  scene.ask(CancelJob{JobId{7}});
  CHECK(scene.order() == kinds<Append>());
  scene.durable();
  CHECK(scene.order() == kinds<Cancel, Hold, Show>());
  scene.report({.job = JobId{7}, .counts = {}, .all_terminal = true, .stop = {}});
  CHECK(scene.order() == kinds<Append, Merge>());
  CHECK(scene.wanted<Merge>()[0].cancelled);
  CHECK(scene.wanted<Merge>()[0].ended_at == 5'000);
  scene.last = scene.desk.merged({JobId{7}, ""}, scene.moment);
  CHECK(scene.order() == kinds<CloseRoom, Append>());
  CHECK(scene.appended().state == JobState::cancelled);
  scene.durable();
  CHECK(scene.order() == kinds<Close, CloseRoom, CloseRoom>());
  CHECK_FALSE(scene.job().open);
  scene.ask(CancelJob{JobId{7}}); // it is so already
  CHECK(scene.order() == kinds<Append>());
  CHECK(scene.wanted<Append>()[0].part.empty());
}

TEST_CASE("a merge that was cut short goes on as what it was") {
  const auto [reason, effects] = GENERATE(table<JobReason, std::vector<std::size_t>>(
      {{JobReason::none, kinds<Open>()}, {JobReason::user, kinds<Open, Cancel, Pause, Hold>()}}));
  Scene scene{JobState::merging, reason};
  scene.start();
  CHECK(scene.order() == effects);
  scene.report({.job = JobId{7}, .counts = {}, .all_terminal = true, .stop = {}});
  CHECK(scene.wanted<Merge>().at(0).cancelled == (reason == JobReason::user));
}

TEST_CASE("a merge that finds the disk full waits and says so, one that fails ends its job") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  scene.report({.job = JobId{7}, .counts = {}, .all_terminal = true, .stop = {}});
  scene.last = scene.desk.merged({JobId{7}, "the disk is full", true}, scene.moment);
  CHECK(scene.last.list.empty());
  CHECK(scene.desk.lives().full_disk(JobId{7}) == "the disk is full");
  CHECK(scene.desk.lives().full_disk().empty());
  scene.last = scene.desk.merged({JobId{7}, "no such directory"}, scene.moment);
  CHECK(scene.appended().state == JobState::failed);
  CHECK(scene.desk.lives().full_disk(JobId{7}).empty());
  scene.durable();
  CHECK(scene.wanted<Close>().at(0).failed);
}

TEST_CASE("a job whose room crashes fails, and a job that is gone is not missed") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  const JobId id = GENERATE(JobId{7}, JobId{8});
  scene.last = scene.desk.room_crashed(id, JobRoom::supervisor, "a word", scene.moment);
  if (id == JobId{8}) {
    CHECK(scene.last.list.empty());
    return;
  }
  CHECK(scene.appended().state == JobState::failed);
  CHECK(scene.appended().reason == JobReason::internal);
  scene.durable();
  CHECK(scene.order() == kinds<Close>()); // no room is left to be closed
}

TEST_CASE("what begins with a job that is over, or forgets it, waits until its rooms are gone") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  scene.finish();
  scene.ask(ForgetJob{JobId{7}}, 2);
  CHECK(scene.last.list.empty());
  scene.ask(ReopenJob{JobId{7}, {}, std::vector<OutcomeClass>{}}, 3);
  CHECK(scene.last.list.empty());
  scene.rooms_go();
  CHECK(scene.order() == kinds<Append, Refuse>()); // the first one has it
  CHECK(scene.wanted<Append>()[0].part.forgotten == std::vector{JobId{7}});
  CHECK(scene.wanted<Refuse>()[0].token == 3);
  scene.durable();
  CHECK(scene.order() == kinds<ShowForgotten>());
  scene.ask(CancelJob{JobId{7}});
  CHECK(scene.refused(ErrorCode::not_found));
  scene.ask(SubmitJob{good_spec()});
  CHECK(scene.appended().job == JobId{8}); // its number stays taken
}

TEST_CASE("a job that is over is read before it runs again, and the read comes behind all else") {
  Scene scene{JobState::failed, JobReason::input};
  scene.start();
  CHECK(scene.last.list.empty());
  ReopenJob again{JobId{7}, {}, {}};
  scene.ask(again);
  REQUIRE(scene.order() == kinds<Append>());
  CHECK(scene.wanted<Append>()[0].part.empty());
  CHECK(std::holds_alternative<ReadJob>(*scene.wanted<Append>()[0].then));
  scene.ask(again, 2);
  CHECK(scene.refused(ErrorCode::conflict, 2));
  journal::RecoveredJob content = Scene::held(JobState::failed);
  content.counts.completed = 30;
  content.money_assumed = nano_usd(9);
  scene.last = scene.desk.read({JobId{7}, std::move(content)}, scene.moment);
  CHECK(scene.appended().state == JobState::running);
  CHECK(scene.job().counts.completed == 30);
  Effects first = scene.last;
  scene.ask(again, 3); // not durable yet
  CHECK(scene.refused(ErrorCode::conflict, 3));
  scene.last = std::move(first);
  scene.durable();
  CHECK(scene.order() == kinds<Open, Show>());
  CHECK(scene.wanted<Open>()[0].kept.content.counts.completed == 30);
  CHECK(scene.wanted<Open>()[0].kept.money.charged == nano_usd(9));
  CHECK_FALSE(scene.wanted<Open>()[0].kept.may_have_called);
}

TEST_CASE("whoever asks for what a job's state does not allow is told what was expected") {
  Scene running{JobState::running, JobReason::none};
  running.start();
  const JobId nobody = GENERATE(JobId{0}, JobId{6});
  for (const Question& question : {Question{CancelJob{nobody}}, Question{MergeAgain{nobody}}}) {
    running.ask(question);
    CHECK(running.refused(ErrorCode::not_found));
  }
  Scene over{JobState::finished, JobReason::none};
  over.start();
  running.ask(ForgetJob{JobId{7}});
  CHECK(running.refused(ErrorCode::conflict));
  CHECK(running.wanted<Refuse>()[0].error.message ==
        "expected a job that is over, job-7 is running; cancel it first");
  running.ask(ReopenJob{JobId{7}, {}, {}});
  CHECK(running.refused(ErrorCode::conflict));
  running.ask(MergeAgain{JobId{7}});
  CHECK(running.refused(ErrorCode::conflict));
  over.ask(PauseJob{JobId{7}});
  CHECK(over.refused(ErrorCode::conflict));
  running.ask(PauseJob{JobId{7}});
  running.durable();
  running.ask(ReopenJob{JobId{7}, {}, std::vector<OutcomeClass>{}});
  CHECK(running.refused(ErrorCode::conflict)); // it is not over: resume it
}

TEST_CASE("a job whose endpoints have no credit or are away goes on by itself, to see") {
  const auto [reason, wait] = GENERATE(
      table<JobReason, std::chrono::seconds>({{JobReason::quota, 5s}, {JobReason::endpoint, 60s}}));
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  scene.stop(JobState::paused, reason);
  CHECK(scene.order() == kinds<Pause, Hold, Append>());
  CHECK_THAT(scene.appended().detail, Catch::StartsWith("why; it is asked again by itself"));
  scene.pass(wait - 1s);
  scene.last = scene.desk.tick(scene.moment);
  CHECK(scene.last.list.empty());
  scene.pass(1s);
  scene.last = scene.desk.tick(scene.moment);
  CHECK(scene.appended().state == JobState::running);
  scene.durable();
  REQUIRE(scene.order() == kinds<Resume>());
  CHECK(scene.wanted<Resume>()[0].probing == (reason == JobReason::endpoint));
}

TEST_CASE("a job that failures or a user have paused does not go on by itself, nor does a run's") {
  const auto [reason, flat] = GENERATE(table<JobReason, bool>(
      {{JobReason::failures, false}, {JobReason::user, false}, {JobReason::quota, true}}));
  DeskOptions options;
  options.flat = flat;
  Scene scene{JobState::running, JobReason::none, options};
  scene.start();
  if (flat) {
    scene.ask(ReopenJob{JobId{7}, {}, {}});
    scene.durable();
  }
  if (reason == JobReason::user)
    scene.ask(PauseJob{JobId{7}});
  else
    scene.stop(JobState::paused, reason);
  CHECK(scene.job().state == JobState::paused);
  scene.pass(24h);
  scene.last = scene.desk.tick(scene.moment);
  CHECK(scene.last.list.empty());
}

TEST_CASE("a budget that is spent pauses the job, but not once it has a larger one") {
  Scene scene;
  JobSpec spec = good_spec();
  spec.limits.budget = nano_usd(1'000);
  journal::RecoveredJob job = Scene::held(JobState::running);
  job.spec = to_json(spec);
  scene.desk.recovered(std::move(job), scene.moment.now);
  scene.start();
  CHECK(scene.wanted<Open>().at(0).kept.money.cap == nano_usd(1'000));
  BudgetStop stop;
  stop.job = JobId{7};
  stop.cap = nano_usd(500);
  scene.last = scene.desk.budget_spent(stop, scene.moment);
  CHECK(scene.last.list.empty());
  stop.cap = nano_usd(1'000);
  scene.last = scene.desk.budget_spent(stop, scene.moment);
  CHECK(scene.order() == kinds<Pause, Hold, Append>());
  CHECK(scene.appended().reason == JobReason::budget);
}

TEST_CASE("what a job may cost beyond what is recorded is journalled first of all") {
  DeskOptions options;
  options.crashed = true;
  Scene scene{options};
  journal::RecoveredJob job = Scene::held(JobState::running);
  job.counts.cost = nano_usd(30);
  job.money_watermark = nano_usd(90);
  scene.desk.recovered(std::move(job), scene.moment.now);
  scene.start();
  REQUIRE(scene.order() == kinds<Append, Open>());
  REQUIRE(scene.wanted<Append>()[0].part.money.size() == 1);
  CHECK(scene.wanted<Append>()[0].part.money[0].assumed == nano_usd(60));
  CHECK(scene.wanted<Open>()[0].kept.money.charged == nano_usd(90));
  CHECK(scene.wanted<Open>()[0].kept.may_have_called);
}

TEST_CASE("a job that many coordinators ended with is on probation until something is recorded") {
  const auto [crashes, same_item, careful, paused] =
      GENERATE(table<std::uint32_t, std::uint32_t, bool, bool>({{2, 2, false, false},
                                                                {3, 0, true, false},
                                                                {29, 2, true, false},
                                                                {3, 3, false, true},
                                                                {30, 0, false, true}}));
  CAPTURE(crashes, same_item);
  Scene scene;
  journal::RecoveredJob job = Scene::held(JobState::running);
  job.crashes = crashes;
  job.probation_ends = same_item;
  job.counts.completed = 4;
  scene.desk.recovered(std::move(job), scene.moment.now);
  scene.start();
  CHECK(scene.wanted<Open>().at(0).limits.max_in_flight == (careful ? 1 : 0));
  CHECK(scene.wanted<Pause>().size() == (paused ? 1 : 0));
  if (paused) CHECK(scene.appended().reason == JobReason::crashes);
  CHECK(scene.desk.lives().on_probation().empty() == !careful);
  if (!careful) return;
  scene.last = scene.desk.items_out({{JobId{7}, 12}});
  REQUIRE(scene.order() == kinds<Append>());
  CHECK(scene.wanted<Append>()[0].part.probation.at(0).item == 12);
  scene.last = scene.desk.items_out({{JobId{7}, 12}});
  CHECK(scene.last.list.empty());
  JobReport report{.job = JobId{7}, .counts = {}, .stop = {}};
  report.counts.completed = 4;
  scene.report(report);
  CHECK(scene.last.list.empty());
  report.counts.completed = 5;
  scene.report(report);
  REQUIRE(scene.order() == kinds<Limit>());
  CHECK(scene.wanted<Limit>()[0].limits.max_in_flight == 0);
  CHECK(scene.desk.lives().on_probation().empty());
  CHECK(scene.job().detail.empty());
}

TEST_CASE("that a job waits for its endpoints is journalled once, and that it is over") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  JobReport report{.job = JobId{7}, .counts = {}, .stop = {}};
  report.unanswered_since = scene.moment.now;
  scene.pass(4s);
  scene.report(report);
  CHECK(scene.last.list.empty()); // it may soon be forgotten
  scene.pass(1s);
  scene.report(report);
  CHECK(scene.appended().reason == JobReason::endpoint);
  CHECK(scene.appended().at == 5'000);
  CHECK(scene.appended().state == JobState::running);
  scene.pass(60s);
  scene.report(report);
  CHECK(scene.last.list.empty());
  report.unanswered_since.reset();
  scene.report(report);
  CHECK(scene.appended().reason == JobReason::none);
  CHECK(scene.job().waits_since == 0);
}

TEST_CASE("a job with a deadline is hurried on while it runs") {
  Scene scene;
  JobSpec spec = good_spec();
  spec.share.deadline = 5'090;
  journal::RecoveredJob job = Scene::held(JobState::running);
  job.spec = to_json(spec);
  scene.desk.recovered(std::move(job), scene.moment.now);
  scene.start();
  scene.report({.job = JobId{7}, .counts = {}, .stop = {}, .items_left = 40});
  scene.last = scene.desk.tick(scene.moment);
  REQUIRE(scene.order() == kinds<Hurry>());
  CHECK(scene.wanted<Hurry>()[0].items_left == Approx(40));
  CHECK(scene.wanted<Hurry>()[0].seconds_left == Approx(90));
  scene.ask(PauseJob{JobId{7}});
  scene.last = scene.desk.tick(scene.moment);
  CHECK(scene.last.list.empty());
}

TEST_CASE("a number that was given to a call is not given again when the job's rooms are new") {
  Scene scene{JobState::running, JobReason::none};
  scene.start();
  scene.desk.offered(JobId{7}, CallId{41});
  scene.desk.offered(JobId{7}, CallId{17});
  CHECK(scene.job().next_call == 42);
  scene.desk.offered(JobId{8}, CallId{1}); // it is gone
}

} // namespace gristmill::job_desk_test
