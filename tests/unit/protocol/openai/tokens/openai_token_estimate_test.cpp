// The estimate of tokens: what is known of real tokenizers, as ranges that must hold.
#include "protocol/openai/tokens/estimate.hpp"

#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <catch2/catch.hpp>

namespace openai_token_estimate_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

constexpr std::uint64_t answer_default = 1'000;

TokenEstimate estimate(const std::string& path, const std::string& body) {
  return estimate_tokens({path, body, "m"}, answer_default);
}

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

bool ordered(const TokenRange& range) {
  return range.low >= 0 && range.low <= range.likely && range.likely <= range.high;
}

} // namespace

TEST_CASE("Of each script a token has about as many bytes as real tokenizers give it",
          "[token_estimate]") {
  struct Row {
    const char* what;
    const char* text;
    double least, most; // bytes of a likely token
  };
  const auto row = GENERATE(
      Row{"English",
          "The miller poured the corn between two heavy stones and waited until the flour "
          "was as fine as she wanted it. Nobody in the village remembered a better year. ",
          3.9, 4.7},
      Row{"German",
          "Die Müllerin schüttete das Getreide zwischen zwei schwere Steine und wartete, bis "
          "das Mehl so fein war, wie sie es haben wollte. ",
          2.8, 4.4},
      Row{"Russian", "Мельник насыпал зерно между двумя тяжёлыми камнями и ждал муку. ", 3.4, 5.5},
      Row{"Chinese", "磨坊主把玉米倒在两块沉重的石头之间，等待面粉变细。", 2.5, 4.0},
      Row{"code", "for (int i = 0; i < count; ++i) { total += values[i] * 2; } ", 2.0, 3.6},
      Row{"digits", "3141592653589793", 1.2, 2.5}, Row{"emoji", "😀🎉🚀", 1.5, 4.0});
  const std::string text = repeated(row.text, 20);
  const TokenRange tokens = text_tokens(text);
  INFO(row.what << " " << static_cast<double>(text.size()) / tokens.likely << " bytes a token");
  CHECK(static_cast<double>(text.size()) / tokens.likely >= row.least);
  CHECK(static_cast<double>(text.size()) / tokens.likely <= row.most);
  CHECK(ordered(tokens));
}

