// Items of several parts, whose parts go together in calls: what becomes of each part when its call
// ends, and when the item is joined.
#include "tests/unit/actors/supervisor/parts/counted_parts.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"
#include "tests/unit/nano_usd.hpp"

#include <set>

namespace supervisor_parts_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

PartId part(std::uint64_t item, std::uint32_t number) {
  return {JobId{7}, item, number};
}
using Parts = std::vector<PartId>;
using Calls = std::vector<CallId>;

struct Thirds final : CountedParts {
  std::uint32_t parts = 3;
  std::uint32_t count_of(std::uint64_t) const override { return parts; }
  std::string text_of(const PartId& id, std::string item) const override {
    item.pop_back();
    return fmt::format("{},\"part\":{}}}", item, id.part);
  }
};

struct PartBench : Bench {
  Thirds thirds;
  std::uint32_t together = 4; // parts, in a call

  explicit PartBench(std::uint64_t items, JobSpec its_spec = spec_of())
      : Bench{good_lines(items), std::move(its_spec)} {
    plan = &thirds;
    spec.shape.task = Task::embed;
  }
  PartBench(const PartBench&) = delete;
  PartBench& operator=(const PartBench&) = delete;

  void start(RecoveredItems recovered = {}, std::uint32_t epoch = 3) {
    Bench::start(std::move(recovered), epoch);
    go_together(together);
  }
  void start_fresh(std::uint32_t calls = 1'000) {
    start();
    hear(supervisor->grace_over(now));
    want(calls);
  }
  void go_together(std::uint32_t parts) { hear(supervisor->pack_sizes({{"m", parts, 0}}, now)); }

  // Each part has its own answer, but for those that are left out.
  ReportedOutcome answered(const OfferedCall& call, const Parts& left_out = {}) {
    ReportedOutcome reported = outcome(call);
    if (call.planned.parts.size() == 1) {
      reported.outcome.body = body_of(call.planned.parts[0].id);
      return reported;
    }
    reported.outcome.body.clear();
    for (const PartId& id : call.planned.part_ids())
      if (std::find(left_out.begin(), left_out.end(), id) == left_out.end())
        reported.outcome.answers.push_back({id, OutcomeClass::ok, body_of(id)});
    return reported;
  }
  static std::string body_of(const PartId& id) {
    return fmt::format(R"({{"choices":[],"answers":"{}.{}"}})", id.item, id.part);
  }
  void answer(const OfferedCall& call, const Parts& left_out = {}) {
    report(answered(call, left_out));
  }
  void refuse(const OfferedCall& call) {
    auto reported = outcome(call, OutcomeClass::bad_line);
    reported.outcome.http_status = 400;
    reported.outcome.code = "invalid";
    report(std::move(reported));
  }
  void answer_all() {
    for (const OfferedCall& call : take_offers()) answer(call);
  }
  void lose(const OfferedCall& call, bool died = false, bool alone = false) {
    hear(supervisor->lost({supervisor_test::lost(call, true, died, alone)}, now));
  }
  void join(std::uint64_t item, OutcomeClass cls = OutcomeClass::ok) {
    hear(
        supervisor->joined({{item, cls, cls == OutcomeClass::ok ? "" : "invalid", "{}"}}, "", now));
  }

  std::vector<journal::PartLine> part_lines() const {
    std::vector<journal::PartLine> all;
    for (const auto& append : appends)
      all.insert(all.end(), append.parts.begin(), append.parts.end());
    return all;
  }
  Parts ended() const {
    Parts all;
    for (const auto& line : part_lines()) all.push_back(line.part);
    std::sort(all.begin(), all.end());
    return all;
  }
  // The one line of a part, as JSON.
  nlohmann::json line_of_part(const PartId& id) const {
    nlohmann::json found;
    for (const auto& line : part_lines()) {
      if (line.part != id) continue;
      CHECK(found.is_null());
      found = nlohmann::json::parse(line.line);
    }
    return found;
  }
  std::size_t notes() const { // of what parts have consumed
    std::size_t all = 0;
    for (const auto& append : appends) all += append.attempts.size();
    return all;
  }
  std::vector<std::uint64_t> to_join() const {
    std::vector<std::uint64_t> items;
    for (const ItemToJoin& item : joins) items.push_back(item.item);
    return items;
  }
};

