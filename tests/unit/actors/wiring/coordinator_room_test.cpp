// What COORDINATOR's room answers to clients: every question once, whatever else is under way, and
// lists in pages.
#include "actors/wiring/coordinator_room.hpp"
#include "actors/wiring/rooms.hpp"

#include <catch2/catch.hpp>

namespace coordinator_room_test {

using namespace gristmill;
using namespace gristmill::wiring;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

// A coordinator's room that knows so many jobs, all in one state, with what it said last.
struct Desk {
  std::unique_ptr<CoordinatorRoom> room;
  Post post;

  explicit Desk(std::uint32_t jobs, JobState state = JobState::finished,
                JobReason reason = JobReason::none, const NodeOptions& options = {}) {
    journal::Recovered recovered;
    recovered.epoch = Epoch{1};
    JobSpec spec;
    spec.inputs.push_back({"/in.jsonl", "in.jsonl"});
    for (std::uint32_t id = 1; id <= jobs; ++id) {
      journal::RecoveredJob job;
      job.job = JobId{id};
      job.spec = to_json(spec);
      job.state = state;
      job.reason = reason;
      if (is_over(state)) job.ended_at = 1'000 + id;
      recovered.jobs.push_back(std::move(job));
    }
    room = std::make_unique<CoordinatorRoom>(options, recovered, start);
  }
  void tell(Message message) {
    post = {};
    room->handle(std::move(message), {start, 5'000}, post);
  }
  const Answer* answer_to(std::uint64_t token) const {
    for (const Envelope& envelope : post.envelopes)
      if (const auto* answer = std::get_if<Answer>(&envelope.message);
          answer != nullptr && answer->token == token)
        return answer;
    return nullptr;
  }
  bool refused(std::uint64_t token, ErrorCode code) const {
    const Answer* answer = answer_to(token);
    return answer != nullptr && answer->error && answer->error->code == code;
  }
  bool appends() const {
    return std::any_of(post.envelopes.begin(), post.envelopes.end(), [](const Envelope& envelope) {
      return std::holds_alternative<AppendNow>(envelope.message);
    });
  }
  void retry(std::uint64_t token) {
    ReopenJob again{JobId{7}, {}, {}};
    again.retry.emplace();
    tell(Ask{token, std::move(again)});
  }
  std::vector<std::uint32_t> list(ListJobs page) {
    tell(Ask{9, std::move(page)});
    std::vector<std::uint32_t> ids;
    for (const JobView& job : answer_to(9)->jobs) ids.push_back(job.id.value);
    return ids;
  }
  JobId more() const { return answer_to(9)->more; }
};

} // namespace

TEST_CASE("a job that is being forgotten is not run again, and who asks for it is told so") {
  Desk desk{7};
  desk.tell(Ask{1, ForgetJob{JobId{7}}});
  CHECK(desk.appends());
  desk.retry(2);
  CHECK(desk.refused(2, ErrorCode::conflict));
  CHECK_FALSE(desk.appends());
  desk.tell(Ask{3, ForgetJob{JobId{7}}});
  CHECK(desk.refused(3, ErrorCode::conflict));
  desk.tell(JobForgotten{JobId{7}, 1});
  REQUIRE(desk.answer_to(1) != nullptr);
  CHECK_FALSE(desk.answer_to(1)->error);
  desk.retry(4);
  CHECK(desk.refused(4, ErrorCode::not_found));
}

TEST_CASE("a job that is being read is not forgotten, and who waits for it is answered") {
  Desk desk{7};
  desk.retry(1);
  CHECK(desk.appends());
  desk.tell(Ask{2, ForgetJob{JobId{7}}});
  CHECK(desk.refused(2, ErrorCode::conflict));
  desk.retry(3);
  CHECK(desk.refused(3, ErrorCode::conflict));
  desk.tell(JobRead{JobId{7}, fail(ErrorCode::io, "the disk is gone")});
  CHECK(desk.refused(1, ErrorCode::io));
}

TEST_CASE("whoever waits for a job that is gone is told, however it went") {
  Desk desk{7};
  desk.retry(1);
  desk.tell(JobForgotten{JobId{7}, 2});
  CHECK(desk.answer_to(2) != nullptr);
  desk.tell(JobRead{JobId{7}, journal::RecoveredJob{}});
  CHECK(desk.refused(1, ErrorCode::not_found));
  desk.tell(JobDurable{JobId{7}, JobState::running, 3});
  CHECK(desk.refused(3, ErrorCode::not_found));
}

TEST_CASE("a user's pause is journaled also for a job that would go on by itself") {
  const auto [reason, changes] = GENERATE(table<JobReason, bool>({
      {JobReason::endpoint, true},
      {JobReason::quota, true},
      {JobReason::budget, false},
      {JobReason::user, false},
  }));
  CAPTURE(static_cast<int>(reason));
  Desk desk{1, JobState::paused, reason};
  desk.tell(Ask{1, PauseJob{JobId{1}}});
  CHECK(desk.answer_to(1) == nullptr); // not before it is durable
  const auto append =
      std::find_if(desk.post.envelopes.begin(), desk.post.envelopes.end(),
                   [](const Envelope& e) { return std::holds_alternative<AppendNow>(e.message); });
  REQUIRE(append != desk.post.envelopes.end());
  const auto& part = std::get<AppendNow>(append->message).part;
  REQUIRE(part.jobs.size() == (changes ? 1 : 0));
  if (changes) CHECK(part.jobs.front().reason == JobReason::user);
}

TEST_CASE("what a question finds already so is answered once the disk holds it") {
  const JobState state = GENERATE(JobState::cancelling, JobState::merging, JobState::finished);
  Desk desk{1, state, JobReason::user};
  desk.tell(Ask{1, CancelJob{JobId{1}}});
  CHECK(desk.answer_to(1) == nullptr);
  CHECK(desk.appends());
  desk.tell(JobDurable{JobId{1}, state, 1});
  REQUIRE(desk.answer_to(1) != nullptr);
  CHECK(desk.answer_to(1)->jobs.front().state == state);
}

TEST_CASE("the list of jobs comes in pages, by their ids") {
  Desk desk{7};
  ListJobs page;
  page.limit = 3;
  CHECK(desk.list(page) == std::vector<std::uint32_t>{1, 2, 3});
  CHECK(desk.more() == JobId{3});
  page.after = JobId{3};
  CHECK(desk.list(page) == std::vector<std::uint32_t>{4, 5, 6});
  page.after = JobId{6};
  CHECK(desk.list(page) == std::vector<std::uint32_t>{7});
  CHECK(desk.more() == JobId{});
  page.limit = 7;
  page.after = {};
  CHECK(desk.list(page).size() == 7); // exactly all: nothing more
  CHECK(desk.more() == JobId{});
  page.after = JobId{100};
  CHECK(desk.list(page).empty());
}

TEST_CASE("jobs that were over before are left out, but not those that are wanted") {
  Desk desk{7};
  ListJobs page;
  page.ended_since = 1'006;
  CHECK(desk.list(page) == std::vector<std::uint32_t>{6, 7});
  page.wanted = std::make_shared<std::vector<JobId>>(std::vector{JobId{2}, JobId{6}});
  CHECK(desk.list(page) == std::vector<std::uint32_t>{2, 6, 7});
}

TEST_CASE("a page looks at so many jobs, also if it shows none") {
  constexpr auto many = static_cast<std::uint32_t>(ListJobs::looked_at_max);
  Desk desk{many + 1};
  ListJobs page;
  page.ended_since = 100'000'000;
  CHECK(desk.list(page).empty());
  CHECK(desk.more() == JobId{many});
  page.after = desk.more();
  CHECK(desk.list(page).empty());
  CHECK(desk.more() == JobId{});
}

TEST_CASE("a result that was moved away is merged again, and the job stays as it is") {
  Desk desk{7};
  desk.tell(Ask{1, MergeAgain{JobId{7}}});
  const auto task = std::find_if(
      desk.post.envelopes.begin(), desk.post.envelopes.end(), [](const Envelope& envelope) {
        return std::holds_alternative<merger::MergeTask>(envelope.message);
      });
  REQUIRE(task != desk.post.envelopes.end());
  CHECK(task->to == to_merger(JobId{7}));
  CHECK(std::get<merger::MergeTask>(task->message).now == 1'007);
  CHECK_FALSE(desk.appends()); // nothing of it is news for the journal
  // Whoever asks meanwhile, or wants to forget it, waits until its room is gone.
  desk.tell(Ask{2, ForgetJob{JobId{7}}});
  CHECK(desk.answer_to(2) == nullptr);
  SECTION("it stands") {
    desk.tell(MergeReport{JobId{7}, ""});
    REQUIRE(desk.answer_to(1) != nullptr);
    CHECK(desk.answer_to(1)->jobs.at(0).state == JobState::finished);
    CHECK_FALSE(desk.appends());
    desk.tell(RoomClosed{to_merger(JobId{7})});
    CHECK(desk.appends()); // now it is forgotten
  }
  SECTION("it fails") {
    desk.tell(MergeReport{JobId{7}, "no such directory"});
    CHECK(desk.refused(1, ErrorCode::io));
    CHECK_FALSE(desk.appends());
  }
  SECTION("its room crashes") {
    desk.tell(RoomCrashed{to_merger(JobId{7}), "a word"});
    CHECK(desk.refused(1, ErrorCode::internal));
  }
}

TEST_CASE("whoever is shown a job is told where its result stands") {
  NodeOptions options;
  options.output_path = [](JobId job, const JobSpec&) { return "/results/" + to_string(job); };
  Desk desk{7, JobState::finished, JobReason::none, options};
  desk.tell(Ask{1, ShowJob{JobId{7}}});
  CHECK(desk.answer_to(1)->jobs.at(0).output == "/results/job-7");
  desk.tell(Ask{2, ListJobs{JobId{5}}});
  CHECK(desk.answer_to(2)->jobs.at(0).output == "/results/job-6");
}

TEST_CASE("only a job that is over has a result to be merged again") {
  Desk desk{7};
  desk.retry(1); // it runs again
  desk.tell(Ask{2, MergeAgain{JobId{8}}});
  CHECK(desk.refused(2, ErrorCode::not_found));
}

} // namespace coordinator_room_test
