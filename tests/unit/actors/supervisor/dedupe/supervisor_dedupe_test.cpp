// Items of a job that ask the same (--dedupe): one of them is looked up or called, the others wait
// for it, and take its answer from its durable line.
#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/actors/supervisor/dedupe/dedupe_bench.hpp"

#include <set>

namespace supervisor_dedupe_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

// ---- who is called ------------------------------------------------------------------------------

TEST_CASE("of two that ask the same one is called, and the other takes its durable answer") {
  DedupeBench bench{asking("aa")};
  bench.start_fresh();
  CHECK(bench.offered.empty()); // an earlier life may have the answer
  CHECK(bench.looked_up() == Items{0});
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  CHECK(item_of(call) == 0);
  CHECK(call.planned.parts[0].raw + "\n" == item_line(0, "a"));
  CHECK(call.planned.parts[0].kind == ItemKind::json_object);
  CHECK(bench.follows(1));
  bench.answer(call);
  CHECK(bench.look_ups.empty()); // a power cut would take it away
  CHECK(bench.lines().size() == 1);
  bench.write();
  CHECK(bench.looked_up() == Items{1});
  bench.look_up();
  const auto first = bench.line_of(0), second = bench.line_of(1);
  CHECK(second["response"] == first["response"]);
  CHECK(second["custom_id"] == "doc-1");
  const auto about = second["gristmill"];
  CHECK(about["source"] == "in-0.jsonl:2");
  CHECK(about["attempts"] == 0);
  CHECK(about["cached"] == true);
  CHECK(about["latency_ms"] == 0);
  CHECK(about["model"] == "m");
  CHECK(about["endpoint"] == "http://a");
  CHECK(first["gristmill"]["cached"] == false);
  CHECK(bench.lines()[0].key);
  CHECK_FALSE(bench.lines()[1].key); // of equal requests the first counts
  CHECK_FALSE(bench.all_terminal);
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.offered.empty());
  const JobCounts counts = bench.supervisor->counts();
  CHECK(counts.completed == 2);
  CHECK(counts.calls == 1);
  CHECK(counts.attempts == 1);
  CHECK(counts.cached == 1);
  CHECK(counts.prompt_tokens == 10);
  CHECK(counts.completion_tokens == 4);
}

TEST_CASE("who does not ask for it has each item called, and no line has a key") {
  JobSpec spec = deduping();
  spec.policy.dedupe = false;
  DedupeBench bench{asking("aa"), spec};
  bench.start_fresh();
  CHECK(bench.called() == Items{0, 1});
  for (const auto& call : bench.take_offers()) bench.answer(call);
  bench.write();
  CHECK(bench.all_terminal);
  CHECK(bench.look_ups.empty());
  CHECK(bench.keys() == 0);
  CHECK(bench.supervisor->counts().cached == 0);
}

TEST_CASE("lines ask the same whoever asks and however it is spelled, and of one model only") {
  const auto [body, is_same] = GENERATE(table<std::string, bool>({
      {R"({"model":"m","user":"one","seed":1,"messages":[{"role":"user","content":"hi"}]})", true},
      {R"({ "messages": [{"content":"hi","role":"user"}], "user":"two", "seed":1, "model":"m" })",
       true},
      {R"({"model":"m","seed":1,"messages":[{"role":"user","content":"\u0068i"}]})", true},
      {R"({"model":"n","user":"one","seed":1,"messages":[{"role":"user","content":"hi"}]})", false},
      {R"({"model":"m","user":"one","seed":2,"messages":[{"role":"user","content":"hi"}]})", false},
      {R"({"model":"m","user":"one","seed":1,"messages":[{"role":"user","content":"Hi"}]})", false},
      {R"({"model":"m","user":"one","messages":[{"role":"user","content":"hi"}]})", false},
  }));
  CAPTURE(body);
  DedupeBench bench{
      batch_line(
          0, R"({"model":"m","user":"one","seed":1,"messages":[{"role":"user","content":"hi"}]})") +
          batch_line(1, body),
      of_batch_lines()};
  bench.begin();
  CHECK(bench.offered.size() == (is_same ? 1 : 2));
  CHECK(bench.follows(1) == is_same);
  for (const auto& call : bench.take_offers()) bench.answer(call);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().cached == (is_same ? 1 : 0));
  CHECK(bench.keys() == (is_same ? 1 : 2));
}

