#include "protocol/openai/tokens/estimate.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"

#include "protocol/text/json_text.hpp"

#include <algorithm>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// Around a message stand its role and two or three marks; before the answer a few more.
constexpr TokenRange per_message{3, 4, 8}, per_chat{0, 3, 12};
// What stands before and after a text that is no chat, if anything.
constexpr TokenRange per_text{0, 0.5, 2};
// From one low-resolution tile to a large picture in full.
constexpr TokenRange per_image{64, 765, 1'600};

class Texts {
public:
  explicit Texts(const bpe::Tokenizer* tokenizer) : tokenizer_{tokenizer} {}

  // The text of a value, wherever in it it stands; what only says how to read it does not count.
  TokenRange of(Value value) const {
    switch (value.kind()) {
    case Kind::string: return of_text(json::text_of(value));
    case Kind::object:
    case Kind::array: return text_tokens(value.text); // as it is spelled: so it may be shown
    default: return {};
    }
  }
  TokenRange of_content(Value content) const;
  TokenRange of_messages(Value messages) const;
  TokenRange of_list(Value input) const;
  TokenRange of_pairs(Value body) const;

private:
  TokenRange of_text(const std::string& text) const {
    if (tokenizer_ == nullptr) return text_tokens(text);
    const auto count = static_cast<double>(tokenizer_->count(text));
    return {count, count, count};
  }
  TokenRange beside() const { return tokenizer_ == nullptr ? per_text : TokenRange{}; }

  const bpe::Tokenizer* tokenizer_; // nullptr: texts are estimated
};

TokenRange Texts::of_content(Value content) const {
  if (!content.is(Kind::array)) return of(content);
  TokenRange sum;
  json::Elements parts{content};
  while (const auto part = parts.next()) {
    const Value text = json::find(*part, "text");
    const std::string type = json::text_of(json::find(*part, "type"));
    if (text.is(Kind::string)) {
      sum += of(text);
    } else if (type.find("image") != type.npos) {
      sum += per_image; // its data would be taken for a text of a million letters
    }
  }
  return sum;
}

TokenRange Texts::of_messages(Value messages) const {
  TokenRange sum = per_chat;
  json::Elements each{messages};
  while (const auto message = each.next()) {
    sum += per_message;
    json::Members members{*message};
    while (const auto member = members.next()) {
      if (member->named("content")) sum += of_content(member->value);
      if (member->named("name") || member->named("tool_calls")) sum += of(member->value);
    }
  }
  return sum;
}

// Strings are texts, numbers are tokens.
TokenRange Texts::of_list(Value input) const {
  TokenRange sum;
  if (!input.is(Kind::array)) {
    sum = of(input);
    sum += beside();
    return sum;
  }
  bool numbers = false;
  json::Elements each{input};
  while (const auto element = each.next()) {
    numbers |= element->is(Kind::number);
    sum += element->is(Kind::number) ? TokenRange{1, 1, 1} : of_list(*element);
  }
  if (numbers) sum += beside();
  return sum;
}

struct Answers {
  double limit = -1, each = 1;
};

void read(const json::Member& member, Answers& answers) {
  const auto count = json::integer_of(member.value);
  if (!count) return;
  const auto number = static_cast<double>(*count);
  if (member.named("max_completion_tokens") || member.named("max_tokens") ||
      member.named("max_output_tokens"))
    answers.limit = std::max(answers.limit, number);
  if (member.named("n") || member.named("best_of")) answers.each = std::max(answers.each, number);
}

double likely_prompts_in(Value prompt) {
  double count = 0;
  json::Elements each{prompt};
  while (const auto element = each.next()) {
    if (element->is(Kind::number)) return 1;
    ++count;
  }
  return std::max(count, 1.0);
}

TokenRange output_of(const Answers& answers, std::uint64_t limit_default) {
  const double limit = answers.limit >= 0 ? answers.limit : static_cast<double>(limit_default);
  return times(TokenRange{std::min(limit, 1.0), std::min(limit, answer_tokens_likely), limit},
               answers.each);
}

// A score or rerank reads its one query again with every document.
TokenRange Texts::of_pairs(Value body) const {
  Value query, documents;
  TokenRange rest;
  json::Members members{body};
  while (const auto member = members.next()) {
    if (member->named("query") || member->named("text_1")) {
      query = member->value;
    } else if (member->named("documents") || member->named("text_2")) {
      documents = member->value;
    } else if (member->named("input")) {
      rest += of_list(member->value);
    }
  }
  rest += times(of_list(query), documents.is(Kind::array) ? likely_prompts_in(documents) : 1);
  rest += of_list(documents);
  return rest;
}

} // namespace

TokenEstimate estimate_tokens(const Request& request, std::uint64_t max_output_tokens_default,
                              const bpe::Tokenizer* tokenizer) {
  const Texts texts{tokenizer};
  TokenEstimate estimate;
  const Value body = json::root(request.body);
  const Api api = api_of(request.path);
  if (api == Api::other) return {texts.of_pairs(body), {}};
  Answers answers;
  json::Members members{body};
  while (const auto member = members.next()) {
    read(*member, answers);
    const Value value = member->value;
    if (member->named("messages") ||
        (member->named("input") && api == Api::responses && value.is(Kind::array))) {
      estimate.input += texts.of_messages(value);
    } else if (member->named("input") || member->named("prompt") || member->named("instructions")) {
      estimate.input += texts.of_list(value);
    } else if (member->named("tools") || member->named("functions") ||
               member->named("response_format")) {
      estimate.input += texts.of(value);
    }
    if (api == Api::completions && member->named("prompt"))
      answers.each *= likely_prompts_in(value);
  }
  if (api != Api::embeddings) estimate.output = output_of(answers, max_output_tokens_default);
  return estimate;
}

} // namespace gristmill::openai
