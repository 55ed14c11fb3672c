#include "actors/merger/line_facts.hpp"

#include "protocol/openai/reply/embedding.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <limits>
#include <simdjson.h>

namespace gristmill::merger {
namespace {

namespace ondemand = simdjson::ondemand;
static_assert(line_padding >= simdjson::SIMDJSON_PADDING);

template <class Visit> void each_member(ondemand::value value, Visit visit) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return;
  for (auto member : object) {
    ondemand::field field;
    if (std::move(member).get(field) != simdjson::SUCCESS) return;
    visit(field.key(), field.value());
  }
}

template <class Visit> void each_element(ondemand::value value, Visit visit) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return;
  for (auto element : array) {
    ondemand::value found;
    if (std::move(element).get(found) != simdjson::SUCCESS) return;
    visit(found);
  }
}

bool is(ondemand::value& value, ondemand::json_type type) {
  ondemand::json_type found{};
  return value.type().get(found) == simdjson::SUCCESS && found == type;
}

void read_text(ondemand::value value, std::string_view& into) {
  if (!is(value, ondemand::json_type::string)) return;
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) into = text;
}

void read_number(ondemand::value value, std::uint64_t& into) {
  std::uint64_t number = 0;
  if (value.get_uint64().get(number) == simdjson::SUCCESS) into = number;
}

// As servers spell one: 12.0 and "12", too.
void read_count(ondemand::value value, std::uint64_t& into) {
  std::string_view token = value.raw_json_token();
  while (token.ends_with(' ')) token.remove_suffix(1);
  into = json::count_of({token}).value_or(into);
}

void read_flag(ondemand::value value, bool& into) {
  bool flag = false;
  if (value.get_bool().get(flag) == simdjson::SUCCESS) into = flag;
}

std::uint64_t characters_of(ondemand::value value) {
  std::string_view text;
  read_text(value, text);
  return static_cast<std::uint64_t>(
      std::ranges::count_if(text, [](char c) { return (c & '\xc0') != '\x80'; }));
}

// An error object as the many servers write it: a code that is a word says most, then the type,
// then a code that is a number.
struct ErrorFacts {
  std::string_view code, type, number, message;

  void read(ondemand::raw_json_string key, ondemand::value value) {
    if (key == "message") return read_text(value, message);
    if (key == "type") return read_text(value, type);
    if (key != "code") return;
    if (is(value, ondemand::json_type::number))
      number = value.raw_json_token();
    else
      read_text(value, code);
  }
  void settle(LineFacts& facts) const {
    for (const std::string_view name :
         {code, type, number.substr(0, number.find_last_not_of(" \t\r\n") + 1)})
      if (facts.error_code.empty()) facts.error_code = name;
    if (facts.error_message.empty()) facts.error_message = message;
  }
};

void read_error(ondemand::value value, LineFacts& facts) {
  if (is(value, ondemand::json_type::string)) return read_text(value, facts.error_message);
  ErrorFacts error;
  each_member(value, [&](auto key, ondemand::value member) { error.read(key, member); });
  error.settle(facts);
}

void read_choices(ondemand::value value, LineFacts& facts) {
  each_element(value, [&](ondemand::value choice) {
    if (facts.answers.size() == answers_max) return;
    Answer answer;
    each_member(choice, [&](auto key, ondemand::value member) {
      if (key == "finish_reason")
        read_text(member, answer.finish_reason);
      else if (key == "text")
        answer.characters = characters_of(member);
      else if (key == "message")
        each_member(member, [&](auto name, ondemand::value part) {
          if (name == "content") answer.characters = characters_of(part);
        });
    });
    facts.answers.push_back(answer);
  });
}

// The output of the Responses API: items, of which messages have content parts with text.
void read_output(ondemand::value value, LineFacts& facts) {
  Answer answer;
  each_element(value, [&](ondemand::value item) {
    each_member(item, [&](auto key, ondemand::value member) {
      if (key != "content") return;
      each_element(member, [&](ondemand::value part) {
        each_member(part, [&](auto name, ondemand::value text) {
          if (name == "text") answer.characters += characters_of(text);
        });
      });
    });
  });
  facts.answers.push_back(answer);
}

// JSON has no NaN; servers that compute one write null.
bool append_number(ondemand::value value, std::vector<float>& into) {
  double number = std::numeric_limits<double>::quiet_NaN();
  if (!is(value, ondemand::json_type::null) && value.get_double().get(number) != simdjson::SUCCESS)
    return false;
  into.push_back(static_cast<float>(number));
  return true;
}

bool append_vector(ondemand::value value, std::vector<float>& into) {
  if (is(value, ondemand::json_type::string)) {
    std::string_view text;
    read_text(value, text);
    return openai::append_base64_floats(text, into);
  }
  const std::size_t before = into.size();
  bool numbers = true;
  each_element(value, [&](ondemand::value number) { numbers &= append_number(number, into); });
  return numbers && into.size() > before;
}

void read_vectors(ondemand::value data, Vectors& vectors) {
  each_element(data, [&](ondemand::value element) {
    each_member(element, [&](auto key, ondemand::value member) {
      if (key != "embedding") return;
      const std::size_t before = vectors.values.size();
      if (append_vector(member, vectors.values))
        return vectors.ends.push_back(vectors.values.size());
      vectors.values.resize(before);
      ++vectors.unreadable;
    });
  });
}

