// Documents that are asked for in chunks, and answers that are reduced.
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

namespace supervisor_chunks_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace gristmill::supervisor_test;

namespace {

constexpr std::uint32_t paragraph_tokens = 22;

PartId part(std::uint64_t item, std::uint32_t index, std::uint32_t level = 0) {
  return {JobId{7}, item, PartNumber{0, level, index}.value()};
}
std::string paragraph(std::uint32_t number) {
  return fmt::format("The paragraph with number {} has some words, and a full stop at its end.",
                     number % 100); // of one length
}
// A document of so many paragraphs, each of which is a chunk.
std::string document(std::uint64_t item, std::uint32_t paragraphs) {
  std::string text;
  for (std::uint32_t n = 1; n <= paragraphs; ++n)
    text += paragraph(n) + (n == paragraphs ? "" : "\\n\\n");
  return fmt::format(R"({{"id":"doc-{}","title":"T","text":"{}"}})", item, text) + "\n";
}
JobSpec in_chunks(bool reduced = false) {
  JobSpec spec = spec_of();
  spec.shape.prompt = "{{chunk}}/{{chunks}}: {{text}}";
  spec.shape.chunk_tokens = paragraph_tokens;
  if (reduced) spec.shape.reduce_prompt = "{{title}}: {{answers}}";
  return spec;
}

struct ChunksBench : Bench {
  explicit ChunksBench(std::string input, JobSpec its_spec = in_chunks())
      : Bench{std::move(input), std::move(its_spec)} {}

  // `words`: of the answer.
  void answer(const OfferedCall& call, std::string_view words = "yes") {
    ReportedOutcome reported = outcome(call);
    reported.outcome.body = fmt::format(
        R"({{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}}}}]}})", words);
    report(std::move(reported));
  }
  void answer_all(std::string_view words = "yes") {
    for (const OfferedCall& call : take_offers()) answer(call, words);
  }
  std::vector<ItemToJoin> take_joins() { return std::exchange(joins, {}); }
  // JOINER has made what steps are to see.
  void prepare(std::string_view members = R"("answers":"all of them")") {
    for (const ItemToJoin& join : take_joins()) {
      REQUIRE(join.step);
      hear(supervisor->joined(
          {{.item = join.item, .line = std::string{members}, .step = join.step}}, "", now));
    }
  }
  nlohmann::json part_line(const PartId& id) const {
    nlohmann::json found;
    for (const auto& append : appends)
      for (const auto& line : append.parts)
        if (line.part == id) found = nlohmann::json::parse(line.line);
    return found;
  }
};

// Of an answer of so many words that two of them are more than a step joins.
const std::string_view long_answer = "one two three four five six seven eight nine ten eleven";

} // namespace

TEST_CASE("a document is asked for chunk by chunk") {
  ChunksBench bench{document(0, 3) + document(1, 1)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 4);
  for (std::uint32_t n = 0; n < 3; ++n) {
    CHECK(calls[n].planned.part_ids() == std::vector{part(0, n)});
    CHECK(calls[n].planned.parts[0].kind == ItemKind::json_object);
    const auto raw = nlohmann::json::parse(calls[n].planned.parts[0].raw);
    CHECK(raw["text"] == paragraph(n + 1) + (n < 2 ? "\n\n" : ""));
    CHECK(raw["chunk"] == n + 1);
    CHECK(raw["chunks"] == 3);
    CHECK_FALSE(raw.contains("title")); // which nobody uses
  }
  CHECK(nlohmann::json::parse(calls[3].planned.parts[0].raw)["chunks"] == 1);
  bench.answer(calls[3]);
  CHECK(bench.lines().size() == 1); // an item of one part, as ever
  CHECK(bench.line_of(1)["gristmill"]["chunks"] == 1);
  for (const std::uint32_t n : {2u, 0u}) bench.answer(calls[n]);
  bench.write();
  CHECK(bench.joins.empty());
  bench.answer(calls[1]);
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].parts == 3);
  const auto about = bench.part_line(part(0, 1))["gristmill"];
  CHECK(about["part"] == 1);
  CHECK(about["chunk"]["number"] == 2);
  CHECK(about["chunk"]["of"] == 3);
  CHECK(about["chunk"]["gap"] == "\n\n");
}

