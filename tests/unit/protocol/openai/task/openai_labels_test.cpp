// The task `classify`: what is asked, and which label an answer means.
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/openai/tokens/bound.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace openai_labels_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

JobSpec classify(std::vector<std::string> labels) {
  JobSpec spec;
  spec.shape.task = Task::classify;
  spec.shape.labels = std::move(labels);
  return spec;
}

protocol::Outcome answered(const std::string& choice) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.body = R"({"choices":[)" + choice + "]}";
  return outcome;
}

protocol::Outcome said(std::string_view text) {
  std::string content;
  json::append_string(content, text);
  return answered(R"({"message":{"content":)" + content + R"(},"finish_reason":"stop"})");
}

} // namespace

TEST_CASE("The label that an answer means", "[labels]") {
  struct Row {
    std::vector<std::string> labels;
    const char* answer;
    const char* label;
  };
  const std::vector<std::string> feelings{"positive", "negative", "very positive"};
  const std::vector<std::string> languages{"C", "C++", "C#"};
  const std::vector<std::string> signs{"-1", "0", "1", "+", "-"};
  const auto row = GENERATE_COPY(values<Row>({
      // The whole answer, but for what stands around it.
      {feelings, "positive", "positive"},
      {feelings, " POSITIVE\n", "positive"},
      {feelings, "\"Positive\".", "positive"},
      {feelings, "**`negative`**", "negative"},
      {feelings, "\xe2\x80\x9cvery positive\xe2\x80\x9d\xe3\x80\x82", "very positive"},
      {languages, "C++", "C++"},
      {languages, "c#.", "C#"},
      {languages, "C", "C"},
      {signs, "-1", "-1"},
      {signs, "(1)", "1"},
      {signs, "-", "-"},
      {{"\xc3\x84rger", "Freude"}, "\xc3\x84rger!", "\xc3\x84rger"},
      {{"a b", "c"}, "A b", "a b"},
      {{"...", "!"}, "...", "..."},
      // The only label in it as a whole word.
      {feelings, "The label is positive, I think.", "positive"},
      {feelings, "It is very positive.", "very positive"},
      {feelings, "positive! Yes: positive.", "positive"},
      {feelings, "Answer: \xe2\x80\x9cnegative\xe2\x80\x9d, clearly", "negative"},
      {languages, "It is C++ code", "C++"},
      {{"spam", "ham"}, "# spam", "spam"},
      {{"spam", "ham"}, "spam\u2014an ad", "spam"},
      {{"spam", "ham"}, "\u00a0ham\u200b\ufeff", "ham"},
      {{"\u4f53\u80b2", "\u8d22\u7ecf"}, "\u5206\u7c7b\uff1a\u4f53\u80b2", "\u4f53\u80b2"},
      {{"\u4f53\u80b2", "\u8d22\u7ecf"}, "\u3010\u4f53\u80b2\u3011", "\u4f53\u80b2"},
      {{"\u4f53\u80b2", "\u8d22\u7ecf"}, "\u300c\u4f53\u80b2\u300d\uff01", "\u4f53\u80b2"},
      // None.
      {feelings, "", ""},
      {feelings, "   ", ""},
      {feelings, "positive or negative", ""},
      {feelings, "very positive, so positive", ""},
      {feelings, "positively", ""},
      {feelings, "nonpositive", ""},
      {feelings, "non-positive", ""},
      {feelings, "positive-ish", ""},
      {feelings, "positive\xc3\xa9", ""},
      {feelings, "non\u2011positive", ""},
      {{"\u4f53\u80b2", "\u8d22\u7ecf"}, "\u4f53\u80b2\u65b0\u95fb", ""},
      {{"1", "2", "3", "4", "5"}, "4/5", ""},
      {{"toxic", "safe"}, "non-toxic", ""},
      {{"c", "java"}, "I would say C++ here", ""},
  }));
  INFO(row.answer);
  CHECK(label_in(row.answer, row.labels) == row.label);
}

