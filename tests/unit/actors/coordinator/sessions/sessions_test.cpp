// Who comes in, who is silent or does nothing, and what becomes of a session's calls: only frames,
// calls and times.
#include "actors/coordinator/sessions/sessions.hpp"
#include "actors/kit/defaults.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/codec.hpp"

#include <catch2/catch.hpp>

namespace sessions_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::protocol;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
constexpr Epoch epoch{3};
constexpr JobId job{7};

Hello hello_of(std::uint64_t process, std::uint32_t number = 1) {
  Hello hello;
  hello.name = "worker-" + std::to_string(process);
  hello.process = Nonce{process};
  hello.number = number;
  hello.capacity = {4, 64u << 20};
  return hello;
}

struct Stage {
  Sessions sessions;
  Time now = start;

  explicit Stage(SessionOptions options = {.epoch = epoch}) : sessions{std::move(options), start} {
    sessions.job_opened(job, 0, 60s);
  }
  ~Stage() { CHECK(sessions.invariant()); }

  Admission admit(const Hello& hello, const std::string& peer = "") {
    return sessions.admit({peer.empty() ? hello.name : peer, "user", ""}, hello, now);
  }
  Session& join(std::uint64_t process = 1) {
    Session* session = admit(hello_of(process)).session;
    REQUIRE(session != nullptr);
    session->durable(now);
    return *session;
  }
  void hold(Session& session, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t n = first; n <= last; ++n)
      session.feed(CallId{n}, {.job = job, .parts = {{job, n, 0}}, .bytes = 10}, now);
  }
  void permit(const Session& session, std::uint64_t n) {
    REQUIRE(sessions.permit(session.id, {CallId{n}, AttemptId::of(epoch, 1, n), EndpointId{1}, 250},
                            {}, now) != nullptr);
  }
  SessionNews tick(Duration later) {
    now += later;
    return with_frames(sessions.tick(now));
  }
  SessionNews with_frames(SessionNews news) {
    for (OutgoingFrame& frame : sessions.leave()) news.frames.push_back(std::move(frame));
    return news;
  }
};

// The only message of the frames, which is of this kind.
template <class M> M only(const SessionNews& news) {
  REQUIRE(news.frames.size() == 1);
  const auto frame = decode(news.frames[0].bytes, Direction::from_coordinator);
  REQUIRE(frame);
  REQUIRE(std::holds_alternative<M>(frame->messages[0]));
  return std::get<M>(frame->messages[0]);
}

std::vector<std::uint64_t> calls_of(const SessionNews& news) {
  std::vector<std::uint64_t> calls;
  for (const GivenUp& given_up : news.given_up) calls.push_back(given_up.lost.call.value);
  return calls;
}

std::vector<std::string_view> events_of(const SessionNews& news) {
  std::vector<std::string_view> names;
  for (const Event& event : news.events) names.push_back(event.name);
  return names;
}

using Calls = std::vector<std::uint64_t>;
using Names = std::vector<std::string_view>;

} // namespace

TEST_CASE("a Hello of another version or cluster, or with too many endpoints, is refused") {
  Stage stage{{.epoch = epoch, .cluster = "ours"}};
  Hello hello = hello_of(1);
  hello.cluster = "ours";
  auto code = RefusedCode::full;
  SECTION("version") {
    hello.version_low = version_max + 1;
    code = RefusedCode::version;
  }
  SECTION("cluster") {
    hello.cluster = "theirs";
    code = RefusedCode::cluster;
  }
  SECTION("endpoints") {
    hello.endpoints.resize(limits::hello_endpoints_max + 1);
  }
  const Admission admission = stage.admit(hello);
  CHECK(admission.session == nullptr);
  CHECK(only<Refused>(admission.news).code == code);
  CHECK(stage.sessions.size() == 0);
}