Parts parts_of(const std::vector<OfferedCall>& calls) {
  Parts all;
  for (const OfferedCall& call : calls)
    for (const PartId& id : call.planned.part_ids()) all.push_back(id);
  return all;
}
std::vector<std::size_t> sizes(const std::vector<OfferedCall>& calls) {
  std::vector<std::size_t> all;
  for (const OfferedCall& call : calls) all.push_back(call.planned.parts.size());
  return all;
}
using Sizes = std::vector<std::size_t>;

protocol::Claim claim_of(std::uint64_t call, Parts parts) {
  return {CallId{call}, AttemptId::of(Epoch{2}, 1, call), std::move(parts), EndpointId{1}};
}
OfferedCall call_of(std::uint64_t call, const Parts& parts) {
  OfferedCall known;
  known.planned.call = CallId{call};
  known.planned.parts = planned(parts);
  return known;
}

const Parts all_of_0{part(0, 0), part(0, 1), part(0, 2)};
const Parts first_four{part(0, 0), part(0, 1), part(0, 2), part(1, 0)};

} // namespace

// ---- calls
// ---------------------------------------------------------------------------------------

TEST_CASE("parts gather in calls, in their order, as many as may go together") {
  const auto [together, in_calls] = GENERATE(table<std::uint32_t, Sizes>({
      {1, Sizes(6, 1)},
      {2, {2, 2, 2}},
      {4, {4, 2}},
      {5, {5, 1}},
      {6, {6}},
      {7, {6}},
  }));
  CAPTURE(together);
  PartBench bench{2};
  bench.together = together;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  CHECK(sizes(calls) == in_calls);
  CHECK(parts_of(calls) ==
        Parts{part(0, 0), part(0, 1), part(0, 2), part(1, 0), part(1, 1), part(1, 2)});
  const auto& last = calls.back().planned.parts.back();
  CHECK(last.raw == R"({"id":"doc-1","text":"some text","part":2})");
  CHECK(bench.supervisor->counts().total == 2);
}

TEST_CASE("a call may cost what its parts may cost together") {
  PartBench together{1}, single{1};
  single.together = 1;
  together.start_fresh();
  single.start_fresh();
  std::uint64_t tokens = 0, output = 0;
  for (const OfferedCall& call : single.take_offers()) {
    tokens += call.token_bound;
    output += call.output_bound;
  }
  const OfferedCall call = together.take_offer();
  CHECK(call.token_bound == tokens);
  CHECK(call.output_bound == output);
}

TEST_CASE("there are never more calls than there is room for, however many parts an item has") {
  const std::uint32_t together = GENERATE(1u, 2u, 3u, 4u);
  CAPTURE(together);
  PartBench bench{4};
  bench.together = together;
  bench.start_fresh(0);
  std::vector<OfferedCall> calls;
  for (int rounds = 0; parts_of(calls).size() < 12; ++rounds) {
    REQUIRE(rounds < 20);
    const auto room = static_cast<std::uint32_t>(rounds % 3);
    bench.want(room);
    auto more = bench.take_offers();
    CHECK(more.size() <= room);
    calls.insert(calls.end(), more.begin(), more.end());
  }
  const Parts all = parts_of(calls);
  CHECK(std::set<PartId>(all.begin(), all.end()).size() == 12);
}

TEST_CASE("a call leaves with all that is ready and fits, though there is no room for another") {
  PartBench bench{2};
  bench.start_fresh(1);
  CHECK(parts_of({bench.take_offer()}) == first_four);
  bench.want(1);
  CHECK(parts_of({bench.take_offer()}) == Parts{part(1, 1), part(1, 2)});
}

// ---- ends of calls
// -------------------------------------------------------------------------------

TEST_CASE("each part of an answered call gets its own answer, and the call is counted once") {
  PartBench bench{2};
  bench.start_fresh();
  auto reported = bench.answered(bench.take_offers()[0]);
  std::reverse(reported.outcome.answers.begin(), reported.outcome.answers.end());
  reported.outcome.usage.prompt = 10;
  reported.cost = nano_usd(99);
  bench.report(reported);
  REQUIRE(bench.appends.size() == 1);
  CHECK(bench.last().acks.size() == 1);
  CHECK(bench.last().note.prompt_tokens == 10);
  CHECK(bench.last().note.cost == nano_usd(99));
  CHECK(bench.last().note.attempts == 4);
  CHECK(bench.last().durable.parts == 4);
  CHECK(bench.lines().empty());
  CHECK(bench.ended() == first_four);
  for (const PartId& id : first_four) {
    const auto line = bench.line_of_part(id);
    CHECK(line["response"]["body"]["answers"] == fmt::format("{}.{}", id.item, id.part));
    CHECK(line["custom_id"] == fmt::format("doc-{}", id.item));
    CHECK(line["gristmill"]["item"] == id.item);
    CHECK(line["gristmill"]["part"] == id.part);
    CHECK(line["gristmill"]["attempts"] == 1);
  }
}