TEST_CASE("each model of a job is asked once, and its answer is taken for no other's") {
  JobSpec spec = deduping();
  spec.shape.models = {"m", "n"};
  DedupeBench bench{asking("aa"), spec};
  bench.start_fresh();
  bench.want(100, 1u << 30, 1);
  while (!bench.look_ups.empty()) bench.look_up();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  CHECK(item_of(calls[0]) == 0);
  CHECK(item_of(calls[1]) == 0);
  CHECK(calls[0].planned.model != calls[1].planned.model);
  for (const auto& call : calls) bench.answer(call, call.planned.model);
  bench.settle();
  CHECK(bench.offered.empty());
  CHECK(bench.supervisor->counts().cached == 2);
  CHECK(bench.supervisor->counts().calls == 2);
  CHECK(bench.keys() == 2);
  CHECK(bench.joins.size() == 2);
  std::set<std::string> of_second;
  for (const auto& append : bench.appends)
    for (const auto& line : append.parts) {
      if (line.part.item != 1) continue;
      CHECK_FALSE(line.key);
      const auto json = nlohmann::json::parse(line.line);
      CHECK(json["gristmill"]["cached"] == true);
      const std::string words = json["response"]["body"]["choices"][0]["message"]["content"];
      CHECK(words == (line.part.part == 0 ? "m" : "n"));
      of_second.insert(words);
    }
  CHECK(of_second == std::set<std::string>{"m", "n"});
}

TEST_CASE("chunks that ask the same are called once, wherever they stand") {
  JobSpec spec = deduping();
  spec.shape.chunk_tokens = 22;
  const std::string one = "The paragraph with number 1 has some words, and a full stop at its end.",
                    two = "The paragraph with number 2 has some words, and a full stop at its end.";
  DedupeBench bench{item_line(0, one + "\\n\\n" + two + "\\n\\n" + one) +
                        item_line(1, two + "\\n\\n" + one),
                    spec};
  bench.begin();
  CHECK(bench.offered.size() < 5);
  while (!bench.offered.empty()) {
    for (const auto& call : bench.take_offers()) bench.answer(call);
    bench.settle();
  }
  const JobCounts counts = bench.supervisor->counts();
  CHECK(counts.parts == 5);
  CHECK(counts.calls + counts.cached == 5);
  CHECK(counts.calls == bench.keys());
  CHECK(counts.cached >= 1);
  CHECK(bench.joins.size() == 2);
}

TEST_CASE("what asks for something new is called beside those that wait") {
  DedupeBench bench{asking("aabbac")};
  bench.start_fresh();
  CHECK(bench.looked_up() == Items{0, 2, 5});
  bench.look_up();
  CHECK(bench.called() == Items{0, 2, 5});
  for (const std::uint64_t item : {1, 3, 4}) CHECK(bench.follows(item));
  for (const auto& call : bench.take_offers()) bench.answer(call, fmt::format("{}", item_of(call)));
  bench.settle();
  CHECK(bench.all_terminal);
  for (const auto& [item, leader] : {std::pair{1, 0}, {3, 2}, {4, 0}})
    CHECK(bench.line_of(static_cast<std::uint64_t>(item))["response"] ==
          bench.line_of(static_cast<std::uint64_t>(leader))["response"]);
}

TEST_CASE("one that is read when the answer is durable already takes it, too") {
  DedupeBench bench{asking("aba")};
  bench.start_fresh(1);
  bench.look_up();
  bench.answer(bench.take_offer());
  bench.settle();
  bench.want(1);
  if (!bench.look_ups.empty()) bench.settle();
  CHECK(bench.called() == Items{1});
  CHECK(bench.line_of(2)["gristmill"]["cached"] == true);
}