TEST_CASE("a frame is heard from a session in its order, and else answered or dropped") {
  Stage stage;
  const auto hear = [&](SessionId session, std::uint64_t seq, Message message) {
    Frame frame;
    frame.epoch = epoch;
    frame.session = session;
    frame.seq = seq;
    frame.messages.push_back(std::move(message));
    return stage.sessions.hear({"worker-1", "user", encode(frame)}, stage.now);
  };
  const Need need{Nonce{1}, {CallId{1}}};
  CHECK(only<Refused>(hear(SessionId{9}, 1, need).news).code == RefusedCode::no_session);
  const HeardFrame greeting = hear({}, 0, hello_of(1));
  REQUIRE(greeting.frame);
  CHECK(greeting.session == nullptr);
  const SessionId id = stage.join().id;
  CHECK(only<Refused>(hear(id, 2, need).news).code == RefusedCode::resync);
  const HeardFrame heard = hear(id, 1, need);
  REQUIRE(heard.frame);
  CHECK(heard.session->id == id);
  CHECK_FALSE(hear(id, 1, need).frame);
  CHECK(events_of(stage.sessions.hear({"worker-1", "user", "?"}, stage.now).news) ==
        Names{"frame.bad"});
}

TEST_CASE("the same process takes over what both know, and gives up what it has lost") {
  Stage stage;
  Session& before = stage.join();
  const SessionId old = before.id;
  stage.hold(before, 1, 4);
  stage.permit(before, 1);
  stage.permit(before, 2);
  Hello hello = hello_of(1, 2);
  hello.in_flight = {{CallId{1}, AttemptId::of(epoch, 1, 1), {{job, 1, 0}}, EndpointId{1}}};
  hello.held = {CallId{2}, CallId{3}};
  const Admission again = stage.admit(hello);
  REQUIRE(again.session != nullptr);
  CHECK(again.session->calls.in_flight() == 1);
  CHECK(again.session->calls.held() == 2);
  CHECK(again.claims.empty()); // we knew that
  CHECK(again.news.unused == std::vector<AttemptId>{AttemptId::of(epoch, 1, 2)});
  CHECK(calls_of(again.news) == Calls{4});
  REQUIRE(again.news.notes.size() == 2);
  CHECK(again.news.notes[0].session == old);
  CHECK_FALSE(again.news.notes[0].open);
  CHECK(again.news.notes[1].open);
  CHECK(events_of(stage.admit(hello_of(1, 1)).news) == Names{"worker.hello_overtaken"});
}

TEST_CASE("a process that begins empty-handed under the name of one that is gone replaces it") {
  Stage stage;
  Session& before = stage.join(1);
  stage.hold(before, 1, 2);
  stage.permit(before, 1);
  stage.now += 5s;
  before.heard(0, stage.now);
  stage.sessions.connection_closed("worker-1", stage.now);
  Hello hello = hello_of(2);
  hello.name = "worker-1";
  const Admission admission = stage.admit(hello, "another");
  CHECK(events_of(admission.news) == Names{"worker.lost", "worker.hello"});
  REQUIRE(calls_of(admission.news) == Calls{1, 2});
  const LostCall& permitted = admission.news.given_up[0].lost;
  CHECK(permitted.permitted);
  CHECK(permitted.died);
  CHECK(permitted.alone);
  CHECK_FALSE(admission.news.given_up[1].lost.permitted);
  CHECK(stage.sessions.size() == 1);
}

TEST_CASE("a silent session is poked, suspected and lost, without a death") {
  Stage stage;
  Session& session = stage.join();
  stage.hold(session, 1, 1);
  stage.permit(session, 1);
  session.endpoints = {EndpointId{9}};
  CHECK(only<Recorded>(stage.tick(4s)).attempts.empty());
  CHECK(events_of(stage.tick(6s)) == Names{"worker.suspect"});
  CHECK_FALSE(session.may_be_fed());
  const SessionNews lost = stage.tick(30s);
  CHECK(events_of(lost) == Names{"worker.lost"});
  REQUIRE(calls_of(lost) == Calls{1});
  CHECK_FALSE(lost.given_up[0].lost.died);
  CHECK(lost.endpoints_gone == std::vector<EndpointId>{EndpointId{9}});
  CHECK(stage.sessions.in_flight(job) == 0);
  CHECK(stage.sessions.size() == 0);
}