TEST_CASE("a part without an answer of its own is called again, without a toll") {
  const auto what = GENERATE(as<std::string>{}, "no answer", "no JSON", "refused");
  CAPTURE(what);
  PartBench bench{2};
  bench.spec.policy.retries = 0;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  auto reported = bench.answered(calls[0]);
  auto& answer = reported.outcome.answers[1];
  if (what == "no answer") reported.outcome.answers.erase(reported.outcome.answers.begin() + 1);
  if (what == "no JSON") answer.body = "oops";
  if (what == "refused") answer.cls = OutcomeClass::policy;
  bench.report(reported);
  CHECK(bench.ended() == Parts{part(0, 0), part(0, 2), part(1, 0)});
  CHECK(bench.notes() == 0);
  const OfferedCall again = bench.take_offer();
  CHECK(again.planned.part_ids() == Parts{part(0, 1)});
  bench.answer(again);
  CHECK(bench.line_of_part(part(0, 1))["gristmill"]["attempts"] == 2);
}

TEST_CASE(
    "a call that is refused is divided in two, and only the part that is refused alone fails") {
  const OutcomeClass cls =
      GENERATE(OutcomeClass::bad_line, OutcomeClass::too_big, OutcomeClass::too_long);
  CAPTURE(info(cls).name);
  PartBench bench{2};
  bench.spec.policy.retries = 0;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.report(calls[0], cls);
  CHECK(bench.part_lines().empty());
  auto again = bench.take_offers();
  CHECK(sizes(again) == Sizes{2, 2});
  CHECK(parts_of(again) == first_four);
  for (int rounds = 0; !again.empty(); again = bench.take_offers()) {
    REQUIRE(++rounds <= 2);
    for (const OfferedCall& call : again) {
      const Parts asked = call.planned.part_ids();
      if (std::find(asked.begin(), asked.end(), part(0, 1)) != asked.end())
        bench.report(call, cls);
      else
        bench.answer(call);
    }
  }
  CHECK(bench.notes() == 0);
  CHECK(bench.ended() == first_four);
  for (const auto& line : bench.part_lines()) CHECK(line.failed() == (line.part == part(0, 1)));
  CHECK(bench.take_offers().empty());
}

TEST_CASE(
    "a failure that may pass costs each part of its call a retry, the second one divides it") {
  PartBench bench{2};
  bench.spec.policy.retries = 3;
  bench.start_fresh();
  const auto parts = [](const std::vector<OfferedCall>& calls) {
    Parts all;
    for (const OfferedCall& call : calls)
      for (const PartId& id : call.planned.part_ids()) all.push_back(id);
    std::sort(all.begin(), all.end());
    return all;
  };
  const OfferedCall first = bench.take_offers().at(0);
  const Parts asked = first.planned.part_ids();
  bench.report(first, OutcomeClass::transient);
  CHECK(bench.notes() == asked.size());
  bench.tick_at(bench.now + 60s);
  const auto again = bench.take_offers();
  REQUIRE(again.size() == 1);
  CHECK(parts(again) == asked);
  bench.report(again[0], OutcomeClass::transient);
  bench.tick_at(bench.now + 60s);
  const auto apart = bench.take_offers();
  CHECK(sizes(apart) == Sizes{2, 2});
  CHECK(parts(apart) == asked);
}

TEST_CASE("what no endpoint may ever take together is divided, and fails alone") {
  PartBench bench{1};
  bench.start_fresh();
  LostCall returned = lost(bench.take_offer(), false);
  returned.exceeds = "more tokens than any endpoint takes";
  bench.hear(bench.supervisor->returned({returned}, bench.now));
  CHECK(bench.part_lines().empty());
  const auto again = bench.take_offers();
  CHECK(sizes(again) == Sizes{2, 1});
  returned.call = again[1].planned.call;
  bench.hear(bench.supervisor->returned({returned}, bench.now));
  CHECK(bench.ended() == Parts{part(0, 2)});
  CHECK(bench.line_of_part(part(0, 2))["error"]["code"] == "exceeds_limit");
}

