// Lines of items whose text was divided: what its chunks' lines say, and what is made of them.
#include "protocol/openai/line/joined_line.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/line/model_answers.hpp"
#include "protocol/part_number.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

namespace openai_chunk_line_test {

using namespace gristmill;
using namespace gristmill::openai;
using Json = nlohmann::ordered_json;

namespace {

struct Part {
  OutcomeClass cls = OutcomeClass::ok;
  std::string line;
  std::uint32_t number = 0;
};

// A chunk, or a step if `of` is 0.
struct Place {
  std::uint32_t index = 0, of = 0; // from 0
  std::uint32_t from = 0, to = 0;
  Gap gap = Gap::none;
  std::uint32_t model = 0, level = 0;

  std::uint32_t number() const { return PartNumber{model, level, index}.value(); }
};

// Model 0 is "a" at http://a, …
Provenance about_of(const Place& place) {
  const std::string name(1, static_cast<char>('a' + place.model));
  Provenance about{"in.jsonl:7", 1, name, "http://" + name, 100};
  about.latency_ms = 100 + 10 * place.index + 100 * place.level;
  about.item = 6;
  about.part = place.number();
  if (place.of > 0)
    about.chunk = ChunkOfText{{place.from, place.to, place.gap}, place.index + 1, place.of};
  return about;
}

Part answered(const Place& place, std::string body, const std::string& label = "") {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.request_id = fmt::format("req-\"{}\"", place.number());
  reply.body = std::move(body);
  Provenance about = about_of(place);
  about.label = label;
  return {OutcomeClass::ok, result_line(JobId{3}, "x", reply, about), place.number()};
}

std::string chat(const std::string& text, const std::string& rest = "") {
  return fmt::format(
      R"({{"choices":[{{"index":0,"message":{{"role":"assistant","content":{}}}}}]{}}})",
      Json(text).dump(), rest);
}
Part said(const Place& place, const std::string& text) {
  return answered(place, chat(text));
}
std::string used(int prompt, int completion) {
  return fmt::format(R"(,"usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})",
                     prompt, completion, prompt + completion);
}
std::string vector(const std::string& embedding, const std::string& rest = "") {
  return fmt::format(R"({{"object":"list","data":[{{"index":0,"embedding":{}}}]{}}})", embedding,
                     rest);
}

Part failed(const Place& place, OutcomeClass cls, std::string code, std::string message) {
  protocol::Reply reply;
  reply.cls = cls;
  reply.code = std::move(code);
  reply.message = std::move(message);
  return {cls, result_line(JobId{3}, "x", reply, about_of(place)), place.number()};
}

Place step(std::uint32_t level, std::uint32_t index, std::uint32_t model = 0) {
  return {.index = index, .model = model, .level = level};
}
// One of chunks of ten bytes each.
Place tenth(std::uint32_t index, std::uint32_t of, std::uint32_t model = 0) {
  return {index, of, 10 * index, 10 * index + 10, Gap::paragraph, model};
}

// The chunks of a text that consists of these, each answered by what `answer` makes of it.
template <class Answer>
std::vector<Part> parts_of(const std::vector<std::string>& texts, Answer answer,
                           std::uint32_t model = 0) {
  std::vector<Part> parts;
  std::uint32_t from = 0;
  for (const std::string& text : texts) {
    const auto to = from + static_cast<std::uint32_t>(text.size());
    parts.push_back(
        said({static_cast<std::uint32_t>(parts.size()), static_cast<std::uint32_t>(texts.size()),
              from, to, gap_at_end(text), model},
             answer(text)));
    from = to;
  }
  return parts;
}

std::string echo(const std::string& text) {
  return text;
}
std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \n");
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \n") + 1 - first);
}

std::vector<PartText> texts_of(const std::vector<Part>& parts) {
  std::vector<PartText> texts;
  for (const Part& part : parts) texts.push_back({part.cls, part.line, part.number});
  return texts;
}

JoinedLine joined(const std::vector<Part>& parts,
                  std::uint64_t bytes_max = limits::line_bytes_max) {
  const Provenance about{"in.jsonl:7", 0, "", "", 0, false, 6};
  JoinedLine joined = joined_line(JobId{3}, "id", about, texts_of(parts), bytes_max);
  CHECK(joined.line.find('\n') == std::string::npos);
  CHECK(json::check(joined.line));
  CHECK(check_result_line(joined.line));
  const auto checked = check_joined_line(joined.line, texts_of(parts));
  CHECK((checked ? "" : checked.error().message) == "");
  return joined;
}

// But for its checksum.
std::string line_of(const std::vector<Part>& parts) {
  const std::string line = joined(parts).line;
  return line.substr(0, line.rfind(",\"crc\":"));
}
Json json_of(const std::vector<Part>& parts) {
  return Json::parse(joined(parts).line);
}
std::string text_in(const Json& response) {
  return response["body"]["choices"][0]["message"]["content"];
}
std::string joined_text(const std::vector<Part>& parts) {
  return text_in(json_of(parts)["response"]);
}

// The line with something else in it, under a checksum that is not looked at.
std::string why_wrong(const std::vector<Part>& parts, const Json& line) {
  const auto checked = check_joined_line(line.dump(), texts_of(parts));
  return checked ? "" : checked.error().message;
}

} // namespace