TEST_CASE("one that is read while the answer is not durable yet waits for that") {
  DedupeBench bench{asking("aa")};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(1);
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  bench.answer(call);
  bench.want(5);
  CHECK(bench.look_ups.empty());
  CHECK(bench.offered.empty());
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().calls == 1);
}

// ---- answers that are not there -----------------------------------------------------------------

TEST_CASE("of followers that find no answer one is called, and the others follow that one") {
  DedupeBench bench{asking("aaa")};
  bench.begin();
  bench.answer(bench.take_offer(), "first");
  bench.write();
  CHECK(bench.looked_up() == Items{1, 2});
  bench.durable_answers.clear(); // somebody has damaged it
  bench.look_up();
  CHECK(bench.called() == Items{1});
  CHECK(bench.follows(2));
  CHECK(bench.look_ups.empty());
  const OfferedCall call = bench.take_offer();
  CHECK(call.planned.parts[0].raw + "\n" == item_line(1, "a"));
  bench.answer(call, "second");
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(1)["gristmill"]["cached"] == false);
  CHECK(bench.line_of(2)["response"] == bench.line_of(1)["response"]);
  CHECK(bench.supervisor->counts().calls == 2);
  CHECK(bench.supervisor->counts().cached == 1);
}

TEST_CASE("an answer that is looked up twice is taken once") {
  const bool is_found = GENERATE(false, true);
  CAPTURE(is_found);
  DedupeBench bench{asking("aa")};
  bench.begin();
  bench.answer(bench.take_offer());
  bench.write();
  if (!is_found) bench.durable_answers.clear();
  const LookedUpAnswers answers = bench.found_for(bench.take_look_ups());
  for (int times = 0; times < 3; ++times)
    bench.hear(bench.supervisor->looked_up(answers, bench.now));
  CHECK(bench.lines().size() == (is_found ? 2 : 1));
  CHECK(bench.called() == (is_found ? Items{} : Items{1}));
  CHECK(bench.supervisor->counts().cached == (is_found ? 1 : 0));
}

TEST_CASE("what is looked up for one whose call is claimed meanwhile does nothing") {
  const bool is_found = GENERATE(false, true);
  CAPTURE(is_found);
  DedupeBench bench{asking("a")};
  bench.start(marked(1));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10);
  LookedUpAnswers answers = bench.found_for(bench.take_look_ups());
  REQUIRE(answers.found.size() == 1);
  if (is_found) answers.found[0].answer = KnownAnswer{200, "", "m", "http://a", "{}"};
  bench.hear(bench.supervisor->claimed({claim(0, 900)}, bench.now));
  bench.hear(bench.supervisor->looked_up(std::move(answers), bench.now));
  CHECK(bench.lines().empty());
  CHECK(bench.offered.empty());
  bench.report_claimed(0, 900);
  CHECK(bench.line_of(0)["gristmill"]["cached"] == false);
  bench.settle();
  CHECK(bench.all_terminal);
}

TEST_CASE("look-ups go in batches, and those for which a slice has no room are asked for again") {
  DedupeBench bench{asking("abcd")};
  bench.start_fresh();
  REQUIRE(bench.looked_up() == Items{0, 1, 2, 3});
  std::vector<LookUp> asked = bench.take_look_ups();
  LookedUpAnswers answers;
  for (int n = 0; n < 3; ++n) {
    answers.rest.push_back(std::move(asked.back()));
    asked.pop_back();
  }
  answers.found.push_back({std::move(asked[0]), std::nullopt});
  bench.tick_at(bench.now);
  CHECK(bench.look_ups.empty()); // one batch at a time
  bench.hear(bench.supervisor->looked_up(std::move(answers), bench.now));
  CHECK(bench.called() == Items{0});
  CHECK(bench.looked_up() == Items{3, 2, 1});
  bench.look_up();
  CHECK(bench.offered.size() == 4);
}