TEST_CASE("A tokenizer counts texts, and what a chat template adds remains a range",
          "[token_estimate]") {
  const auto ranks =
      bpe::Tokenizer::read(test::rank_file({"th", "the", " the"}), "like-cl100k_base");
  const auto input_of = [&](const std::string& path, const std::string& body) {
    return estimate_tokens({path, body, "m"}, answer_default, &ranks.value()).input;
  };
  const auto is = [](const TokenRange& range, double low, double high) {
    return range.low == low && range.high == high && ordered(range);
  };
  CHECK(is(input_of("/embeddings", R"({"input":"the the"})"), 2, 2));
  CHECK(is(input_of("/embeddings", R"({"input":["the","the the",[1,2,3]]})"), 6, 6));
  CHECK(is(input_of("/completions", R"({"prompt":"the x"})"), 3, 3));
  const std::string content =
      R"([{"type":"text","text":"the"},{"type":"image_url","image_url":{}}])";
  const TokenRange chat =
      input_of("/chat/completions", R"({"messages":[{"role":"user","content":"the the"}]})");
  const TokenRange image =
      input_of("/chat/completions", R"({"messages":[{"role":"user","content":)" + content + "}]}");
  CHECK(is(chat, 2 + 3, 2 + 8 + 12));
  CHECK(image.high > chat.high + 1'000);
  const TokenRange tools = input_of(
      "/chat/completions",
      R"({"messages":[{"role":"user","content":"the the"}],"tools":[{"type":"function"}]})");
  CHECK(tools.high - tools.low > chat.high - chat.low); // how they are shown nobody knows
}

TEST_CASE("The ends of an estimate are in order and never beyond its bytes", "[token_estimate]") {
  std::string any;
  for (int c = 0; c < 256; ++c) any += static_cast<char>(c);
  for (const std::string& text :
       {std::string{}, std::string{"a"}, std::string{" "}, std::string{"\n"},
        std::string{"\xf0\x9f"}, std::string{"\xff\xff"}, any, repeated(any, 9),
        std::string(100'000, 'x'), std::string(1'000, ' '), repeated("é", 50), repeated("ab1 ", 50),
        repeated("…", 9)}) {
    INFO(text.size());
    const TokenRange tokens = text_tokens(text);
    CHECK(ordered(tokens));
    CHECK(tokens.high <= static_cast<double>(text.size()));
    CHECK((tokens.likely > 0) == !text.empty());
  }
}

TEST_CASE("What a chat asks is its texts and a little around each message", "[token_estimate]") {
  const std::string text = repeated("Some plain words of a text. ", 40);
  const double alone = text_tokens(text).likely;
  const auto of = [&](const std::string& messages) {
    return estimate("/chat/completions", R"({"model":"m","messages":[)" + messages + "]}")
        .input.likely;
  };
  const std::string one = R"({"role":"user","content":")" + text + "\"}";
  const double around = of(one) - alone;
  CHECK(around > 0);
  CHECK(around < 12);
  CHECK(of(one + "," + one) - of(one) == Approx(alone + 4));
  // The same text in parts is the same text; what is not text is not read as text.
  const std::string part = R"({"type":"text","text":")" + text + "\"}";
  CHECK(of(R"({"role":"user","content":[)" + part + "]}") == Approx(of(one)));
  const std::string image = R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
                            repeated("iVBORw0KGgo", 100'000) + "\"}}";
  const double with_image = of(R"({"role":"user","content":[)" + part + "," + image + "]}");
  CHECK(with_image > of(one));
  CHECK(with_image < of(one) + 2'000);
}

TEST_CASE("Tools and a schema are read with every call", "[token_estimate]") {
  const std::string messages = R"("messages":[{"role":"user","content":"x"}])";
  const std::string schema = R"({"type":"json_schema","json_schema":{"name":"a","schema":{}}})";
  const double plain = estimate("/chat/completions", "{" + messages + "}").input.likely;
  for (const char* member : {"tools", "functions", "response_format"}) {
    const auto body = "{" + messages + ",\"" + member + "\":" + schema + "}";
    CHECK(estimate("/chat/completions", body).input.likely ==
          Approx(plain + text_tokens(schema).likely));
  }
}

TEST_CASE("An answer has one token to its limit, likely a paragraph", "[token_estimate]") {
  struct Row {
    const char* path;
    const char* body;
    double low, likely, high;
  };
  const char* chat = "/chat/completions";
  const auto row = GENERATE_COPY(
      Row{chat, "{}", 1, 256, 1'000}, Row{chat, R"({"max_tokens":0})", 0, 0, 0},
      Row{chat, R"({"max_tokens":1})", 1, 1, 1}, Row{chat, R"({"max_tokens":255})", 1, 255, 255},
      Row{chat, R"({"max_tokens":256})", 1, 256, 256},
      Row{chat, R"({"max_tokens":257})", 1, 256, 257},
      Row{chat, R"({"max_completion_tokens":9,"max_tokens":7})", 1, 9, 9},
      Row{chat, R"({"max_tokens":null})", 1, 256, 1'000},
      Row{chat, R"({"max_tokens":5,"n":3})", 3, 15, 15},
      Row{"/responses", R"({"max_output_tokens":9,"input":"x"})", 1, 9, 9},
      Row{"/completions", R"({"max_tokens":5,"prompt":["a","b"]})", 2, 10, 10},
      Row{"/completions", R"({"max_tokens":5,"prompt":[1,2,3]})", 1, 5, 5},
      Row{"/embeddings", R"({"input":"x"})", 0, 0, 0},
      Row{"/moderations", R"({"input":"x"})", 0, 0, 0});
  INFO(row.path << " " << row.body);
  const TokenRange output = estimate(row.path, row.body).output;
  CHECK(output.low == row.low);
  CHECK(output.likely == row.likely);
  CHECK(output.high == row.high);
}

TEST_CASE("Each kind of call has its texts where they are counted", "[token_estimate]") {
  const std::string text = repeated("Some plain words of a text. ", 40);
  const std::string quoted = "\"" + text + "\"";
  const double alone = text_tokens(text).likely;
  const auto texts_in = [&](const std::string& path, const std::string& body) {
    return estimate(path, body).input.likely / alone;
  };
  CHECK(texts_in("/completions", "{\"prompt\":" + quoted + "}") == Approx(1).margin(0.02));
  CHECK(texts_in("/embeddings", "{\"input\":[" + quoted + "," + quoted + "]}") ==
        Approx(2).margin(0.02));
  CHECK(estimate("/embeddings", R"({"input":[1,2,3,4]})").input.likely == Approx(4.5));
  CHECK(texts_in("/responses", "{\"instructions\":" + quoted + ",\"input\":" + quoted + "}") ==
        Approx(2).margin(0.02));
  CHECK(texts_in("/responses", R"({"input":[{"role":"user","content":)" + quoted + "}]}") ==
        Approx(1).margin(0.04));
  CHECK(texts_in("/moderations", "{\"input\":" + quoted + "}") == Approx(1).margin(0.02));
  // The query is read again with each document.
  CHECK(texts_in("/rerank", "{\"query\":" + quoted + ",\"documents\":[\"a\",\"b\",\"c\"]}") ==
        Approx(3).margin(0.04));
}

} // namespace openai_token_estimate_test