struct UsageFacts {
  std::uint64_t completion = 0;

  void read(ondemand::value value) {
    each_member(value, [&](auto key, ondemand::value member) {
      if (key == "completion_tokens" || key == "output_tokens") read_count(member, completion);
    });
  }
};

ModelAnswer read_model_answer(ondemand::value value) {
  ModelAnswer answer;
  each_member(value, [&](auto key, ondemand::value member) {
    if (key == "model")
      read_text(member, answer.model);
    else if (key == "endpoint")
      read_text(member, answer.endpoint);
    else if (key == "label")
      read_text(member, answer.label);
  });
  return answer;
}

// The finish reason that chat would have given for a Responses body's status.
std::string_view finish_reason(std::string_view status, std::string_view incomplete) {
  if (incomplete == "max_output_tokens") return "length";
  if (!incomplete.empty()) return incomplete;
  return status == "completed" ? "stop" : status;
}

void read_body(ondemand::value body, LineFacts& facts, bool wants_vectors) {
  ErrorFacts flat;
  UsageFacts usage;
  std::string_view status, incomplete;
  bool responses = false;
  each_member(body, [&](auto key, ondemand::value member) {
    if (key == "choices")
      read_choices(member, facts);
    else if (key == "usage")
      usage.read(member);
    else if (key == "error")
      read_error(member, facts);
    else if (key == "data" && wants_vectors)
      read_vectors(member, facts.vectors);
    else if (key == "status")
      read_text(member, status);
    else if (key == "incomplete_details")
      each_member(member, [&](auto name, ondemand::value reason) {
        if (name == "reason") read_text(reason, incomplete);
      });
    else if (key == "output") {
      responses = is(member, ondemand::json_type::array);
      if (responses) read_output(member, facts);
    } else
      flat.read(key, member);
  });
  flat.settle(facts);
  facts.completion_tokens = usage.completion;
  if (responses) facts.answers.back().finish_reason = finish_reason(status, incomplete);
}

void read_response(ondemand::value response, LineFacts& facts, bool wants_vectors) {
  each_member(response, [&](auto key, ondemand::value member) {
    if (key == "status_code")
      read_number(member, facts.http_status);
    else if (key == "body")
      read_body(member, facts, wants_vectors);
  });
}

void read_model_answers(ondemand::value value, LineFacts& facts) {
  each_element(value, [&](ondemand::value element) {
    if (facts.by_model.size() == model_answers_max) return;
    facts.by_model.push_back(read_model_answer(element));
  });
}

void read_judge(ondemand::value value, LineFacts& facts) {
  facts.judge = read_model_answer(value);
}

void read_provenance(ondemand::value value, LineFacts& facts) {
  each_member(value, [&](auto key, ondemand::value member) {
    if (key == "source")
      read_text(member, facts.source);
    else if (key == "attempts")
      read_number(member, facts.attempts);
    else if (key == "model")
      read_text(member, facts.model);
    else if (key == "endpoint")
      read_text(member, facts.endpoint);
    else if (key == "latency_ms")
      read_number(member, facts.latency_ms);
    else if (key == "cached")
      read_flag(member, facts.cached);
    else if (key == "class")
      read_text(member, facts.error_class);
    else if (key == "code")
      read_text(member, facts.error_code);
    else if (key == "message")
      read_text(member, facts.error_message);
    else if (key == "label")
      read_text(member, facts.label);
    else if (key == "tie")
      read_flag(member, facts.tie);
    else if (key == "answers")
      read_model_answers(member, facts);
    else if (key == "judge")
      read_judge(member, facts);
  });
}

} // namespace

struct LineFactsReader::Parser {
  ondemand::parser parser;
  ondemand::document document;
};

LineFactsReader::LineFactsReader(bool wants_vectors)
    : parser_{std::make_unique<Parser>()}, wants_vectors_{wants_vectors} {}
LineFactsReader::~LineFactsReader() = default;

const LineFacts& LineFactsReader::read(std::string_view line) {
  auto answers = std::move(facts_.answers);
  answers.clear();
  auto vectors = std::move(facts_.vectors);
  vectors.clear();
  auto by_model = std::move(facts_.by_model);
  by_model.clear();
  facts_ = {};
  facts_.answers = std::move(answers);
  facts_.by_model = std::move(by_model);
  facts_.vectors = std::move(vectors);

  ondemand::value root;
  bool error = false;
  if (parser_->parser.iterate(line.data(), line.size(), line.size() + line_padding)
              .get(parser_->document) != simdjson::SUCCESS ||
      parser_->document.get_value().get(root) != simdjson::SUCCESS)
    return facts_;
  each_member(root, [&](auto key, ondemand::value member) {
    if (key == "custom_id")
      read_text(member, facts_.custom_id);
    else if (key == "response")
      read_response(member, facts_, wants_vectors_);
    else if (key == "gristmill")
      read_provenance(member, facts_);
    else if (key == "error") {
      error = !is(member, ondemand::json_type::null);
      if (!error) return;
      // Beside it stands the first model's response at most, which is not what ended the item.
      facts_.http_status = 0;
      facts_.error_code = facts_.error_message = {};
      read_error(member, facts_);
    }
  });
  facts_.failed = error || facts_.http_status < 200 || facts_.http_status >= 300;
  return facts_;
}

} // namespace gristmill::merger