TEST_CASE("a worker that does not end its calls loses them, and rests") {
  Stage stage;
  Session& session = stage.join();
  stage.hold(session, 1, 3);
  stage.permit(session, 2);
  stage.now += 59s;
  session.heard(0, stage.now);
  session.progressed(Trial::until_it_asks, stage.now);
  CHECK(stage.tick(0s).given_up.empty());
  const SessionNews overdue = stage.tick(1s);
  CHECK(events_of(overdue) == Names{"worker.overdue"});
  CHECK(calls_of(overdue) == Calls{2, 1, 3});
  CHECK(only<Cancel>(overdue).calls.size() == 3);
  CHECK(session.calls.overdue() == 1);
  CHECK(session.rests(stage.now));
  CHECK(session.is_in_doubt());
  CHECK(stage.sessions.in_flight(job) == 0);
}

TEST_CASE("a worker that asks for nothing loses what it holds") {
  Stage stage;
  Session& session = stage.join();
  stage.hold(session, 1, 2);
  stage.now += defaults::held_idle;
  session.heard(0, stage.now);
  const SessionNews idle = stage.tick(0s);
  CHECK(events_of(idle) == Names{"worker.idle"});
  CHECK(calls_of(idle) == Calls{1, 2});
  CHECK(session.on_trial());
}

TEST_CASE("a worker that is relieved gives back what it holds, and may have one call at once") {
  Stage stage;
  Session& session = stage.join();
  stage.hold(session, 1, 2);
  stage.permit(session, 1);
  const SessionNews news = stage.sessions.relieve(
      session.id, {.kind = WaitKind::breaker, .endpoint = "http://a"}, stage.now);
  CHECK(calls_of(news) == Calls{2});
  CHECK(session.on_trial());
  CHECK_FALSE(session.is_in_doubt());
  CHECK_FALSE(session.rests(stage.now));
}

TEST_CASE("three strikes end a session, and its process is not heard for a while") {
  Stage stage;
  const SessionId id = stage.join().id;
  for (int n = 1; n < defaults::strikes_max; ++n)
    CHECK(events_of(stage.sessions.strike(id, "it lied", stage.now)) == Names{"worker.forged"});
  const SessionNews out = stage.sessions.strike(id, "it lied", stage.now);
  CHECK(events_of(out) == Names{"worker.forged", "worker.lost"});
  CHECK_THAT(only<Refused>(out).sentence, Catch::Contains("it lied"));
  CHECK(stage.admit(hello_of(1, 2)).session == nullptr);
  stage.now += defaults::strike_window;
  CHECK(stage.admit(hello_of(1, 3)).session != nullptr);
}

TEST_CASE("a permit goes to a call that waits for one, while somebody is there to use it") {
  Stage stage;
  Session& session = stage.join();
  stage.hold(session, 1, 2);
  stage.permit(session, 1);
  const auto gets = [&](SessionId id, std::uint64_t call) {
    return stage.sessions.permit(id, {CallId{call}, AttemptId{5}, EndpointId{1}, 250}, {},
                                 stage.now) != nullptr;
  };
  CHECK_FALSE(gets(session.id, 1)); // it has one
  CHECK_FALSE(gets(session.id, 3));
  CHECK_FALSE(gets(SessionId{99}, 2));
  stage.sessions.connection_closed("worker-1", stage.now);
  CHECK_FALSE(gets(session.id, 2));
  CHECK(stage.sessions.with(CallId{1}) == &session);
  CHECK(stage.sessions.with(CallId{3}) == nullptr);
  CHECK(stage.sessions.first_out(job) == 1);
}