TEST_CASE("what was looked up in vain waits for room, and is not looked up again") {
  DedupeBench bench{asking("abc")};
  bench.start_fresh(1);
  while (!bench.look_ups.empty()) bench.look_up();
  CHECK(bench.called() == Items{0});
  bench.want(1);
  while (!bench.look_ups.empty()) bench.look_up();
  bench.want(5);
  while (!bench.look_ups.empty()) bench.look_up();
  CHECK(bench.called() == Items{0, 1, 2});
  CHECK(bench.supervisor->counts().retrying == 0);
}

// ---- what is said of them -----------------------------------------------------------------------

TEST_CASE("who follows says what it waits for, and the job what its leader waits for") {
  DedupeBench bench{asking("aaa")};
  bench.start_fresh();
  CHECK_FALSE(bench.waits(0)); // it is looked up
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  CHECK(bench.supervisor->standing({"doc-1", 0}, bench.now).reason.kind == WaitKind::same_request);
  CHECK_FALSE(bench.supervisor->standing({"doc-1", 0}, bench.now).call);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  bench.report(call, OutcomeClass::transient);
  CHECK(bench.waits(0).kind == WaitKind::retry);
  CHECK(bench.follows(1));
  const WaitReason why = bench.supervisor->why_waiting(bench.now);
  CHECK(why.kind == WaitKind::retry);
  CHECK(why.limit == 1); // nobody calls the others
  CHECK(why.until == bench.waits(0).until);
  CHECK(bench.supervisor->wake_at() == why.until);
  bench.tick_at(why.until);
  bench.answer(bench.take_offer());
  bench.settle();
  for (const std::uint64_t item : {0, 1, 2}) CHECK(bench.waits(item).kind == WaitKind::recorded);
}

// ---- beside other things that jobs do -----------------------------------------------------------

TEST_CASE("inputs that go together in a call are each there once, and all take their answers") {
  std::string input;
  for (std::uint64_t item = 0; item < 6; ++item)
    input += batch_line(item, fmt::format(R"({{"model":"m","input":"text {}"}})", item / 2),
                        "/v1/embeddings");
  DedupeBench bench{input, of_batch_lines()};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.hear(bench.supervisor->pack_sizes({{"m", 8, 8}}, bench.now));
  bench.want(10);
  CHECK(bench.looked_up() == Items{0, 2, 4});
  bench.look_up();
  const OfferedCall call = bench.take_offer();
  REQUIRE(call.planned.parts.size() == 3);
  auto reported = bench.outcome(call);
  reported.outcome.body.clear();
  for (const PartId& part : reported.outcome.parts)
    reported.outcome.answers.push_back(
        {part, OutcomeClass::ok, fmt::format(R"({{"data":[{}]}})", part.item)});
  bench.report(std::move(reported));
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().calls == 1);
  CHECK(bench.supervisor->counts().attempts == 3);
  CHECK(bench.supervisor->counts().cached == 3);
  for (std::uint64_t item = 0; item < 6; ++item) {
    CAPTURE(item);
    CHECK(bench.line_of(item)["response"]["body"]["data"][0] == item - item % 2);
    CHECK(bench.line_of(item)["gristmill"]["cached"] == (item % 2 == 1));
  }
}

TEST_CASE("an input that is refused among others goes by itself before all that ask it fail") {
  std::string input;
  for (std::uint64_t item = 0; item < 4; ++item)
    input += batch_line(item, fmt::format(R"({{"model":"m","input":"text {}"}})", item / 2),
                        "/v1/embeddings");
  DedupeBench bench{input, of_batch_lines()};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.hear(bench.supervisor->pack_sizes({{"m", 8, 8}}, bench.now));
  bench.want(10);
  bench.look_up();
  bench.refuse(bench.take_offer());
  CHECK(bench.lines().empty());
  bench.tick_at(bench.now + 1min);
  CHECK(bench.look_ups.empty());
  CHECK(bench.called() == Items{0, 2});
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  bench.refuse(calls[0]);
  CHECK(bench.lines().size() == 2);
  bench.answer(calls[1]);
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.supervisor->counts().failed == 2);
  CHECK(bench.supervisor->counts().completed == 2);
}