TEST_CASE("a call of more parts than are taken comes back, and goes again as smaller ones") {
  PartBench bench{1};
  bench.start_fresh();
  LostCall returned = lost(bench.take_offer(), false);
  returned.by_parts = true;
  bench.hear(bench.supervisor->returned({returned}, bench.now));
  CHECK(bench.part_lines().empty());
  CHECK(sizes(bench.take_offers()) == Sizes{2, 1});
}

TEST_CASE("what an endpoint or a limit refuses is called again, and nobody pays for it") {
  const OutcomeClass cls =
      GENERATE(OutcomeClass::rate, OutcomeClass::unavailable, OutcomeClass::unstarted);
  CAPTURE(info(cls).name);
  PartBench bench{2};
  bench.spec.policy.retries = 0;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.answer(calls[1]);
  bench.report(calls[0], cls);
  for (int minutes = 0; minutes < 4; ++minutes) {
    bench.tick_at(bench.now + 1min); // after an endpoint's fault they go one by one at first
    bench.answer_all();
  }
  CHECK(bench.notes() == 0);
  CHECK(bench.ended().size() == 6);
}

TEST_CASE("a refusal that was handled and is told again does nothing") {
  PartBench bench{1};
  bench.start_fresh(1);
  const auto reported = bench.outcome(bench.take_offer(), OutcomeClass::bad_line);
  bench.report(reported); // nobody has room for what follows
  bench.report(reported);
  CHECK(bench.last().acks.size() == 1);
  CHECK(bench.supervisor->counts().attempts == 3);
  CHECK(bench.supervisor->counts().late == 3);
  bench.want(10);
  CHECK(sizes(bench.take_offers()) == Sizes{2, 1});
}

// ---- calls that are lost, told of late, or doubled
// -----------------------------------------------

TEST_CASE("a lost call frees all its parts, and each of them may have been called") {
  PartBench bench{2};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.lose(calls[0]);
  const OfferedCall again = bench.take_offer();
  CHECK(again.planned.part_ids() == first_four);
  CHECK(again.planned.call != calls[0].planned.call);
  CHECK(bench.supervisor->counts().ambiguous == 4);
  CHECK(bench.notes() == 0);
  bench.lose(calls[0]); // told twice
  CHECK(bench.take_offers().empty());
  bench.hear(bench.supervisor->returned({lost(again, false)}, bench.now));
  CHECK(parts_of({bench.take_offer()}) == first_four);
}

TEST_CASE("a part under which workers died is given up only by itself") {
  PartBench bench{1};
  bench.start_fresh();
  for (int deaths = 1; deaths <= 3; ++deaths) {
    const OfferedCall call = bench.take_offer();
    CHECK(call.planned.parts.size() == 3);
    bench.lose(call, true, true);
    REQUIRE(bench.last().attempts.size() == 3);
    for (const auto& note : bench.last().attempts) {
      CHECK(note.deaths == static_cast<std::uint32_t>(deaths));
      CHECK(note.of_several);
    }
  }
  CHECK(bench.part_lines().empty());
  const auto single = bench.take_offers();
  REQUIRE(sizes(single) == Sizes(3, 1));
  bench.answer(single[0]);
  bench.lose(single[1], true, true);
  CHECK(bench.line_of_part(part(0, 1))["error"]["code"] == "quarantined");
  bench.answer(single[2]);
  CHECK(bench.ended() == all_of_0);
}