TEST_CASE("calls leave their sessions when their job is held or closed, or nobody wants them") {
  Stage stage;
  Session &first = stage.join(1), &second = stage.join(2);
  stage.hold(first, 1, 2);
  stage.hold(second, 3, 4);
  stage.permit(first, 1);
  stage.permit(second, 3);
  SECTION("held: what has no permit goes back") {
    const SessionNews news = stage.with_frames(stage.sessions.job_held(job, stage.now));
    CHECK(calls_of(news) == Calls{2, 4});
    CHECK(news.frames.size() == 2);
    CHECK(stage.sessions.in_flight(job) == 2);
  }
  SECTION("closed: what is in flight counts as made, and the workers forget the job") {
    first.jobs.open(job, 100);
    const SessionNews news = stage.with_frames(stage.sessions.job_closed(job, stage.now));
    CHECK(calls_of(news) == Calls{1, 3});
    CHECK(news.given_up[0].lost.permitted);
    REQUIRE(news.frames.size() == 2);
    // A Cancel, and a word of the job to whom it was opened.
    CHECK(decode(news.frames[0].bytes, Direction::from_coordinator)->messages.size() == 2);
    CHECK(decode(news.frames[1].bytes, Direction::from_coordinator)->messages.size() == 1);
    CHECK(first.calls.size() == 0);
    CHECK(first.take_dropped(AttemptId::of(epoch, 1, 1)));
    CHECK_FALSE(first.jobs.has_met(job));
  }
  SECTION("withdrawn: one in flight ends by its worker's word") {
    const SessionNews news =
        stage.with_frames(stage.sessions.withdraw({CallId{1}, CallId{4}, CallId{9}}, stage.now));
    CHECK(news.given_up.empty());
    CHECK(news.frames.size() == 2);
    CHECK(first.calls.find(CallId{1})->withdrawn);
    CHECK(second.calls.find(CallId{4}) == nullptr);
  }
  SECTION("failed: their workers say anew what they keep") {
    CHECK(stage.sessions.job_failed(job).frames.size() == 2);
    CHECK(stage.sessions.job_failed(JobId{8}).frames.empty());
  }
}

TEST_CASE("workers are drained by name or number, and told once") {
  Stage stage;
  Session &first = stage.join(1), &second = stage.join(2);
  const auto drained = stage.sessions.drain("worker-1", stage.now);
  REQUIRE(drained.workers.size() == 1);
  CHECK(drained.workers[0].state == "draining");
  only<Drain>(stage.with_frames(drained.news));
  stage.sessions.drain("worker-1", stage.now);
  CHECK(stage.sessions.leave().empty());
  CHECK(stage.sessions.drain(to_string(second.id), stage.now).workers.size() == 1);
  CHECK(stage.sessions.drain("nobody", stage.now).workers.empty());
  CHECK_FALSE(first.may_be_fed());
}

TEST_CASE(
    "who comes back with calls of an earlier life is believed as far as they may be its own") {
  Stage stage{{.epoch = epoch, .expected = {{SessionId{11}, "worker-1", Nonce{1}, true, 5}}}};
  stage.sessions.job_opened(job, 10, 60s);
  Hello hello = hello_of(1);
  const auto claim = [](std::uint64_t n) {
    return Claim{CallId{n}, AttemptId::of(Epoch{2}, 1, n), {{job, n, 0}}, EndpointId{1}};
  };
  hello.in_flight = {claim(1), claim(20)};
  hello.outbox = {claim(2)};
  const Admission admission = stage.admit(hello);
  REQUIRE(admission.session != nullptr);
  CHECK(admission.claims == std::vector<Claim>{claim(1)});
  CHECK(admission.kept == std::vector<Claim>{claim(2)});
  CHECK(events_of(admission.news) == Names{"worker.unproven", "worker.hello"});
  CHECK(admission.session->welcome.drop_attempts == std::vector<AttemptId>{claim(20).attempt});
  CHECK(stage.sessions.in_flight(job) == 2);
  const auto over = stage.sessions.end_grace(stage.now);
  REQUIRE(over);
  CHECK(over->all_told);
}

} // namespace sessions_test