TEST_CASE("a chunk's line says which chunk it is, before the item's number") {
  Part part = said({1, 3, 812, 1600, Gap::paragraph}, "hi");
  CHECK(part.line.substr(0, part.line.rfind(",\"crc\":")) ==
        R"({"id":"batch_req_3_6","custom_id":"x","response":{"status_code":200,)"
        R"("request_id":"req-\"1\"","body":{"choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"hi"}}]}},"error":null,"gristmill":{"source":"in.jsonl:7","attempts":1,)"
        R"("model":"a","endpoint":"http://a","latency_ms":110,"cached":false,)"
        R"("chunk":{"number":2,"of":3,"from":812,"to":1600,"gap":"\n\n"},"item":6,"part":1)");
  CHECK(check_result_line(part.line)->part == 1u);
  for (const auto& [gap, text] : {std::pair{Gap::none, R"("gap":"")"},
                                  {Gap::space, R"("gap":" ")"},
                                  {Gap::line, R"("gap":"\n")"}})
    CHECK(said({1, 3, 0, 1, gap}, "").line.find(text) != std::string::npos);
}

TEST_CASE("a model that says what it hears gives the text back, byte for byte") {
  const auto texts = GENERATE(values<std::vector<std::string>>({
      {"# One\n\nfirst.\n\n", "# Two\n\nsecond line\n", "third, ", "fourth. \xc3\xbc\n", "fi",
       "fth"},
      {"\n\n a", " b \n\n\n", "\n c"},
      {"cut in the mid", "dle of a wo", "rd"},
      {" ", "\n", " "},
  }));
  std::string all;
  for (const std::string& text : texts) all += text;
  CHECK(joined_text(parts_of(texts, echo)) == all);
}

TEST_CASE("a model that trims its answers gives paragraphs, lines and words apart") {
  CHECK(joined_text(parts_of({"# One\n\nfirst.\n\n", "second\n", "third. ", "fourth", "teen"},
                             trimmed)) == "# One\n\nfirst.\n\nsecond\nthird. fourthteen");
  // White space of an answer's own is enough, on either side.
  CHECK(joined_text(
            {said({0, 4, 0, 3, Gap::paragraph}, "a\n"), said({1, 4, 3, 6, Gap::paragraph}, "b"),
             said({2, 4, 6, 9, Gap::line}, "\tc\f"), said({3, 4, 9, 12}, "d")}) == "a\nb\tc\fd");
  // An answer without text adds nothing; a paragraph's end before or behind it is one.
  for (const auto& [before, behind, text] : {std::tuple{Gap::line, Gap::paragraph, "a\n\nc"},
                                             {Gap::paragraph, Gap::line, "a\n\nc"},
                                             {Gap::none, Gap::space, "a c"},
                                             {Gap::space, Gap::none, "a c"},
                                             {Gap::none, Gap::none, "ac"}})
    CHECK(joined_text({said({0, 3, 0, 3, before}, "a"), said({1, 3, 3, 6, behind}, ""),
                       said({2, 3, 6, 9}, "c")}) == text);
  CHECK(joined_text({said({0, 2, 0, 3, Gap::line}, "a"), said({1, 2, 3, 6}, "")}) == "a");
  CHECK(joined_text({said({0, 2, 0, 3, Gap::line}, ""), said({1, 2, 3, 6}, "")}).empty());
  CHECK(joined_text({said({0, 2, 0, 3, Gap::line}, ""), said({1, 2, 3, 6, Gap::line}, "b")}) ==
        "b");
}

TEST_CASE("the joined line of chunks has their number, and what all of them used") {
  const std::string responses = R"({"output":[{"type":"message","content":)"
                                R"([{"type":"output_text","text":"r"}]}],)"
                                R"("usage":{"input_tokens":100,"output_tokens":30}})";
  CHECK(line_of({answered(tenth(0, 3), chat("one", used(1, 2))),
                 answered(tenth(1, 3), R"({"choices":[{"text":"two"}])" + used(10, 5) + "}"),
                 answered(tenth(2, 3), responses)}) ==
        R"({"id":"batch_req_3_6","custom_id":"id","response":{"status_code":200,"request_id":"",)"
        R"("body":{"object":"chat.completion","model":"a","choices":[{"index":0,"message":)"
        R"({"role":"assistant","content":"one\n\ntwo\n\nr"},"finish_reason":"stop"}],)"
        R"("usage":{"prompt_tokens":111,"completion_tokens":37,"total_tokens":148}}},"error":null,)"
        R"("gristmill":{"source":"in.jsonl:7","attempts":3,"model":"a","endpoint":"http://a",)"
        R"("latency_ms":120,"cached":false,"chunks":3,"item":6)");
}

TEST_CASE("what one of the chunks used and does not say is not made up") {
  const auto line =
      json_of({answered(tenth(0, 2), chat("one", used(1, 2))), said(tenth(1, 2), "")});
  CHECK_FALSE(line["response"]["body"].contains("usage"));
}

TEST_CASE("the one chunk of a short text answers as it did") {
  const Part part = answered({0, 1, 0, 5}, vector("[3.0,4]", R"(,"model":"m")"));
  CHECK(
      line_of({part}).find(R"("request_id":"req-\"0\"","body":{"object":"list","data":[{"index":0,)"
                           R"("embedding":[3.0,4]}],"model":"m"}})") != std::string::npos);
  CHECK(joined_text({said({0, 1, 0, 0}, "of an empty text")}) == "of an empty text");
}

TEST_CASE("of a reduced item the last step's response stands as its line has it") {
  const std::vector<Part> parts{said(tenth(0, 3), "1"),
                                said(tenth(1, 3), "2"),
                                said(tenth(2, 3), "3"),
                                said(step(1, 0), "1 and 2"),
                                said(step(1, 1), "3 alone"),
                                answered(step(2, 0),
                                         R"({"choices":[{"message":{"content":"all"}}],)"
                                         R"("usage":{"cost":1.50}})")};
  CHECK(line_of(parts) ==
        R"({"id":"batch_req_3_6","custom_id":"id","response":{"status_code":200,)"
        R"("request_id":"req-\"4194304\"","body":{"choices":[{"message":{"content":"all"}}],)"
        R"("usage":{"cost":1.50}}},"error":null,"gristmill":{"source":"in.jsonl:7","attempts":6,)"
        R"("model":"a","endpoint":"http://a","latency_ms":300,"cached":false,"chunks":3,"item":6)");
}

TEST_CASE("vectors of chunks are pooled by their bytes and made of length 1") {
  struct Row {
    std::vector<std::pair<std::string, std::uint32_t>> vectors; // with the bytes of each
    std::string pooled;
  };
  const auto row = GENERATE(values<Row>({
      // (1·[4,0] + 3·[0,1]) / 4 = [1,0.75], of length 1.25
      {{{"[4,0]", 1}, {"[0,1.0]", 3}}, "[0.8,0.6]"},
      {{{"[4,0]", 3}, {"[0,1.0]", 4}}, "[0.9486833,0.31622776]"},
      {{{"[1,1,1]", 7}, {"[1,1,1]", 9}}, "[0.57735026,0.57735026,0.57735026]"},
      {{{"[-6e-1,0,0]", 5}, {"[0,0,0.0]", 5}, {"[0,-0.8,0]", 5}}, "[-0.6,-0.8,0]"},
      {{{"[1,-2]", 2}, {"[-1,2]", 2}}, "[0,0]"},
      {{{"[0,0]", 2}, {"[0,0]", 2}}, "[0,0]"},
      {{{"[2,1e-400]", 2}, {"[2,1E-300]", 2}}, "[1,0]"}, // too small for a float
      {{{"[1e-3,1]", 1}, {"[1e-3,1]", 1}}, "[0.0009999995,0.9999995]"},
      // base64 of float32: [4,0] and, without its padding, [0,1]
      {{{R"("AACAQAAAAAA=")", 1}, {R"("AAAAAAAAgD8")", 3}}, "[0.8,0.6]"},
      {{{R"("AACAQAAAAAA=")", 1}, {"[0,1]", 3}}, "[0.8,0.6]"},
      {{{"[3.4e38,0]", 4'000'000'000}, {"[3.4e38,0]", 5}}, "[1,0]"},
  }));
  std::vector<Part> parts;
  std::uint32_t from = 0;
  for (const auto& [embedding, bytes] : row.vectors) {
    const auto of = static_cast<std::uint32_t>(row.vectors.size());
    parts.push_back(answered({static_cast<std::uint32_t>(parts.size()), of, from, from + bytes},
                             vector(embedding)));
    from += bytes;
  }
  CAPTURE(row.vectors.front().first);
  CHECK(line_of(parts).find(
            R"("body":{"object":"list","data":[{"object":"embedding","index":0,"embedding":)" +
            row.pooled + R"(}],"model":"a"}},"error":null)") != std::string::npos);
}

TEST_CASE("a pooled vector stands in the answer of one request, with what all of them used") {
  const std::string usage = R"(,"usage":{"prompt_tokens":7,"total_tokens":7})";
  CHECK(line_of({answered(tenth(0, 2), vector("[3,0]", usage)),
                 answered(tenth(1, 2), vector("[0,4]", usage))})
            .find(R"("embedding":[0.6,0.8]}],"model":"a","usage":{"prompt_tokens":14,)"
                  R"("total_tokens":14}}},"error":null,)") != std::string::npos);
}

TEST_CASE("vectors that do not fit together fail the item, and each chunk's answer stands") {
  const auto [second, sentence] = GENERATE(table<std::string, std::string>({
      {vector("[1,2,3]"), "expected a vector of 2 numbers, as of those before, got 3"},
      {vector("[1]"), "expected a vector of 2 numbers, as of those before, got 1"},
      {vector("[]"), "expected a vector of numbers, got none"},
      {vector("[1,null]"), "expected a vector of numbers, got none"},
      {vector("[1,1e39]"), "expected a vector of numbers, got none"},
      {vector("[1,1e400]"), "expected a vector of numbers, got none"},
      {vector(R"("AACAQAA=")"), "expected a vector of numbers, got none"},
      {vector(R"("AADAfwAAAAA=")"), "expected a vector of numbers, got none"}, // NaN
      {R"({"data":[]})", "expected a vector of numbers, got none"},
      {chat("no vector"), "expected a vector of numbers, got none"},
  }));
  const std::vector<Part> parts{answered(tenth(0, 2), vector("[1,2]")),
                                answered(tenth(1, 2), second)};
  const JoinedLine line = joined(parts);
  CHECK(line.cls == OutcomeClass::bad_result);
  CHECK(line.code == "part_failed");
  CHECK(line.message == "chunk 2 of 2: " + sentence);
  CHECK(line.line.find(R"("response":null,"error":{"code":"part_failed",)") != std::string::npos);
  CHECK(line.line.find(R"("class":"bad_result","chunks":2,"parts":[{"chunk":1,"response":{)") !=
        std::string::npos);
  const std::string failed = R"("class":"bad_result",)";
  std::string answer = line.line;
  answer.erase(answer.find(failed), failed.size());
  const auto checked = check_joined_line(answer, texts_of(parts));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message == "expected the failure of its chunks together, got an answer");
}

TEST_CASE("chunks vote for the item's label with their bytes") {
  using Given = std::vector<std::pair<const char*, std::uint32_t>>; // label, bytes
  struct Row {
    Given given;
    const char* label; // nullptr = null
    const char* votes;
    bool tie;
  };
  const auto row = GENERATE(values<Row>({
      {{{"x", 10}, {"y", 11}}, "y", R"({"x":10,"y":11})", false},
      {{{"y", 3}, {"x", 5}, {"y", 3}}, "y", R"({"y":6,"x":5})", false},
      {{{"Yes", 3}, {"no", 5}, {"yes", 3}}, "Yes", R"({"Yes":6,"no":5})", false},
      {{{"x", 7}, {"y", 7}}, nullptr, R"({"x":7,"y":7})", true},
      {{{"x", 7}, {"z", 1}, {"y", 7}}, nullptr, R"({"x":7,"z":1,"y":7})", true},
      {{{"x", 7}, {"y", 7}, {"z", 8}}, "z", R"({"x":7,"y":7,"z":8})", false},
      {{{"x", 1}, {"", 9}}, "x", R"({"x":1})", false}, // "label":null
      {{{"", 1}, {"", 9}}, nullptr, "{}", false},
  }));
  std::vector<Part> parts;
  std::uint32_t from = 0;
  for (const auto& [label, bytes] : row.given) {
    const auto of = static_cast<std::uint32_t>(row.given.size());
    const Place place{static_cast<std::uint32_t>(parts.size()), of, from, from + bytes, Gap::line};
    parts.push_back(answered(place, chat(fmt::format("It is {}.", label)), label));
    if (std::string_view{label}.empty()) {
      std::string& line = parts.back().line;
      line.insert(line.find(",\"chunk\":"), ",\"label\":null");
    }
    from += bytes;
  }
  CAPTURE(row.votes);
  const std::string label = row.label == nullptr ? "null" : fmt::format("\"{}\"", row.label);
  const std::string line = line_of(parts);
  CHECK(line.find(fmt::format(R"("cached":false,"label":{},"votes":{}{},"chunks":{},"item":6)",
                              label, row.votes, row.tie ? ",\"tie\":true" : "", parts.size())) !=
        line.npos);
  CHECK(joined_text(parts) == (row.label == nullptr ? "" : row.label));
}

TEST_CASE("a step that joins labels has the label, and nobody votes") {
  const std::string line =
      line_of({answered(tenth(0, 2), chat("x"), "x"), answered(tenth(1, 2), chat("y"), "y"),
               answered(step(1, 0), chat("y!"), "y")});
  CHECK(line.find(R"("cached":false,"label":"y","chunks":2,"item":6)") != line.npos);
}

TEST_CASE("a chunk that failed is said with its number, and what the others answered stands") {
  const std::vector<Part> parts{said(tenth(0, 3), "one"),
                                failed(tenth(1, 3), OutcomeClass::too_long, "context", "too long"),
                                failed(tenth(2, 3), OutcomeClass::policy, "filtered", "")};
  const JoinedLine line = joined(parts);
  CHECK(line.cls == OutcomeClass::too_long);
  CHECK(line.code == "part_failed");
  CHECK(
      line_of(parts) ==
      R"({"id":"batch_req_3_6","custom_id":"id","response":null,"error":{"code":"part_failed",)"
      R"("message":"chunk 2 of 3 failed: context: too long"},"gristmill":{"source":"in.jsonl:7",)"
      R"("attempts":3,"model":"a","endpoint":"http://a","latency_ms":120,"cached":false,)"
      R"("class":"too_long","chunks":3,"parts":[{"chunk":1,"response":{"status_code":200,)"
      R"("request_id":"req-\"0\"","body":{"choices":[{"index":0,"message":{"role":"assistant",)"
      R"("content":"one"}}]}},"error":null},{"chunk":2,"response":null,"error":)"
      R"({"code":"context","message":"too long"}},{"chunk":3,"response":null,"error":)"
      R"({"code":"filtered","message":"the endpoint's content policy refuses the request"}}],"item":6)");
}

TEST_CASE("a failed item has the chunks that have ended, in their order, whatever failed it") {
  const auto chunks = [](const JoinedLine& line) {
    std::vector<int> numbers;
    const Json all = Json::parse(line.line)["gristmill"]["parts"];
    for (const Json& part : all) numbers.push_back(part["chunk"]);
    return numbers;
  };
  const JoinedLine early = joined(
      {said(tenth(1, 12), "two"), failed(tenth(2, 12), OutcomeClass::timeout, "timeout", "late")});
  CHECK(early.message == "chunk 3 of 12 failed: timeout: late");
  CHECK(chunks(early) == std::vector{2, 3});

  const JoinedLine cancelled =
      joined({said(tenth(0, 2), "one"),
              failed(tenth(1, 2), OutcomeClass::cancelled, "cancelled", "the job was cancelled")});
  CHECK(cancelled.code == "cancelled");
  CHECK(cancelled.message == "chunk 2 of 2 failed: cancelled: the job was cancelled");
  CHECK(chunks(cancelled) == std::vector{1, 2});

  const JoinedLine in_step =
      joined({said(tenth(0, 2), "one"), said(tenth(1, 2), "two"), said(step(1, 0), "first"),
              failed(step(1, 1), OutcomeClass::policy, "filtered", "no")});
  CHECK(in_step.code == "part_failed");
  CHECK(in_step.message == "step 2 of level 1 failed: filtered: no");
  CHECK(chunks(in_step) == std::vector{1, 2});
}

TEST_CASE("two models each join their own chunks, and vote with the label that theirs give") {
  const auto vote = [](std::uint32_t index, std::uint32_t model, const char* label) {
    return answered(tenth(index, 3, model), chat(label), label);
  };
  const std::vector<Part> parts{vote(0, 0, "x"), vote(1, 0, "y"), vote(2, 0, "x"),
                                vote(0, 1, "y"), vote(1, 1, "x"), vote(2, 1, "x")};
  const Json ours = json_of(parts)["gristmill"];
  CHECK(ours["chunks"] == 3);
  CHECK(ours["label"] == "x");
  CHECK(ours["votes"].dump() == R"({"x":2})");
  CHECK(ours["answers"][0]["label"] == "x");
  CHECK(ours["answers"][0]["votes"].dump() == R"({"x":20,"y":10})");
  CHECK(ours["answers"][1]["votes"].dump() == R"({"y":10,"x":20})");
  CHECK(text_in(ours["answers"][1]["response"]) == "x");

  const auto half = [](std::uint32_t index, std::uint32_t model, const char* label) {
    return answered(tenth(index, 2, model), chat(label), label);
  };
  const Json tied =
      json_of({half(0, 0, "x"), half(1, 0, "y"), half(0, 1, "y"), half(1, 1, "y")})["gristmill"];
  CHECK(tied["label"] == "y");
  CHECK(tied["votes"].dump() == R"({"y":1})");
  CHECK(tied["answers"][0]["label"].is_null());
  CHECK(tied["answers"][0]["tie"] == true);
  CHECK_FALSE(tied["answers"][1].contains("tie"));
  CHECK_FALSE(tied.contains("tie"));
}

TEST_CASE("two models give back their texts, or their vectors, each by itself") {
  std::vector<Part> parts = parts_of({"one\n\n", "two"}, echo);
  for (const Part& part : parts_of({"one\n\n", "two"}, trimmed, 1)) parts.push_back(part);
  const Json line = json_of(parts);
  CHECK(text_in(line["response"]) == "one\n\ntwo");
  CHECK(line["response"] == line["gristmill"]["answers"][0]["response"]);
  CHECK(text_in(line["gristmill"]["answers"][1]["response"]) == "one\n\ntwo");

  const Json pooled =
      json_of({answered(tenth(0, 2), vector("[3,0]")), answered(tenth(1, 2), vector("[0,4]")),
               answered(tenth(0, 2, 1), vector("[4]")), answered(tenth(1, 2, 1), vector("[3]"))});
  CHECK(pooled["response"]["body"]["data"][0]["embedding"] == Json{0.6, 0.8});
  CHECK(pooled["gristmill"]["answers"][1]["response"]["body"]["data"][0]["embedding"] == Json{1});
}

TEST_CASE("an answer with a chunk that was cut says so") {
  const auto ended = [](std::uint32_t n, const std::string& reason) {
    return answered(tenth(n, 3),
                    fmt::format(R"({{"choices":[{{"index":0,"message":{{"role":)"
                                R"("assistant","content":"x"}},"finish_reason":"{}"}}]}})",
                                reason));
  };
  const auto reason_of = [](const std::vector<Part>& parts) {
    return json_of(parts)["response"]["body"]["choices"][0]["finish_reason"];
  };
  CHECK(reason_of({ended(0, "stop"), ended(1, "stop"), ended(2, "stop")}) == "stop");
  CHECK(reason_of({ended(0, "stop"), ended(1, "length"), ended(2, "stop")}) == "length");
}

TEST_CASE("answers of which one is missing are not whole, unless another one has failed") {
  std::vector<Part> parts{said(tenth(0, 3), "a"), said(tenth(2, 3), "c")};
  const auto checked = check_whole(texts_of(parts));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message == "expected chunk 2 of 3, got chunk 3 of 3");
  CHECK_FALSE(check_whole(texts_of({said(tenth(0, 3), "a"), said(tenth(1, 3), "b")})));
  parts.push_back(failed(tenth(1, 3, 1), OutcomeClass::cancelled, "cancelled", ""));
  CHECK(check_whole(texts_of(parts)));
}

TEST_CASE("a judge sees the label that a model's chunks gave, not each chunk's") {
  const std::vector<Part> parts{
      answered(tenth(0, 3), chat("It is x."), "x"), answered(tenth(1, 3), chat("y"), "y"),
      answered(tenth(2, 3), chat("x"), "x"), answered(tenth(0, 1, 1), chat("So: y"), "y")};
  CHECK(answer_members(texts_of(parts)) == R"("answer.1":"x","answer.2":"So: y")");
}

TEST_CASE(
    "reduced models stand beside each other with their last steps, and the judge sees those") {
  std::vector<Part> parts{said(tenth(0, 2), "1"), said(tenth(1, 2), "2"),
                          said(step(1, 0), "<think>?</think>one whole"),
                          said(tenth(0, 2, 1), "<think>a"), said(tenth(1, 2, 1), "tail</think>b ")};
  CHECK(answer_members(texts_of(parts)) == R"("answer.1":"one whole","answer.2":"b ")");
  parts.push_back(said({.model = 2, .level = PartNumber::level_judge}, "good"));
  const Json line = json_of(parts);
  CHECK(text_in(line["response"]) == "<think>?</think>one whole");
  CHECK(line["response"]["request_id"] == "req-\"2097152\"");
  const Json answers = line["gristmill"]["answers"];
  REQUIRE(answers.size() == 2);
  CHECK(answers[0]["attempts"] == 3);
  CHECK(answers[0]["latency_ms"] == 200);
  CHECK(text_in(answers[1]["response"]) == "<think>a\n\ntail</think>b ");
  CHECK(text_in(line["gristmill"]["judge"]["response"]) == "good");
  CHECK(line["gristmill"]["attempts"] == 6);
}

TEST_CASE("what chunks answered stands with the model that failed, and with no other") {
  const std::vector<Part> parts{said(tenth(0, 2), "one"),
                                said(tenth(1, 2), "two"),
                                said(tenth(0, 2, 1), "eins"),
                                failed(tenth(1, 2, 1), OutcomeClass::too_long, "context", "long"),
                                said(tenth(0, 2, 2), "un"),
                                said(tenth(1, 2, 2), "deux"),
                                failed(step(1, 0, 2), OutcomeClass::policy, "filtered", "no")};
  const JoinedLine line = joined(parts);
  CHECK(line.cls == OutcomeClass::too_long);
  CHECK(line.code == "model_failed");
  CHECK(line.message == "model \"b\" failed: context: chunk 2 of 2: long");
  const Json ours = Json::parse(line.line)["gristmill"];
  CHECK_FALSE(ours.contains("parts"));
  CHECK_FALSE(ours["answers"][0].contains("parts"));
  CHECK(ours["answers"][1]["error"] ==
        Json{{"code", "context"}, {"message", "chunk 2 of 2: long"}});
  REQUIRE(ours["answers"][1]["parts"].size() == 2);
  CHECK(text_in(ours["answers"][1]["parts"][0]["response"]) == "eins");
  CHECK(ours["answers"][1]["parts"][1] ==
        Json{{"chunk", 2},
             {"response", nullptr},
             {"error", {{"code", "context"}, {"message", "long"}}}});
  CHECK(ours["answers"][2]["error"]["message"] == "step 1 of level 1: no");
  CHECK(ours["answers"][2]["parts"].size() == 2);

  const JoinedLine unfit =
      joined({answered(tenth(0, 1), vector("[1]")), answered(tenth(0, 2, 1), vector("[1,2]")),
              answered(tenth(1, 2, 1), vector("[1]"))});
  CHECK(unfit.cls == OutcomeClass::bad_result);
  CHECK(unfit.message == "model \"b\" failed: part_failed: chunk 2 of 2: expected a vector of 2 "
                         "numbers, as of those before, got 1");
}

TEST_CASE("a line that would be too long says so instead of the answer") {
  const std::vector<Part> parts = parts_of({"one\n\n", "two"}, echo);
  const std::string whole = joined(parts).line;
  for (const std::uint64_t bytes_max : {whole.size(), whole.size() + 1})
    CHECK(joined(parts, bytes_max).line == whole);
  const JoinedLine line = joined(parts, whole.size() - 1);
  CHECK(line.cls == OutcomeClass::bad_result);
  CHECK(line.code == "result_too_long");
  CHECK(
      line.line.substr(0, line.line.rfind(",\"crc\":")) ==
      fmt::format(R"({{"id":"batch_req_3_6","custom_id":"id","response":null,"error":)"
                  R"({{"code":"result_too_long","message":"expected a line of at most {} bytes, )"
                  R"(got {}; what its parts answered stands in parts-*.jsonl in the job's folder )"
                  R"-(of the state directory (`gristmill results JOB --parts` prints it)"}},)-"
                  R"("gristmill":)"
                  R"({{"source":"in.jsonl:7","attempts":2,"model":"a","endpoint":"http://a",)"
                  R"("latency_ms":110,"cached":false,"class":"bad_result","chunks":2,"item":6)",
                  whole.size() - 1, whole.size()));
}

TEST_CASE("a long line of several models loses their answers, and keeps the label") {
  const std::vector<Part> parts{answered({.model = 0}, chat("x"), "x"),
                                answered({.model = 1}, chat("x"), "x")};
  const std::uint64_t bytes = joined(parts).line.size();
  CHECK(joined(parts, bytes).code.empty());
  const JoinedLine line = joined(parts, bytes - 1);
  CHECK(line.code == "result_too_long");
  const Json json = Json::parse(line.line);
  CHECK(json["response"].is_null());
  CHECK(json["gristmill"]["label"] == "x");
  CHECK_FALSE(json["gristmill"].contains("answers"));
}

TEST_CASE("a failure that makes a long line stays that failure, without the answers") {
  std::vector<Part> parts{said(tenth(0, 2), std::string(1'000, 'x')),
                          failed(tenth(1, 2), OutcomeClass::too_long, "context", "long")};
  JoinedLine line = joined(parts, 1'000);
  CHECK(line.cls == OutcomeClass::too_long);
  CHECK(line.code == "part_failed");
  CHECK(line.message ==
        "chunk 2 of 2 failed: context: long; what its parts answered stands in parts-*.jsonl in "
        "the job's folder of the state directory (`gristmill results JOB --parts` prints it)");
  CHECK_FALSE(Json::parse(line.line)["gristmill"].contains("parts"));
  parts.push_back(said(tenth(0, 2, 1), "y"));
  parts.push_back(said(tenth(1, 2, 1), "y"));
  line = joined(parts, 1'000);
  CHECK(line.code == "model_failed");
  CHECK_FALSE(Json::parse(line.line)["gristmill"].contains("answers"));
}

TEST_CASE("a step sees the answers in order, without thoughts, a blank line between them") {
  const std::vector<Part> parts{said(tenth(0, 4), "<think>hm</think>one \"1\" \n\n"),
                                said(tenth(1, 4), "x</think>two"), said(tenth(2, 4), " \n"),
                                said(tenth(3, 4), "  four\t")};
  CHECK(reduce_members(texts_of(parts)) == R"("answers":"one \"1\"\n\ntwo\n\n  four")");
  CHECK(reduce_members(texts_of({said(step(1, 0), "one")})) == R"("answers":"one")");
  CHECK(reduce_members(texts_of({said(step(1, 0), "")})) == R"("answers":"")");
}

TEST_CASE("a line that says something else than its chunks is found") {
  const auto vote = [](std::uint32_t index, const char* label) {
    return answered(tenth(index, 3), chat(label), label);
  };
  const std::vector<Part> labels{vote(0, "x"), vote(1, "y"), vote(2, "x")};
  const std::vector<Part> vectors{answered(tenth(0, 2), vector("[3,0]")),
                                  answered(tenth(1, 2), vector("[0,4]"))};
  const std::vector<Part> texts = parts_of({"one\n\n", "two"}, trimmed);
  std::vector<Part> reduced = texts;
  reduced.push_back(said(step(1, 0), "all"));
  std::vector<Part> of_two = vectors;
  of_two.push_back(answered(tenth(0, 2, 1), vector("[1]")));
  of_two.push_back(answered(tenth(1, 2, 1), vector("[1]")));
  const auto changed = [](const std::vector<Part>& parts, const char* pointer, const Json& to) {
    Json line = json_of(parts);
    REQUIRE(why_wrong(parts, line) == "");
    line[Json::json_pointer(pointer)] = to;
    return why_wrong(parts, line);
  };
  const char *const text = "/response/body/choices/0/message/content",
                    *const embedding = "/response/body/data/0/embedding";
  CHECK(changed(texts, text, "one two") ==
        "expected the texts of its 2 parts joined, got another text");
  CHECK(changed(texts, text, "one\n\ntwo") == "");
  CHECK(changed(texts, "/response/body/later", 1) == "");
  CHECK(changed(texts, "/gristmill/chunks", 3) == "expected 2 chunks, got another number");
  CHECK(changed(vectors, embedding, {0.6, 0.7}) ==
        "expected the vectors of its 2 parts joined, got another vector");
  CHECK(changed(vectors, embedding, {0.6}) != "");
  CHECK(changed(vectors, "/response/body", "x") != "");
  CHECK(changed(vectors, "/response", nullptr) != "");
  CHECK(changed(labels, "/gristmill/label", "y") ==
        "expected the label that its chunks give, got another one");
  CHECK(changed(labels, "/gristmill/label", nullptr) != "");
  CHECK(changed(labels, "/gristmill/votes/x", 21) != "");
  CHECK(changed(labels, "/gristmill/tie", true) != "");
  CHECK(changed(labels, text, "y") != "");
  CHECK(changed(reduced, text, "other") ==
        "expected the response of its last part, got another one");
  CHECK(changed(reduced, "/response/request_id", "other") != "");
  CHECK(changed(of_two, "/gristmill/answers/1/response/body/data/0/embedding", {0.9}) ==
        "expected the response of model \"b\", got another one in answers");
  CHECK(changed(of_two, "/gristmill/chunks", 3) == "expected 2 chunks, got another number");
}

TEST_CASE("a failed line is held to its chunks") {
  const std::vector<Part> parts{said(tenth(0, 2), "one"),
                                failed(tenth(1, 2), OutcomeClass::policy, "filtered", "no")};
  const std::vector<Part> good{said(tenth(0, 2), "one"), said(tenth(1, 2), "two")};
  const Json line = json_of(parts);
  CHECK(why_wrong(good, line) == "expected an answer, as all 2 parts have, got a failed part");
  CHECK(why_wrong(parts, json_of(good)) == "expected the failure of chunk 2 of 2, got an answer");
  Json other = line;
  other["gristmill"]["parts"][0]["response"] = nullptr;
  CHECK(why_wrong(parts, other) == "expected the answers of its chunks, got others");
  other = line;
  other["gristmill"].erase("parts");
  CHECK(why_wrong(parts, other) == "expected the answers of its chunks, got others");
  other["error"]["code"] = "quarantined"; // somebody else ended it
  CHECK(why_wrong(parts, other) == "");

  std::vector<Part> two = parts;
  two.push_back(said(tenth(0, 2, 1), "eins"));
  two.push_back(said(tenth(1, 2, 1), "zwei"));
  other = json_of(two);
  other["gristmill"]["answers"][0]["parts"][0]["chunk"] = 3;
  CHECK(why_wrong(two, other) ==
        "expected the chunks' answers of model \"a\", got others in answers");

  const Json too_long = Json::parse(joined(good, 10).line),
             shortened = Json::parse(joined(parts, 10).line);
  CHECK(why_wrong(parts, too_long) == "expected the failure of a part, got result_too_long");
  CHECK(why_wrong(good, shortened) == "expected an answer, as all parts have, got part_failed");
  CHECK(why_wrong({good[0]}, too_long) == "expected 2 chunks, got the first 1");
}

TEST_CASE("a chunk that is missing, doubled or out of its place is found, whatever the line says") {
  struct Row {
    std::vector<Place> chunks;
    const char* fault;
  };
  const auto row = GENERATE(values<Row>({
      {{tenth(0, 3), tenth(1, 3), tenth(2, 3)}, ""},
      {{{0, 2, 0, 10}, {1, 2, 3, 12}}, ""}, // an overlap
      {{{0, 1, 0, 0}}, ""},                 // an empty text
      {{tenth(0, 3), tenth(1, 3)}, "expected 3 chunks, got the first 2"},
      {{tenth(0, 3), tenth(2, 3)}, "expected chunk 2 of 3, got chunk 3 of 3"},
      {{tenth(1, 3), tenth(2, 3)}, "expected chunk 1 of 3, got chunk 2 of 3"},
      {{tenth(0, 2), tenth(0, 2), tenth(1, 2)}, "expected chunk 2 of 2, got chunk 1 of 2"},
      {{tenth(0, 2), tenth(1, 3)}, "expected chunk 2 of 2, got chunk 2 of 3"},
      {{tenth(0, 1), tenth(1, 1)}, "expected 1 chunks, got the first 2"},
      {{{0, 1, 1, 10}},
       "expected chunk 1 to begin at byte 0 and to end behind it, got bytes 1 to 10"},
      {{{0, 2, 0, 10}, {1, 2, 11, 20}},
       "expected chunk 2 to begin at byte 10 or before and to end behind it, got bytes 11 to 20"},
      {{{0, 2, 0, 10}, {1, 2, 5, 10}},
       "expected chunk 2 to begin at byte 10 or before and to end behind it, got bytes 5 to 10"},
      {{{0, 2, 0, 0}, {1, 2, 0, 10}},
       "expected chunk 1 to begin at byte 0 and to end behind it, got bytes 0 to 0"},
      {{{0, 2, 0, 10}, {.index = 1}},
       "expected chunks alone, or none, got a part that is no chunk among them"},
      {{tenth(0, 2), tenth(1, 2), step(1, 0), step(1, 1)},
       "expected one step that joins all answers, got 2 of level 1"},
  }));
  CAPTURE(row.fault);
  std::vector<Part> parts;
  for (const Place& place : row.chunks) parts.push_back(said(place, "x"));
  const auto why = [](const std::vector<Part>& all) {
    const Provenance about{"in.jsonl:7", 0, "", "", 0, false, 6};
    const auto texts = texts_of(all);
    const auto checked = check_joined_line(
        joined_line(JobId{3}, "id", about, texts, limits::line_bytes_max).line, texts);
    return checked ? "" : checked.error().message;
  };
  CHECK(why(parts) == row.fault);
  // With a judge it is one of several models.
  parts.push_back(said({.model = 1, .level = PartNumber::level_judge}, "good"));
  CHECK(why(parts) == (*row.fault == '\0' ? "" : fmt::format("model \"a\": {}", row.fault)));
}

} // namespace openai_chunk_line_test