TEST_CASE(
    "answers to a call that was lost win, and the next call is withdrawn when nothing is left "
    "of it") {
  PartBench bench{2};
  bench.together = 2;
  bench.start_fresh(1);
  const OfferedCall first = bench.take_offer();
  bench.go_together(3);
  bench.lose(first);
  bench.want(1);
  const OfferedCall second = bench.take_offer(); // the two of the first one, and another
  REQUIRE(second.planned.part_ids() == all_of_0);
  bench.answer(first);
  CHECK(bench.ended() == Parts{part(0, 0), part(0, 1)});
  CHECK(bench.take_withdrawn().empty());
  SECTION("it is answered: for its last part alone") {
    bench.answer(second);
    CHECK(bench.last().note.late == 2);
    CHECK(bench.last().note.attempts == 1);
  }
  SECTION("it is refused: its last part is called again") {
    bench.refuse(second);
    bench.want(1);
    const OfferedCall again = bench.take_offer();
    CHECK(again.planned.part_ids() == Parts{part(0, 2), part(1, 0)});
    bench.answer(again);
  }
  SECTION("it is lost: its last part is called again") {
    bench.lose(second);
    bench.want(1);
    const OfferedCall again = bench.take_offer();
    REQUIRE(again.planned.parts.size() > 0);
    CHECK(again.planned.parts[0].id == part(0, 2));
    bench.answer(again);
  }
  for (const PartId& id : all_of_0) CHECK_FALSE(bench.line_of_part(id).is_null());
}

TEST_CASE("a late answer that lacks a part takes it from no other call") {
  PartBench bench{1};
  bench.start_fresh();
  const OfferedCall first = bench.take_offer();
  bench.lose(first);
  const OfferedCall second = bench.take_offer();
  bench.answer(first, {part(0, 2)});
  CHECK(bench.ended() == Parts{part(0, 0), part(0, 1)});
  CHECK(bench.take_offers().empty()); // the second call has it
  CHECK(bench.take_withdrawn().empty());
  SECTION("the other call answers it") {
    bench.answer(second);
  }
  SECTION("the other call is lost, too") {
    bench.lose(second);
    bench.answer_all();
  }
  CHECK(bench.ended() == all_of_0);
  bench.lose(second);
  CHECK(bench.take_offers().empty());
}

namespace {

// 24 calls of four parts; all but the last one took 100 ms, so that patience is 200 ms.
struct Tail : PartBench {
  OfferedCall first, second;

  static JobSpec hedging() {
    JobSpec spec = spec_of();
    spec.policy.hedge_percent = 100;
    return spec;
  }
  Tail() : PartBench{32, hedging()} {
    start_fresh();
    auto calls = take_offers();
    REQUIRE(sizes(calls) == Sizes(24, 4));
    std::vector<BegunCall> begun;
    for (const OfferedCall& call : calls) begun.push_back({call.planned.call, EndpointId{4}});
    hear(supervisor->begun(begun, now));
    first = calls.back();
    calls.pop_back();
    for (const OfferedCall& call : calls) {
      auto reported = answered(call);
      reported.outcome.latency_us = 100'000;
      report(std::move(reported));
    }
    tick_at(now + 200ms);
    second = take_offer();
  }
};
const Parts last_four{part(30, 2), part(31, 0), part(31, 1), part(31, 2)};

} // namespace

TEST_CASE("a call of several parts gets a second one of the same parts, and the first that answers "
          "wins") {
  Tail job;
  CHECK(job.second.planned.parts == job.first.planned.parts);
  CHECK(job.second.failed_at == std::vector{EndpointId{4}});
  const bool second_wins = GENERATE(true, false);
  job.answer(second_wins ? job.second : job.first);
  const OfferedCall& other = second_wins ? job.first : job.second;
  CHECK(job.take_withdrawn() == Calls{other.planned.call});
  job.answer(other);
  CHECK(job.last().note.late == 4);
  CHECK(job.ended().size() == 96);
  job.lose(other);
  CHECK(job.take_offers().empty());
}

TEST_CASE("while one of two calls of several parts flies the other decides nothing") {
  Tail job;
  const bool first_ends = GENERATE(true, false);
  const OfferedCall& ends = first_ends ? job.first : job.second;
  const OfferedCall& flies = first_ends ? job.second : job.first;
  const auto how = GENERATE(as<std::string>{}, "refused", "lost", "returned", "cancelled");
  CAPTURE(first_ends, how);
  if (how == "refused") job.refuse(ends);
  if (how == "lost") job.lose(ends, true, true);
  if (how == "returned") job.hear(job.supervisor->returned({lost(ends, false)}, job.now));
  if (how == "cancelled") job.report(ends, OutcomeClass::cancelled);
  job.tick_at(job.now + 1min);
  CHECK(job.take_offers().empty());
  CHECK(job.take_withdrawn().empty());
  SECTION("it answers") {
    job.answer(flies);
  }
  SECTION("it is refused, too: they go in two calls") {
    job.refuse(flies);
    const auto again = job.take_offers();
    CHECK(sizes(again) == Sizes{2, 2});
    CHECK(parts_of(again) == last_four);
    for (const OfferedCall& call : again) job.answer(call);
  }
  CHECK(job.ended().size() == 96);
}