// By which each byte is a token, so that the estimate would put all into one chunk.
TEST_CASE("a tokenizer divides a document, and alike in a later life of the job") {
  const auto bytes = std::make_shared<const bpe::Tokenizer>(
      bpe::Tokenizer::read(test::rank_file({}), "like-cl100k_base").value());
  JobSpec spec = in_chunks();
  spec.shape.chunk_tokens = static_cast<std::uint32_t>(paragraph(1).size() + 2);
  const auto texts_of = [&](RecoveredItems recovered) {
    ChunksBench bench{document(0, 4), spec};
    bench.tokenizer = bytes;
    bench.start(std::move(recovered));
    bench.hear(bench.supervisor->grace_over(bench.now));
    bench.want(1'000);
    std::vector<std::string> texts;
    for (const OfferedCall& call : bench.take_offers())
      texts.push_back(nlohmann::json::parse(call.planned.parts.at(0).raw)["text"]);
    return texts;
  };
  const auto texts = texts_of({});
  REQUIRE(texts.size() == 4);
  for (std::uint32_t n = 0; n < 4; ++n) CHECK(texts[n] == paragraph(n + 1) + (n < 3 ? "\n\n" : ""));
  RecoveredItems recovered;
  recovered.mark = 1;
  CHECK(texts_of(std::move(recovered)) == texts);
}

TEST_CASE("a step joins answers by the tokens that the tokenizer counts") {
  JobSpec spec = in_chunks(true);
  spec.shape.chunk_tokens = static_cast<std::uint32_t>(paragraph(1).size() + 2);
  ChunksBench bench{document(0, 4), spec};
  bench.tokenizer = std::make_shared<const bpe::Tokenizer>(
      bpe::Tokenizer::read(test::rank_file({}), "like-cl100k_base").value());
  bench.start_fresh();
  // 24 tokens by the estimate, of which three would fit, but 55 bytes.
  bench.answer_all(long_answer);
  bench.write();
  CHECK(bench.take_joins().size() == 2);
}

TEST_CASE("a text document has chunks, too") {
  JobSpec spec = in_chunks();
  spec.inputs[0].name = "book.txt";
  ChunksBench bench{paragraph(1) + "\n\n" + paragraph(2), spec};
  bench.source.names = {"book.txt"};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  CHECK(nlohmann::json::parse(calls[1].planned.parts[0].raw) ==
        nlohmann::json{{"text", paragraph(2)}, {"chunk", 2}, {"chunks", 2}});
}

TEST_CASE("a chunk that fails is asked for again, with the same text") {
  ChunksBench bench{document(0, 2)};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.report(calls[1], OutcomeClass::transient);
  bench.tick_at(bench.now + 10min);
  const OfferedCall again = bench.take_offer();
  CHECK(again.planned.parts[0].id == part(0, 1));
  CHECK(again.planned.parts[0].raw == calls[1].planned.parts[0].raw);
}

TEST_CASE("what nobody uses of a document does not travel with its chunks") {
  std::string input = document(0, 2);
  input.insert(1, R"("html":"<p>","title2":"x",)");
  JobSpec spec = in_chunks(true);
  spec.shape.keep = {"html"};
  ChunksBench bench{input, spec};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  const auto raw = nlohmann::json::parse(calls[0].planned.parts[0].raw);
  CHECK(raw["title"] == "T");
  CHECK_FALSE(raw.contains("html"));
  for (const OfferedCall& call : calls) bench.answer(call);
  bench.write();
  CHECK_FALSE(bench.part_line(part(0, 0))["gristmill"].contains("input"));
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].input.empty()); // of a step
  bench.prepare();
  bench.answer_all();
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].input == R"({"html":"<p>"})");
}

TEST_CASE("a document that changed under the job is not asked for by its old chunks") {
  std::string input = document(0, 3);
  const std::size_t bytes = input.size();
  for (std::uint64_t other = 1; other <= 9; ++other) input += document(other, 1); // kept instead
  ChunksBench bench{input};
  bench.start_fresh();
  const auto calls = bench.take_offers();
  bench.report(calls[2], OutcomeClass::transient);
  std::string changed = R"({"id":"doc-0","title":"T","text":"short")";
  changed.append(bytes - changed.size() - 2, ' ');
  bench.source.inputs[0].replace(0, bytes, changed + "}\n");
  bench.tick_at(bench.now + 10min);
  CHECK(bench.take_offers().empty());
  const auto line = bench.part_line(part(0, 2));
  REQUIRE(line.is_object());
  CHECK(line["error"]["code"] == "input_changed");
}

