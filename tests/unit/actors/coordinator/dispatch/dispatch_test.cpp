// How many calls a worker is given and a job is asked for: only sessions, calls and shares.
#include "actors/coordinator/dispatch/dispatch.hpp"
#include "protocol/limits.hpp"

#include <catch2/catch.hpp>

namespace dispatch_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

OfferedCall call_of(std::uint32_t job, std::uint64_t n, std::size_t bytes = 10,
                    std::uint32_t stream = 0) {
  OfferedCall call;
  call.planned.call = CallId{n};
  const PartId part{JobId{job}, n, PartNumber{stream}.value()};
  call.planned.parts = {{part, ItemKind::text, std::string(bytes, 'x')}};
  return call;
}

struct Stage {
  Dispatch dispatch;
  SessionMap sessions;
  std::vector<CallId> batch;

  Session& worker(std::uint64_t id, std::uint32_t calls, std::uint64_t bytes = 64u << 20) {
    auto session = std::make_unique<Session>(Epoch{1});
    protocol::Hello hello;
    hello.capacity = {calls, bytes};
    session->begin(SessionId{id}, "peer", "user", hello, start);
    session->durable(start);
    return *sessions.emplace(SessionId{id}, std::move(session)).first->second;
  }
  std::vector<Wanted> ask() {
    dispatch.count_hands(sessions);
    return dispatch.ask();
  }
  void open(std::uint32_t job, std::uint32_t batch_size = 256, const Share& share = {}) {
    dispatch.job_opened(JobId{job}, share, batch_size, 1, start);
  }
  void open_streams(std::uint32_t job, std::uint32_t streams) {
    dispatch.job_opened(JobId{job}, {}, 256, streams, start);
  }
  void offer_to(const StreamId& id, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t n = first; n <= last; ++n)
      REQUIRE(dispatch.push(call_of(id.job.value, n, 10, id.model)));
  }
  void offer(std::uint32_t job, std::uint64_t first, std::uint64_t last, std::size_t bytes = 10) {
    for (std::uint64_t n = first; n <= last; ++n) REQUIRE(dispatch.push(call_of(job, n, bytes)));
  }
  // The batches that the worker is given, by how many calls they have.
  std::vector<std::size_t> feed(Session& session, const FairQueue::Reaches& reaches = everything) {
    std::vector<std::size_t> batches;
    Portion portion = dispatch.portion_of(session, sessions.size(), start);
    for (; !portion.empty() && !portion.full; portion.next_batch()) {
      std::size_t calls = 0;
      while (auto call = dispatch.next(session, portion, reaches)) {
        session.feed(
            call->planned.call,
            {.job = call->planned.job(), .parts = call->planned.part_ids(), .bytes = call->bytes()},
            start);
        ++calls;
      }
      if (calls == 0) break;
      batches.push_back(calls);
    }
    return batches;
  }
  inline static const FairQueue::Reaches everything = [](const StreamId&, const std::string&) {
    return true;
  };
};

// What each stream of a job is asked for.
std::vector<StreamRoom> rooms_of(const std::vector<Wanted>& wanted, std::uint32_t job) {
  std::vector<StreamRoom> rooms;
  for (const Wanted& one : wanted)
    if (one.job == JobId{job}) rooms.push_back(one.room);
  return rooms;
}

std::uint32_t wanted_of(const std::vector<Wanted>& wanted, std::uint32_t job) {
  for (const Wanted& one : wanted)
    if (one.job == JobId{job}) return one.room.calls;
  return 0;
}

} // namespace

TEST_CASE("a worker is given its capacity and some ahead, in batches of the job's size") {
  Stage stage;
  stage.open(7, 4);
  Session& worker = stage.worker(1, 8);
  stage.offer(7, 1, 100);
  CHECK(stage.feed(worker) == std::vector<std::size_t>{4, 4, 2}); // a quarter ahead
  CHECK(stage.feed(worker).empty());
  CHECK(stage.dispatch.queued(JobId{7}) == 90);
}