TEST_CASE("a part that one of two calls leaves without an answer stays out with the other") {
  Tail job;
  const bool first_ends = GENERATE(true, false);
  const OfferedCall& ends = first_ends ? job.first : job.second;
  const OfferedCall& flies = first_ends ? job.second : job.first;
  job.answer(ends, {part(31, 1)});
  CHECK(job.ended().size() == 95);
  CHECK(job.take_offers().empty());
  CHECK(job.take_withdrawn().empty());
  SECTION("it answers") {
    job.answer(flies);
  }
  SECTION("it is lost: the part is called by itself") {
    job.lose(flies);
    const OfferedCall again = job.take_offer();
    CHECK(again.planned.part_ids() == Parts{part(31, 1)});
    job.answer(again);
  }
  CHECK(job.ended().size() == 96);
}

// ---- joining
// -------------------------------------------------------------------------------------

TEST_CASE("an item is to be joined when the line of its last part is durable, not before") {
  PartBench bench{2};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.answer(calls[0]);
  CHECK(bench.joins.empty());
  bench.write();
  REQUIRE(bench.to_join() == std::vector<std::uint64_t>{0});
  CHECK(bench.joins[0].parts == 3);
  CHECK(bench.joins[0].id == "doc-0");
  CHECK(bench.joins[0].source == "in-0.jsonl:1");
  bench.answer(calls[1]);
  CHECK(bench.joins.size() == 1);
  bench.write();
  CHECK(bench.to_join() == std::vector<std::uint64_t>{0, 1});
  CHECK(bench.supervisor->counts().terminal() == 0);
  CHECK_FALSE(bench.all_terminal);
}

TEST_CASE(
    "an item is to be joined once it has its last part, whichever that is and however it ended") {
  PartBench bench{1};
  bench.together = 1;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.answer(calls[2]);
  bench.refuse(calls[0]);
  bench.write();
  CHECK(bench.joins.empty());
  bench.answer(calls[1]);
  bench.write();
  CHECK(bench.to_join() == std::vector<std::uint64_t>{0});
}

TEST_CASE("the joined line is the item's, and ends it; only then reading would go on behind it") {
  const OutcomeClass cls = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line);
  PartBench bench{1};
  bench.start_fresh();
  bench.answer_all();
  bench.write();
  CHECK(bench.last().note.low.item == 0);
  bench.join(0, cls);
  REQUIRE(bench.last().lines.size() == 1);
  CHECK(bench.last().lines[0].item == 0);
  CHECK(bench.last().lines[0].cls == cls);
  CHECK(bench.last().lines[0].line == "{}");
  CHECK(bench.last().parts.empty());
  CHECK(bench.last().note.low.item == 1);
  CHECK_FALSE(bench.all_terminal);
  bench.join(0, cls); // told twice
  CHECK(bench.lines().size() == 1);
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().completed == (cls == OutcomeClass::ok ? 1 : 0));
  CHECK(bench.supervisor->counts().failed == (cls == OutcomeClass::ok ? 0 : 1));
}

TEST_CASE("failures are counted by items, and the job that pauses of them names one") {
  PartBench bench{3};
  bench.spec.policy.max_failures = 2;
  bench.together = 1;
  bench.start_fresh();
  auto calls = bench.take_offers();
  calls.resize(6); // those of the last item are out yet
  for (const OfferedCall& call : calls) bench.refuse(call);
  bench.write();
  bench.join(0, OutcomeClass::bad_line);
  CHECK(bench.failure.empty());
  bench.join(1, OutcomeClass::bad_line);
  CHECK_THAT(bench.failure,
             Contains("2 of 2 items failed") && Contains("for instance doc-0 (in-0.jsonl:1)"));
}

TEST_CASE("a job whose items cannot be joined fails with a sentence") {
  PartBench bench{1};
  bench.start_fresh();
  bench.answer_all();
  bench.write();
  bench.hear(bench.supervisor->joined({}, "parts-1.jsonl cannot be read", bench.now));
  CHECK(bench.failure == "parts-1.jsonl cannot be read");
  CHECK(bench.supervisor->wake_at() == never);
}