TEST_CASE("answers are reduced once all of a level are durable, as many as fit") {
  ChunksBench bench{document(0, 4), in_chunks(true)};
  bench.start_fresh();
  bench.answer_all(long_answer);
  CHECK(bench.joins.empty());
  bench.write();
  auto joins = bench.joins;
  REQUIRE(joins.size() == 2);
  CHECK(joins[0].step == part(0, 0, 1).part);
  CHECK(joins[0].first == part(0, 0).part);
  CHECK(joins[0].last == part(0, 2).part);
  CHECK(joins[0].parts == 2);
  CHECK(joins[1].first == part(0, 2).part);
  CHECK(joins[1].last == part(0, 4).part);
  bench.prepare();
  const auto steps = bench.take_offers();
  REQUIRE(steps.size() == 2);
  const auto raw = nlohmann::json::parse(steps[0].planned.parts[0].raw);
  CHECK(raw["answers"] == "all of them");
  CHECK(raw["title"] == "T");
  CHECK_FALSE(raw.contains("text")); // it need not travel with each step
  for (const OfferedCall& step : steps) bench.answer(step, long_answer);
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].step == part(0, 0, 2).part);
  bench.prepare();
  bench.answer_all();
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK_FALSE(bench.joins[0].step);
  CHECK(bench.joins[0].parts == 7);
}

TEST_CASE("small answers are reduced at once") {
  ChunksBench bench{document(0, 6), in_chunks(true)};
  bench.start_fresh();
  bench.answer_all();
  bench.write();
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].parts == 6);
}

TEST_CASE("another life asks for no answered chunk again, and finds the same tree") {
  ChunksBench bench{document(0, 4), in_chunks(true)};
  RecoveredItems recovered;
  recovered.mark = 1;
  for (std::uint32_t n = 0; n < 4; ++n) recovered.parts.ended[0].answered[part(0, n).part] = 11;
  recovered.parts.ended[0].answered[part(0, 1, 1).part] = 11;
  bench.start(std::move(recovered));
  bench.want(100);
  SECTION("a worker that makes the step's call goes on with it") {
    const CallId call = CallId::of(Epoch{2}, JobId{7}, 9);
    bench.hear(bench.supervisor->claimed(
        {{call, AttemptId::of(Epoch{2}, 1, 1), {part(0, 0, 1)}, EndpointId{1}}}, bench.now));
    bench.hear(bench.supervisor->grace_over(bench.now));
    CHECK(bench.joins.empty());
    CHECK(bench.offered.empty());
    OfferedCall claimed;
    claimed.planned.call = call;
    claimed.planned.parts = planned({part(0, 0, 1)});
    bench.answer(claimed);
    bench.write();
    REQUIRE(bench.joins.size() == 1);
    CHECK(bench.joins[0].step == part(0, 0, 2).part);
  }
  SECTION("else it is asked anew") {
    bench.hear(bench.supervisor->grace_over(bench.now));
    REQUIRE(bench.joins.size() == 1);
    CHECK(bench.joins[0].step == part(0, 0, 1).part);
    CHECK(bench.joins[0].last == part(0, 2).part);
  }
}

TEST_CASE("of a document that is cancelled a few chunks say so") {
  ChunksBench bench{document(0, 5) + document(1, 5)};
  bench.start_fresh(0);
  bench.hear(bench.supervisor->cancel(bench.now));
  bench.write();
  REQUIRE(bench.joins.size() == 2);
  for (const ItemToJoin& join : bench.joins) CHECK(join.parts == 1);
}

TEST_CASE("a document whose job is cancelled has failed, though all that was asked is answered") {
  constexpr std::uint32_t chunks = limits::open_chunks_max + 2;
  ChunksBench bench{document(0, chunks)};
  bench.start_fresh(chunks);
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == limits::open_chunks_max);
  bench.hear(bench.supervisor->cancel(bench.now));
  for (const OfferedCall& call : calls) bench.answer(call);
  bench.write();
  CHECK(bench.part_line(part(0, chunks - 2))["error"]["code"] == "cancelled");
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].parts == chunks - 1);
}

TEST_CASE("a document of very many chunks is open a part at a time") {
  constexpr std::uint32_t chunks = limits::open_chunks_max + 10;
  ChunksBench bench{document(0, chunks)};
  bench.start();
  bench.hear(bench.supervisor->grace_over(bench.now));
  std::uint32_t asked = 0;
  while (asked < chunks) {
    bench.want(1'000);
    const auto calls = bench.take_offers();
    REQUIRE(!calls.empty());
    for (const OfferedCall& call : calls) {
      CHECK(call.planned.parts[0].id == part(0, asked++));
      bench.answer(call);
    }
    bench.write();
  }
  REQUIRE(bench.joins.size() == 1);
  CHECK(bench.joins[0].parts == chunks);
}

} // namespace supervisor_chunks_test
