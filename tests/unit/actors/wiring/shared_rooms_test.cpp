// The wiring around the thinking: what a room releases and when, and that a busy room keeps time.
#include "actors/wiring/coordinator_room.hpp"
#include "actors/wiring/rooms.hpp"

#include <catch2/catch.hpp>

namespace shared_rooms_test {

using namespace gristmill;
using namespace gristmill::wiring;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

Post tell(Room& room, Message message, Time now = start) {
  Post post;
  room.handle(std::move(message), {now, 1'000}, post);
  return post;
}

template <class M> std::vector<M> of_kind(const Post& post) {
  std::vector<M> messages;
  for (const Envelope& envelope : post.envelopes)
    if (const auto* message = std::get_if<M>(&envelope.message)) messages.push_back(*message);
  return messages;
}

AppendNow append_with(std::uint64_t session) {
  AppendNow append;
  append.part.sessions.push_back({SessionId{session}, "w", Nonce{session}, true});
  append.release.push_back({to_coordinator, SessionDurable{SessionId{session}}});
  return append;
}

std::vector<std::uint64_t> released(const Post& post) {
  std::vector<std::uint64_t> sessions;
  for (const auto& durable : of_kind<SessionDurable>(post))
    sessions.push_back(durable.session.value);
  return sessions;
}

Message question(std::uint64_t token, std::uint32_t job = 0) {
  if (job == 0) return Ask{token, ListWorkers{}};
  return Ask{token, ShowJob{JobId{job}}};
}

} // namespace

TEST_CASE(
    "the journal releases what waited when its group is durable, in the order of the appends") {
  JournalRoom room{0, outcomes_gather};
  Post post = tell(room, append_with(1));
  CHECK(of_kind<journal::Group>(post).size() == 1);
  CHECK(released(post).empty());
  for (std::uint64_t session = 2; session <= 4; ++session)
    CHECK(tell(room, append_with(session)).envelopes.empty());
  post = tell(room, StoreDurable{1});
  CHECK(released(post) == std::vector<std::uint64_t>{1});
  REQUIRE(of_kind<journal::Group>(post).size() == 1);
  CHECK(of_kind<journal::Group>(post)[0].upto == 4);
  post = tell(room, StoreDurable{4});
  CHECK(released(post) == std::vector<std::uint64_t>{2, 3, 4});
  CHECK(of_kind<journal::Group>(post).empty());
}

TEST_CASE("when the store fails nothing is released and the node cannot go on") {
  JournalRoom room{0, outcomes_gather};
  tell(room, append_with(1));
  const Post post = tell(room, StoreFailed{{ErrorCode::io, "the disk is broken"}, {}});
  REQUIRE(post.fatal);
  CHECK(post.fatal->code == ErrorCode::io);
  CHECK(post.envelopes.empty());
}

TEST_CASE("a group that a full disk refuses is offered again each second until it is taken") {
  const ErrorCode why = GENERATE(ErrorCode::disk_full, ErrorCode::unavailable); // no descriptor
  JournalRoom room{0, outcomes_gather};
  Post post = tell(room, append_with(1));
  const journal::Group group = of_kind<journal::Group>(post).at(0);
  Time now = start;
  for (int times = 1; times <= 3; ++times) {
    post = tell(room, StoreFailed{{why, "no space"}, group}, now);
    CHECK_FALSE(post.fatal);
    CHECK(of_kind<DiskFull>(post).size() == (times == 1 ? 1 : 0)); // said once
    CHECK(of_kind<journal::Group>(post).empty());
    CHECK(post.wake_at == now + 1s);
    post = tell(room, append_with(10 + static_cast<std::uint64_t>(times)), now + 1s - 1ns);
    CHECK(post.envelopes.empty());
    now += 1s;
    post = tell(room, Tick{}, now);
    REQUIRE(of_kind<journal::Group>(post).size() == 1);
    CHECK(of_kind<journal::Group>(post)[0].upto == group.upto);
    CHECK(of_kind<journal::Group>(post)[0].sessions.size() == 1);
  }
  post = tell(room, StoreDurable{group.upto}, now);
  CHECK(released(post) == std::vector<std::uint64_t>{1});
  REQUIRE(of_kind<DiskFull>(post).size() == 1);
  CHECK(of_kind<DiskFull>(post)[0].sentence.empty());
  CHECK(of_kind<journal::Group>(post).size() == 1); // what has gathered meanwhile
}

TEST_CASE("the limiter answers at once and has its blocks written before it permits anything") {
  LimiterRoom room{{}, start};
  LimiterNews news;
  EndpointSpec endpoint;
  endpoint.url = "http://a";
  news.endpoints_added.push_back({EndpointId{1}, "m", endpoint, {}});
  news.jobs_opened.push_back({JobId{7}, {}, {}});
  CHECK(tell(room, news).envelopes.empty());
  LimiterNews asks;
  asks.acquires.push_back({SessionId{1}, Nonce{1}, {{CallId{1}, JobId{7}, 0, 1}}});
  const Post post = tell(room, asks);
  REQUIRE(of_kind<Granted>(post).size() == 1);
  CHECK(of_kind<Granted>(post)[0].permits.empty());
  REQUIRE(of_kind<AppendNow>(post).size() == 1);
  const AppendNow append = of_kind<AppendNow>(post)[0];
  // The endpoint's block and the job's mark, at once; without limits the job needs no block.
  CHECK(append.part.blocks.size() == 1);
  REQUIRE(append.part.marks.size() == 1);
  CHECK(append.part.marks[0].job == JobId{7});
  REQUIRE(append.release.size() == 1);
  CHECK(append.release[0].to == to_limiter);
  tell(room, append.release[0].message);
  CHECK(of_kind<Granted>(tell(room, asks))[0].permits.size() == 1);
}

TEST_CASE("a life ends before its attempt ids repeat, and permits nothing in between") {
  journal::Recovered recovered;
  recovered.epoch = Epoch{9};
  const std::uint64_t left = GENERATE(0, 1, 2);
  LimiterRoom room{recovered, start, {}, defaults::day_window, AttemptId::block_max + 1 - left};
  LimiterNews news;
  EndpointSpec endpoint;
  endpoint.url = "http://a";
  news.endpoints_added.push_back({EndpointId{1}, "m", endpoint, {}});
  news.jobs_opened.push_back({JobId{7}, {}, {}});
  std::uint64_t permits = 0;
  std::optional<Error> fatal = tell(room, news).fatal;
  for (int minute = 0; minute < 5 && !fatal; ++minute) {
    const Time now = start + minute * 1min;
    for (int times = 0; times < 2; ++times) {
      LimiterNews asks;
      asks.acquires.push_back({SessionId{1}, Nonce{1}, {{CallId{1}, JobId{7}, 0, 1}}});
      const Post post = tell(room, asks, now);
      for (const Granted& granted : of_kind<Granted>(post)) permits += granted.permits.size();
      for (const AppendNow& append : of_kind<AppendNow>(post))
        for (const Envelope& release : append.release) tell(room, release.message, now);
      if (post.fatal) fatal = post.fatal;
    }
  }
  REQUIRE(fatal);
  CHECK(fatal->code == ErrorCode::used_up);
  CHECK(permits == (left == 0 ? 0 : left));
}

TEST_CASE("a client that asks all the time does not keep the coordinator's tick from happening") {
  journal::Recovered recovered;
  recovered.epoch = Epoch{1};
  recovered.sessions.push_back({SessionId{1}, "w", Nonce{1}, true});
  journal::RecoveredJob job;
  job.job = JobId{7};
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  job.spec = to_json(spec);
  recovered.jobs.push_back(job);
  NodeOptions options;
  CoordinatorRoom room{options, recovered, start};
  tell(room, Start{});
  // The end of the grace after a restart is said by a tick alone.
  Time grace_over = never;
  for (Time now = start; now < start + 10s; now += 10ms) {
    const Post post = tell(room, question(1), now);
    CHECK(of_kind<Answer>(post).size() == 1);
    CHECK(post.wake_at <= now + 500ms);
    for (const auto& news : of_kind<JobNews>(post))
      if (news.grace_over) grace_over = std::min(grace_over, now);
  }
  CHECK(grace_over >= start + 5s);
  CHECK(grace_over < start + 6s);
}

TEST_CASE("a job's change is told to nobody before it is durable") {
  journal::Recovered recovered;
  recovered.epoch = Epoch{1};
  NodeOptions options;
  CoordinatorRoom room{options, recovered, start};
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  spec.shape.models = {"m"};
  spec.endpoints.resize(1);
  spec.endpoints[0].url = "http://a";
  const Post submitted = tell(room, Ask{5, SubmitJob{spec}});
  CHECK(of_kind<Answer>(submitted).empty());
  CHECK(of_kind<OpenJob>(submitted).empty());
  REQUIRE(of_kind<AppendNow>(submitted).size() == 1);
  const AppendNow append = of_kind<AppendNow>(submitted)[0];
  REQUIRE(append.part.jobs.size() == 1);
  REQUIRE(append.release.size() == 1);
  CHECK(append.release[0].to == to_coordinator);
  const Post durable = tell(room, append.release[0].message);
  CHECK(of_kind<OpenJob>(durable).size() == 1);
  REQUIRE(of_kind<Answer>(durable).size() == 1);
  CHECK(of_kind<Answer>(durable)[0].token == 5);
  REQUIRE(of_kind<Answer>(durable)[0].jobs.size() == 1);
  CHECK(of_kind<Answer>(durable)[0].jobs[0].id == JobId{1});
}

TEST_CASE("a question about a job that is not there is answered with what to do") {
  journal::Recovered recovered;
  recovered.epoch = Epoch{1};
  NodeOptions options;
  CoordinatorRoom room{options, recovered, start};
  const auto answers = of_kind<Answer>(tell(room, question(3, 9)));
  REQUIRE(answers.size() == 1);
  REQUIRE(answers[0].error);
  CHECK(answers[0].error->code == ErrorCode::not_found);
}

TEST_CASE(
    "a job whose merging was cut short by a crash ends as what it was: cancelled or finished") {
  const bool cancelled = GENERATE(false, true);
  CAPTURE(cancelled);
  journal::Recovered recovered;
  recovered.epoch = Epoch{2};
  journal::RecoveredJob job;
  job.job = JobId{7};
  job.state = JobState::merging;
  job.reason = cancelled ? JobReason::user : JobReason::none;
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  job.spec = to_json(spec);
  recovered.jobs.push_back(job);
  NodeOptions options;
  CoordinatorRoom room{options, recovered, start};
  tell(room, Start{});
  const auto tasks = of_kind<merger::MergeTask>(tell(room, JobReport{JobId{7}, {}, true, {}}));
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].cancelled == cancelled);
  const auto appends = of_kind<AppendNow>(tell(room, MergeReport{JobId{7}, ""}));
  REQUIRE(appends.size() == 1);
  REQUIRE(appends[0].part.jobs.size() == 1);
  CHECK(appends[0].part.jobs[0].state == (cancelled ? JobState::cancelled : JobState::finished));
}

} // namespace shared_rooms_test