// ---- after a restart
// -----------------------------------------------------------------------------

TEST_CASE("no part that ended in an earlier life is offered again") {
  const std::uint64_t mark = GENERATE(0u, 2u);
  CAPTURE(mark);
  PartBench bench{2};
  RecoveredItems recovered;
  recovered.mark = mark;
  recovered.parts.ended[0] = {{{1, 0}}, {}};
  recovered.parts.ended[1] = {{{0, 0}}, {2}};
  recovered.parts.notes = {{part(1, 1), 5, 0, 0, true}};
  bench.start(std::move(recovered));
  bench.want(100);
  bench.hear(bench.supervisor->grace_over(bench.now));
  const OfferedCall call = bench.take_offer();
  CHECK(call.planned.part_ids() == Parts{part(0, 0), part(0, 2), part(1, 1)});
  CHECK(bench.joins.empty());
  bench.answer(call, {part(1, 1)});
  const OfferedCall last = bench.take_offer();
  bench.report(last, OutcomeClass::transient); // it had no retry left
  CHECK(bench.line_of_part(part(1, 1))["gristmill"]["attempts"] == 7);
  CHECK(bench.ended() == Parts{part(0, 0), part(0, 2), part(1, 1)});
  bench.write();
  CHECK(bench.to_join() == std::vector<std::uint64_t>{0, 1});
}

TEST_CASE("an item all of whose parts ended in an earlier life is joined at once") {
  const bool below_mark = GENERATE(true, false);
  PartBench bench{2};
  RecoveredItems recovered;
  recovered.mark = below_mark ? 1 : 0;
  recovered.parts.ended[0] = {{{0, 0}, {2, 0}}, {1}};
  bench.start(std::move(recovered));
  CHECK(bench.to_join().size() == (below_mark ? 1 : 0));
  bench.want(100);
  REQUIRE(bench.to_join() == std::vector<std::uint64_t>{0});
  CHECK(bench.joins[0].parts == 3);
  CHECK(parts_of({bench.take_offer()}) == Parts{part(1, 0), part(1, 1), part(1, 2)});
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.join(0);
  CHECK(bench.lines().size() == 1);
  CHECK(bench.to_join().size() == 1);
  CHECK(bench.offered.empty());
}

TEST_CASE("a claim for some of an item's parts leaves the others to be called") {
  PartBench bench{1};
  RecoveredItems recovered;
  recovered.mark = 1;
  recovered.may_have_called = true;
  bench.start(std::move(recovered));
  bench.want(100);
  bench.hear(bench.supervisor->claimed({claim_of(900, {part(0, 0), part(0, 2)})}, bench.now));
  CHECK(bench.take_offers().empty());
  bench.hear(bench.supervisor->grace_over(bench.now));
  const OfferedCall call = bench.take_offer();
  CHECK(call.planned.part_ids() == Parts{part(0, 1)});
  CHECK(bench.supervisor->counts().ambiguous == 1);
  bench.answer(call);
  const OfferedCall claimed = call_of(900, {part(0, 0), part(0, 2)});
  SECTION("it is answered") {
    bench.answer(claimed);
  }
  SECTION("it is refused") {
    bench.refuse(claimed);
    bench.answer_all();
  }
  SECTION("its session is lost") {
    bench.lose(claimed);
    bench.answer_all();
  }
  CHECK(bench.ended() == all_of_0);
}