TEST_CASE("An answer of more than 64 KiB is no label", "[labels]") {
  const std::vector<std::string> labels{"yes", "no"};
  const auto padded = [](std::size_t bytes) { return std::string(bytes - 3, ' ') + "yes"; };
  CHECK(label_in(padded(65'535), labels) == "yes");
  CHECK(label_in(padded(65'536), labels) == "yes");
  CHECK(label_in(padded(65'537), labels) == "");
}

TEST_CASE("The answer's text is that of the first choice, in one piece or in parts", "[labels]") {
  CHECK(answer_text(said("a\"b").body) == "a\"b");
  CHECK(answer_text(answered(R"({"message":{"content":[{"type":"text","text":"a"},{"text":"b"}]}})")
                        .body) == "ab");
  CHECK(answer_text(answered(R"({"message":{"content":null}})").body).empty());
  CHECK(answer_text(R"({"choices":[]})").empty());
  CHECK(answer_text("[]").empty());
}

TEST_CASE("An answer without a label is a bad result that says what came", "[labels]") {
  const JobSpec spec = classify({"spam", "ham"});
  auto outcome = said("Spam.");
  judge_label(spec, outcome);
  CHECK(outcome.cls == OutcomeClass::ok);
  CHECK(label_of(spec, outcome) == "spam");

  struct Row {
    protocol::Outcome outcome;
    const char* message;
  };
  const auto row = GENERATE(
      Row{said("eggs\nand more"), "expected one of the labels spam, ham, got \"eggs and more\""},
      Row{answered(R"({"message":{"content":null},"finish_reason":"length"})"),
          "expected one of the labels spam, ham, got an empty answer (finish_reason length); raise "
          "--max-tokens"},
      Row{said("<think>This looks like spam because"),
          "expected one of the labels spam, ham, got thoughts without an answer"},
      Row{answered(R"({"message":{"content":"<think>spam or ham"},"finish_reason":"length"})"),
          "expected one of the labels spam, ham, got thoughts without an answer (finish_reason "
          "length); raise --max-tokens"},
      Row{answered(R"({"message":{"content":"spam"},"finish_reason":"length"})"),
          "expected one of the labels spam, ham, got \"spam\" (finish_reason length); raise "
          "--max-tokens"},
      Row{answered(R"({"message":{"content":null,"reasoning_content":"spam"}})"),
          "expected one of the labels spam, ham, got an empty answer"});
  outcome = row.outcome;
  judge_label(spec, outcome);
  CHECK(outcome.cls == OutcomeClass::bad_result);
  CHECK(info(outcome.cls).retryable());
  CHECK(outcome.code == "no_label");
  CHECK(outcome.message == row.message);
  CHECK(label_of(spec, outcome).empty());
}

TEST_CASE("A refusal is not asked again", "[labels]") {
  auto outcome = answered(R"({"message":{"content":null,"refusal":"I will not"}})");
  judge_label(classify({"spam", "ham"}), outcome);
  CHECK(outcome.cls == OutcomeClass::policy);
  CHECK(outcome.message == "the model refuses: I will not");
}

TEST_CASE("A label stands behind the thoughts, not in them", "[labels]") {
  const JobSpec spec = classify({"spam", "ham"});
  for (const char* text : {"<think>ham? no</think>spam", "is it ham?</think>\n\nSpam.",
                           "<think></think> spam", "<thinking>ham</thinking>spam"}) {
    CAPTURE(text);
    CHECK(label_of(spec, said(text)) == "spam");
  }
}

TEST_CASE("Answers of other tasks and failures are left alone", "[labels]") {
  JobSpec spec = classify({"spam", "ham"});
  auto outcome = said("eggs");
  outcome.cls = OutcomeClass::timeout;
  judge_label(spec, outcome);
  CHECK(outcome.cls == OutcomeClass::timeout);
  spec.shape.task = Task::chat;
  outcome = said("spam");
  judge_label(spec, outcome);
  CHECK(outcome.cls == OutcomeClass::ok);
  CHECK(label_of(spec, outcome).empty());
}

TEST_CASE("The labels are named in the system message, whatever the user says",
          "[labels][render]") {
  JobSpec spec = classify({"spam", "ham"});
  const std::string instruction =
      "Answer with exactly one of these labels, spelled as here, and with nothing else.\\n"
      "Labels:\\n- spam\\n- ham";
  const auto body = [&] {
    const auto request = render(spec, ItemKind::text, "a text", "m");
    REQUIRE(request);
    CHECK(request->path == "/chat/completions");
    return request->body;
  };
  const auto messages = [](const std::string& system, const std::string& user) {
    return fmt::format(R"({{"model":"m","messages":[{{"role":"system","content":"{}"}},)"
                       R"({{"role":"user","content":"{}"}}]}})",
                       system, user);
  };
  CHECK(body() == messages("Classify the text that the user gives.\\n\\n" + instruction, "a text"));
  spec.shape.prompt = "Is it spam? {{text}}";
  CHECK(body() == messages(instruction, "Is it spam? a text"));
  spec.shape.system = "You know {{text}}.";
  CHECK(body() == messages("You know a text.\\n\\n" + instruction, "Is it spam? a text"));
  spec.shape.prompt.clear();
  CHECK(body() == messages("You know a text.\\n\\n" + instruction, "a text"));
  // The labels' bytes are in the bound of the tokens.
  JobSpec chat = spec;
  chat.shape.task = Task::chat;
  CHECK(token_bound(spec, ItemKind::text, "a text", 10) >=
        token_bound(chat, ItemKind::text, "a text", 10) +
            label_instruction(spec.shape.labels).size());
}

TEST_CASE("An embedding asks with model and input and nothing else", "[render]") {
  JobSpec spec;
  spec.shape.task = Task::embed;
  const auto plain = render(spec, ItemKind::text, "a \"text\"", "m");
  REQUIRE(plain);
  CHECK(plain->path == "/embeddings");
  CHECK(plain->body == R"({"model":"m","input":"a \"text\""})");
  spec.shape.prompt = "query: {{title}}";
  spec.shape.params = R"({"dimensions":4,"encoding_format":"base64"})";
  CHECK(render(spec, ItemKind::json_object, R"({"title":"t"})", "m")->body ==
        R"({"model":"m","input":"query: t","dimensions":4,"encoding_format":"base64"})");
  // It has no answer tokens.
  JobSpec chat = spec;
  chat.shape.task = Task::chat;
  CHECK(token_bound(chat, ItemKind::text, "t", 4'096) ==
        token_bound(spec, ItemKind::text, "t", 4'096) + 4'096);
}

TEST_CASE("A batch line asks for what it says, and must fit the task", "[render]") {
  const auto line = [](const char* url) {
    return fmt::format(R"({{"custom_id":"a","method":"POST","url":"{}","body":{{"model":"m"}}}})",
                       url);
  };
  JobSpec spec;
  spec.shape.task = Task::embed;
  CHECK(render(spec, ItemKind::batch_line, line("/v1/embeddings"), "")->body == R"({"model":"m"})");
  CHECK(render(spec, ItemKind::batch_line, line("/v1/chat/completions"), "").error().message ==
        "expected url /v1/embeddings with --task embed, got /v1/chat/completions");
  spec = classify({"a", "b"});
  CHECK(render(spec, ItemKind::batch_line, line("/v1/chat/completions"), "")
            .error()
            .message.starts_with("expected a document with --task classify, got a batch line"));
}

} // namespace openai_labels_test