TEST_CASE("a leader that takes far too long gets a second call, whichever answers is taken") {
  const bool second_wins = GENERATE(false, true);
  CAPTURE(second_wins);
  DedupeBench bench{all_different(20) + item_line(20, "a") + item_line(21, "a")};
  bench.spec.policy.hedge_percent = 100;
  bench.begin();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 21);
  std::vector<BegunCall> begun;
  for (const OfferedCall& call : calls) begun.push_back({call.planned.call, EndpointId{4}});
  bench.hear(bench.supervisor->begun(begun, bench.now));
  for (std::size_t n = 0; n < 20; ++n) {
    auto ended = bench.outcome(calls[n]);
    ended.outcome.latency_us = 100'000;
    bench.report(std::move(ended));
  }
  CHECK(bench.follows(21));
  bench.tick_at(bench.now + 10s);
  const OfferedCall second = bench.take_offer();
  CHECK(item_of(second) == 20);
  bench.answer(second_wins ? second : calls[20]);
  CHECK(bench.take_withdrawn() == std::vector{(second_wins ? calls[20] : second).planned.call});
  bench.settle();
  CHECK(bench.all_terminal);
  CHECK(bench.line_of(21)["gristmill"]["cached"] == true);
  CHECK(bench.supervisor->counts().cached == 1);
}

// ---- bounds -------------------------------------------------------------------------------------

TEST_CASE("so many look-ups wait, and no more is read until the joiner has looked") {
  constexpr std::size_t most = 4'096;
  DedupeBench bench{all_different(8'000)};
  bench.start_fresh(1u << 20);
  const std::size_t first = bench.look_ups.size();
  REQUIRE(first > 0);
  while (bench.supervisor->wake_at() == Time::min()) bench.tick_at(bench.now);
  const std::size_t out = bench.look_ups.size();
  CHECK(out >= first);
  CHECK(bench.supervisor->counts().total == out + most);
  bench.tick_at(bench.now + 1h);
  CHECK(bench.supervisor->counts().total == out + most);
  bench.look_up();
  CHECK(bench.look_ups.size() == most); // all that waited
  bench.look_up();
  CHECK(bench.supervisor->counts().total > out + most);
  while (bench.offered.size() < 8'000) {
    if (!bench.look_ups.empty()) bench.look_up();
    bench.tick_at(bench.now);
  }
  CHECK(bench.supervisor->counts().total_known);
}

TEST_CASE("at their bound of bytes lines with the answers of others wait for the disk") {
  constexpr std::uint64_t most = 32u << 20;
  DedupeBench bench{asking("aaa")};
  bench.begin();
  bench.answer(bench.take_offer());
  bench.write();
  REQUIRE(bench.looked_up() == Items{1, 2});
  const std::uint64_t bytes = GENERATE_COPY(most - 1, most, most + 1);
  CAPTURE(bytes);
  // One of them has an answer whose line has so many bytes; for the other was no room in the slice.
  LookedUpAnswers answers = bench.found_for(bench.take_look_ups());
  answers.rest.push_back(std::move(answers.found[1].asked));
  answers.found.resize(1);
  const auto known = [](std::uint64_t padding) {
    return KnownAnswer{200, "", "m", "http://a",
                       fmt::format(R"({{"a":"{}"}})", std::string(padding, 'x'))};
  };
  openai::Provenance about{"in-0.jsonl:2", 0, "m", "http://a", 0, true, 1};
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.body = known(0).body;
  const std::uint64_t empty = openai::result_line(JobId{7}, "doc-1", reply, about).size();
  answers.found[0].answer = known(bytes - empty);
  bench.hear(bench.supervisor->looked_up(std::move(answers), bench.now));
  REQUIRE(bench.lines().size() == 2);
  REQUIRE(bench.lines()[1].line.size() == bytes);
  CHECK(bench.looked_up() == (bytes < most ? Items{2} : Items{}));
  bench.tick_at(bench.now);
  CHECK(bench.look_ups.size() == (bytes < most ? 1 : 0));
  bench.write();
  CHECK(bench.looked_up() == Items{2});
  bench.settle();
  CHECK(bench.all_terminal);
}

} // namespace supervisor_dedupe_test