TEST_CASE("an outcome that is kept keeps its parts from being called, and no others") {
  PartBench bench{1};
  RecoveredItems recovered;
  recovered.mark = 1;
  bench.start(std::move(recovered));
  bench.want(100);
  bench.hear(bench.supervisor->kept({claim_of(900, {part(0, 1)})}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  const OfferedCall call = bench.take_offer();
  CHECK(call.planned.part_ids() == Parts{part(0, 0), part(0, 2)});
  bench.answer(call);
  bench.answer(call_of(900, {part(0, 1)}));
  CHECK(bench.ended() == all_of_0);
}

TEST_CASE("a claim is withdrawn when all its parts have ended, not while one is open") {
  PartBench bench{1};
  bench.together = 2;
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.answer(calls[0]);
  bench.hear(bench.supervisor->claimed({claim_of(900, {part(0, 0), part(0, 1)})}, bench.now));
  CHECK(bench.take_withdrawn() == Calls{CallId{900}});
  bench.hear(bench.supervisor->claimed({claim_of(901, {part(0, 1), part(0, 2)})}, bench.now));
  CHECK(bench.take_withdrawn() == Calls{calls[1].planned.call}); // the claim has its only part
  bench.answer(call_of(901, {part(0, 1), part(0, 2)}));
  CHECK(bench.last().note.late == 1);
  CHECK(bench.ended() == all_of_0);
}

TEST_CASE("a late claim takes its parts from a call that goes on with the others") {
  PartBench bench{1};
  bench.start_fresh();
  const OfferedCall call = bench.take_offer();
  const OfferedCall claimed = call_of(900, {part(0, 0)});
  bench.hear(bench.supervisor->claimed({claim_of(900, {part(0, 0)})}, bench.now));
  CHECK(bench.take_withdrawn().empty());
  SECTION("the claim is answered first") {
    bench.answer(claimed);
    bench.answer(call);
    CHECK(bench.last().note.late == 1);
    CHECK(bench.take_withdrawn().empty());
  }
  SECTION("the call is answered first") {
    bench.answer(call);
    CHECK(bench.take_withdrawn() == Calls{CallId{900}});
    bench.answer(claimed);
    CHECK(bench.last().note.late == 1);
  }
  SECTION("the call is refused: the claimed part stays where it is") {
    bench.refuse(call);
    const auto again = bench.take_offers();
    CHECK(parts_of(again) == Parts{part(0, 1), part(0, 2)});
    for (const OfferedCall& one : again) bench.answer(one);
    bench.answer(claimed);
  }
  CHECK(bench.ended() == all_of_0);
}

TEST_CASE(
    "parts that were refused together in an earlier life wait for their claims in the grace") {
  PartBench bench{1};
  RecoveredItems recovered;
  recovered.mark = 1;
  bench.start(std::move(recovered));
  bench.want(100);
  bench.refuse(call_of(900, all_of_0));
  CHECK(bench.take_offers().empty());
  bench.hear(bench.supervisor->claimed({claim_of(901, {part(0, 1)})}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  const auto calls = bench.take_offers();
  CHECK(sizes(calls) == Sizes{2});
  CHECK(parts_of(calls) == Parts{part(0, 0), part(0, 2)});
}

// ---- cancelling
// ----------------------------------------------------------------------------------

TEST_CASE("a cancelled job ends the parts that nobody has, and joins every item") {
  PartBench bench{3};
  bench.together = 2;
  bench.start_fresh(2);
  const auto calls = bench.take_offers(); // all of item 0, and at most one part of item 1
  bench.hear(bench.supervisor->cancel(bench.now));
  std::set<PartId> out;
  for (const PartId& id : parts_of(calls)) out.insert(id);
  // Of the item that nobody has begun one part says so.
  CHECK(bench.part_lines().size() + out.size() == 7);
  for (const auto& line : bench.part_lines()) {
    CHECK_FALSE(out.contains(line.part));
    CHECK(line.cls == OutcomeClass::cancelled);
  }
  bench.answer(calls[0]);
  bench.refuse(calls[1]); // nothing is tried again
  CHECK(bench.part_lines().size() == 7);
  CHECK(bench.offered.empty());
  bench.write();
  REQUIRE(bench.joins.size() == 3);
  for (std::uint64_t item = 0; item < 3; ++item) bench.join(item, OutcomeClass::cancelled);
  bench.write();
  CHECK(bench.all_terminal);
}

TEST_CASE("a call of several parts that is out too long after the cancelling is withdrawn once") {
  PartBench bench{1};
  bench.start_fresh();
  const OfferedCall call = bench.take_offer();
  bench.hear(bench.supervisor->cancel(bench.now));
  bench.tick_at(bench.now + 10s - 1ns);
  CHECK(bench.part_lines().empty());
  bench.tick_at(bench.now + 1ns);
  CHECK(bench.take_withdrawn() == Calls{call.planned.call});
  CHECK(bench.ended() == all_of_0);
  bench.answer(call);
  CHECK(bench.last().note.late == 3);
  bench.write();
  CHECK(bench.to_join() == std::vector<std::uint64_t>{0});
}

} // namespace supervisor_parts_test