TEST_CASE("as the calls run out, less of them goes ahead") {
  Stage stage;
  stage.open(7);
  Session &first = stage.worker(1, 8), &second = stage.worker(2, 8);
  stage.offer(7, 1, 20);
  const std::size_t given = stage.feed(first).at(0);
  CHECK(given == 10);
  stage.feed(second);
  CHECK(second.calls.held() == 10);
  stage.offer(7, 21, 22);
  first.calls.take(CallId{1});
  CHECK(stage.feed(first) == std::vector<std::size_t>{}); // its share ahead is one call now
  CHECK(first.calls.held() == 9);
}

TEST_CASE("a worker gets no more bytes than it holds, but always one call") {
  Stage stage;
  stage.open(7);
  Session& worker = stage.worker(1, 100, 1'000);
  stage.offer(7, 1, 5, 872); // 1,000 bytes each
  CHECK(stage.feed(worker) == std::vector<std::size_t>{1});
  worker.calls.permit(CallId{1}, AttemptId{1}, EndpointId{1});
  CHECK(stage.feed(worker) == std::vector<std::size_t>{1});
}

TEST_CASE("a worker gets no more parts than a Hello can list") {
  const std::uint32_t more = GENERATE(0u, 1u);
  CAPTURE(more);
  Stage stage;
  stage.open(7);
  Session& worker = stage.worker(1, 1'000);
  constexpr std::uint64_t packs = limits::worker_parts_max / limits::pack_inputs_max;
  for (std::uint64_t n = 1; n <= 2 * packs; ++n) {
    OfferedCall call = call_of(7, n, 1);
    const std::size_t parts = limits::pack_inputs_max + (n == packs ? more : 0);
    call.planned.parts.resize(parts, call.planned.parts[0]);
    REQUIRE(stage.dispatch.push(std::move(call)));
  }
  stage.feed(worker);
  CHECK(worker.calls.held() == packs - more);
  CHECK(worker.calls.parts() <= limits::worker_parts_max);
  worker.calls.take(CallId{1});
  stage.feed(worker);
  CHECK(worker.calls.held() == packs - more);
}

TEST_CASE("calls that a worker does not reach stay for others") {
  Stage stage;
  stage.open(7);
  stage.open(8);
  Session& worker = stage.worker(1, 8);
  stage.offer(7, 1, 3);
  stage.offer(8, 11, 12);
  stage.feed(worker, [](const StreamId& id, const std::string&) { return id.job == JobId{8}; });
  CHECK(worker.calls.held_of(JobId{8}) == 2);
  CHECK(stage.dispatch.queued(JobId{7}) == 3);
}

TEST_CASE("a full worker still gets a hand of a job that it has no calls of") {
  Stage stage;
  stage.open(7);
  Session& worker = stage.worker(1, 4);
  stage.offer(7, 1, 50);
  stage.feed(worker);
  CHECK(worker.calls.held() == 5);
  stage.open(8);
  stage.offer(8, 51, 99);
  stage.feed(worker);
  CHECK(worker.calls.held_of(JobId{8}) == 4);
  CHECK(worker.calls.held_of(JobId{7}) == 5);
}

TEST_CASE("the emptiest is fed first, one on trial last, one that is drained not at all") {
  Stage stage;
  Session& busy = stage.worker(1, 4);
  Session& empty = stage.worker(2, 4);
  Session& trial = stage.worker(3, 4);
  Session& drained = stage.worker(4, 4);
  drained.draining = true;
  Session& none = stage.worker(5, 0);
  busy.give(CallId{1}, {.job = JobId{7}});
  trial.rest(Trial::until_it_asks, start);
  CHECK(Dispatch::turns({&busy, &empty, &trial, &drained, &none}) ==
        std::vector<Session*>{&empty, &busy, &trial});
}

TEST_CASE("one that rests gets nothing, and one on trial one call at a time") {
  Stage stage;
  stage.open(7);
  Session& worker = stage.worker(1, 8);
  stage.offer(7, 1, 9);
  worker.rest(Trial::until_it_asks, start + 1s);
  CHECK(stage.feed(worker).empty());
  worker.rest(Trial::until_it_asks, start);
  CHECK(stage.feed(worker) == std::vector<std::size_t>{1});
  CHECK(stage.feed(worker).empty());
}

TEST_CASE("a job is asked for twice what all workers can take, and for what has left since") {
  Stage stage;
  stage.open(7);
  CHECK(wanted_of(stage.ask(), 7) == 64); // before a worker is there
  CHECK(stage.dispatch.has_asked(JobId{7}));
  CHECK(stage.ask().empty());
  Session& worker = stage.worker(1, 100);
  CHECK(wanted_of(stage.ask(), 7) == 2 * 101 - 64);
  for (std::uint64_t n = 1; n <= 2 * 101; ++n) {
    stage.dispatch.came(call_of(7, n));
    stage.offer(7, n, n);
  }
  CHECK_FALSE(stage.dispatch.has_asked(JobId{7}));
  CHECK(stage.ask().size() <= 1); // bytes only
  stage.feed(worker);
  const auto wanted = stage.ask();
  CHECK(wanted_of(wanted, 7) > 100);
}

TEST_CASE("a job that is held is asked for nothing, its calls go back, and it keeps its share") {
  Stage stage;
  stage.open(7, 256, {3, 50});
  stage.offer(7, 1, 2);
  CHECK(stage.dispatch.job_held(JobId{7}) == std::vector<CallId>{CallId{1}, CallId{2}});
  CHECK_FALSE(stage.dispatch.push(call_of(7, 3)));
  CHECK(stage.ask().empty());
  CHECK(stage.dispatch.share_of(JobId{7}) == Share{3, 50});
  stage.dispatch.job_released(JobId{7});
  CHECK(wanted_of(stage.ask(), 7) == 64);
  CHECK(stage.dispatch.push(call_of(7, 3)));
}

TEST_CASE(
    "a job whose deadline is over goes before all others; rivals that are held do not count") {
  Stage stage;
  stage.open(7);
  stage.open(8, 256, {1, 60});
  stage.offer(8, 1, 1);
  CHECK_FALSE(stage.dispatch.mind_deadline(JobId{7}, 0, 10, {JobId{8}})); // nothing is left to do
  const auto share = stage.dispatch.mind_deadline(JobId{7}, 5, 0, {JobId{8}});
  REQUIRE(share);
  CHECK(share->priority == urgent_priority);
  CHECK(stage.dispatch.share_of(JobId{7}) == *share);
  CHECK_FALSE(stage.dispatch.mind_deadline(JobId{7}, 5, 0, {JobId{8}})); // it has it already
  // At a rate that will do, against nobody.
  for (int n = 0; n < 200; ++n) stage.dispatch.call_began(JobId{7}, 1);
  stage.dispatch.tick(start + 2s);
  stage.dispatch.job_held(JobId{8});
  const auto calm = stage.dispatch.mind_deadline(JobId{7}, 5, 100, {JobId{8}});
  REQUIRE(calm);
  CHECK(*calm == Share{});
}

TEST_CASE("how many other jobs have calls is known, however they leave") {
  Stage stage;
  for (const std::uint32_t job : {7, 8, 9}) stage.open(job);
  stage.offer(7, 1, 2);
  stage.offer(8, 3, 3);
  CHECK(stage.dispatch.other_jobs_queued(JobId{7}) == 1);
  CHECK(stage.dispatch.other_jobs_queued(JobId{9}) == 2);
  stage.dispatch.withdraw(JobId{8}, {CallId{3}, CallId{99}});
  CHECK(stage.dispatch.other_jobs_queued(JobId{9}) == 1);
  Session& worker = stage.worker(1, 1);
  stage.feed(worker);
  CHECK(stage.dispatch.other_jobs_queued(JobId{9}) == 0);
  stage.offer(9, 4, 4);
  stage.dispatch.job_closed(JobId{9});
  CHECK(stage.dispatch.other_jobs_queued(JobId{7}) == 0);
}

// ---- several streams of one job ----------------------------------------------------------------

TEST_CASE("each stream of a job is asked for by itself, and the job's bytes are divided") {
  Stage stage;
  stage.open_streams(7, 3);
  constexpr std::uint64_t bytes = limits::offer_bytes_max / 3;
  CHECK(rooms_of(stage.ask(), 7) ==
        std::vector<StreamRoom>{{0, 64, bytes}, {1, 64, bytes}, {2, 64, bytes}});
  CHECK(stage.ask().empty());
}

TEST_CASE("a stream is asked for twice what all workers can take, up to its part of the job's") {
  const auto [capacity, wanted] = GENERATE(table<std::uint32_t, std::uint32_t>({
      {1'022, 2'046},
      {1'023, 2'048},
      {1'024, 2'048},
  }));
  Stage stage;
  stage.open_streams(7, 2);
  stage.worker(1, capacity);
  for (const StreamRoom& room : rooms_of(stage.ask(), 7)) CHECK(room.calls == wanted);
}

TEST_CASE("of as many models as there may be, and a judge, each is asked for calls") {
  Stage stage;
  stage.open_streams(7, PartNumber::models_max + 1);
  stage.worker(1, 60'000);
  const auto rooms = rooms_of(stage.ask(), 7);
  CHECK(rooms.size() == PartNumber::models_max + 1);
  std::uint64_t calls = 0, bytes = 0;
  for (const StreamRoom& room : rooms) {
    CHECK(room.calls == 64);
    calls += room.calls;
    bytes += room.bytes;
  }
  CHECK(calls == limits::offer_calls_max);
  CHECK(bytes == limits::offer_bytes_max);
}

TEST_CASE("a stream that a call fills with bytes is asked again when it has left, and no other") {
  constexpr std::size_t most = limits::offer_bytes_max / 2;
  const int beyond = GENERATE(-1, 0, 1, 1'000'000);
  const std::size_t bytes = most + static_cast<std::size_t>(beyond);
  Stage stage;
  stage.open_streams(7, 2);
  stage.ask();
  OfferedCall call = call_of(7, 1, bytes - call_of(7, 1, 0, 1).bytes(), 1);
  REQUIRE(call.bytes() == bytes);
  stage.dispatch.came(call);
  stage.dispatch.push(std::move(call));
  CHECK(stage.ask().empty());
  Session& worker = stage.worker(1, 8);
  CHECK(stage.feed(worker) == std::vector<std::size_t>{1});
  CHECK(rooms_of(stage.ask(), 7) == std::vector<StreamRoom>{{1, 1, bytes}});
}

TEST_CASE(
    "calls of a slow model that fill the queue and a worker do not stop those of a fast one") {
  Stage stage;
  stage.open_streams(7, 2);
  Session& worker = stage.worker(1, 4);
  const StreamId slow{JobId{7}, 0}, fast{JobId{7}, 1};
  std::uint32_t room = 0;
  for (const StreamRoom& asked : rooms_of(stage.ask(), 7))
    if (asked.stream == fast.model) room = asked.calls;
  for (std::uint64_t n = 1; n <= 64; ++n) {
    OfferedCall call = call_of(7, n, 10, slow.model);
    stage.dispatch.came(call);
    stage.dispatch.push(std::move(call));
  }
  stage.feed(worker);
  CHECK(worker.calls.held_of(slow) == 5);
  // Nothing of the slow one ever leaves the worker.
  std::uint64_t answered = 0;
  for (std::uint64_t n = 1'001; answered < 500;) {
    for (; room > 0; --room, ++n) {
      OfferedCall call = call_of(7, n, 10, fast.model);
      stage.dispatch.came(call);
      stage.dispatch.push(std::move(call));
    }
    stage.feed(worker);
    REQUIRE(worker.calls.held_of(fast) >= 4);
    for (const CallId call : worker.calls.list_held())
      if (call.value > 1'000) {
        worker.calls.take(call);
        ++answered;
      }
    for (const StreamRoom& asked : rooms_of(stage.ask(), 7)) {
      REQUIRE(asked.stream == fast.model);
      room += asked.calls;
    }
  }
  CHECK(worker.calls.held_of(slow) == 5);
  CHECK(stage.dispatch.queued(JobId{7}) <= 2 * 64);
}

TEST_CASE("a full worker that has half a hand of a stream or less gets the rest of it") {
  const auto [held, given] = GENERATE(table<std::uint64_t, std::uint64_t>({
      {1, 3},
      {2, 2},
      {3, 0},
  }));
  Stage stage;
  stage.open_streams(7, 2);
  const StreamId slow{JobId{7}, 0}, fast{JobId{7}, 1};
  Session& worker = stage.worker(1, 4);
  stage.offer_to(slow, 1, 50);
  stage.feed(worker);
  for (std::uint64_t n = 0; n < held; ++n)
    worker.give(CallId{100 + n},
                {.job = JobId{7}, .parts = {{JobId{7}, n, PartNumber{1}.value()}}});
  stage.offer_to(fast, 201, 250);
  stage.feed(worker);
  CHECK(worker.calls.held_of(fast) == held + given);
  CHECK(worker.calls.held_of(slow) == 5);
}

TEST_CASE("of several streams none holds more than its part of a worker's bytes, and one call") {
  const auto [bytes, held] = GENERATE(table<std::size_t, std::uint32_t>({
      {499, 3}, // the third begins where 998 of 1,000 are held
      {500, 2},
      {501, 2},
      {999, 2},
      {1'000, 1},
      {1'001, 1},
  }));
  const std::size_t length = bytes - call_of(7, 1, 0).bytes();
  const std::uint32_t streams = GENERATE(1, 2);
  Stage stage;
  stage.open_streams(7, streams);
  Session& worker = stage.worker(1, 100, 2'000);
  for (std::uint64_t n = 1; n <= 9; ++n) stage.dispatch.push(call_of(7, n, length));
  stage.feed(worker);
  // A single stream takes all that there is.
  CHECK(worker.calls.held() == (streams == 1 ? 2'000 / bytes : held));
  if (streams == 1 || held * bytes > 1'800) return;
  stage.dispatch.push(call_of(7, 10, 10, 1));
  stage.feed(worker);
  CHECK(worker.calls.held_of(StreamId{JobId{7}, 1}) == 1);
}

TEST_CASE("a stream that a worker does not reach leaves the others their turns") {
  Stage stage;
  stage.open_streams(7, 2);
  stage.offer_to({JobId{7}, 0}, 1, 9);
  stage.offer_to({JobId{7}, 1}, 11, 12);
  Session& worker = stage.worker(1, 8);
  stage.feed(worker, [](const StreamId& id, const std::string&) { return id.model == 1; });
  CHECK(worker.calls.held_of(StreamId{JobId{7}, 1}) == 2);
  CHECK(worker.calls.held() == 2);
}

TEST_CASE("calls that are withdrawn are asked for again, of their stream") {
  Stage stage;
  stage.open_streams(7, 2);
  stage.ask();
  std::vector<CallId> calls;
  for (std::uint64_t n = 1; n <= 64; ++n) {
    OfferedCall call = call_of(7, n, 10, 1);
    stage.dispatch.came(call);
    stage.dispatch.push(std::move(call));
    calls.push_back(CallId{n});
  }
  CHECK(stage.ask().empty());
  stage.dispatch.withdraw(JobId{7}, calls);
  const auto rooms = rooms_of(stage.ask(), 7);
  REQUIRE(rooms.size() == 1);
  CHECK(rooms[0].stream == 1);
  CHECK(rooms[0].calls == 64);
}

} // namespace dispatch_test
