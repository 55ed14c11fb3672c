#include "protocol/openai/tokens/bound.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;
using Count = std::uint64_t;

// What a chat template may put around each message, and before the first one of its own accord. The
// JSON around a batch line's messages is longer than the former, so only documents add it.
constexpr Count message_overhead = 16, request_overhead = 128;

Count plus(Count a, Count b) {
  Count sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Count>::max() : sum;
}
Count times(Count a, Count b) {
  Count product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<Count>::max() : product;
}

constexpr const auto& limit_names = answer_limit_names;
using Limits = AnswerLimits;

void read(Limits& limits, const json::Member& member) {
  for (std::size_t i = 0; i < limit_names.size(); ++i) {
    if (!member.named(limit_names[i])) continue;
    limits[i].named = true;
    limits[i].most = std::max(limits[i].most, json::count_of(member.value));
  }
}

// Of `input` tokens, and of as many for the answers as these limits allow.
TokenBound bound_of(Count input, const Limits& line, const Limits& params, Count tokens_default) {
  const auto most_of = [&](std::size_t first, std::size_t last) {
    std::optional<Count> most;
    for (std::size_t i = first; i < last; ++i)
      most = std::max(most, params[i].named ? params[i].most : line[i].most);
    return most;
  };
  const auto each = most_of(0, 3);
  const Count answers = std::max<Count>(1, most_of(3, 5).value_or(1));
  return {input, times(each.value_or(tokens_default), answers), each.has_value()};
}

// A prompt of `completions` may be many: strings or arrays of tokens, but not one array of tokens.
Count prompts_in(Value prompt) {
  const auto first = json::Elements{prompt}.next();
  return first && !first->is(Kind::number) ? json::elements_in(prompt) : 1;
}

// A score or rerank reads its one query again with every document.
struct Pairs {
  Value query, documents;
  Count bytes() const {
    if (!query.is(Kind::string) || !documents.is(Kind::array)) return 0;
    return times(query.text.size(), json::elements_in(documents));
  }
};

struct CountedBody {
  Limits limits;
  Value prompt;
  Pairs pairs;
};

CountedBody read_body(Value object) {
  CountedBody body;
  json::Members members{object};
  while (const auto member = members.next()) {
    read(body.limits, *member);
    if (member->named("prompt")) body.prompt = member->value;
    if (member->named("query") || member->named("text_1")) body.pairs.query = member->value;
    if (member->named("documents") || member->named("text_2")) body.pairs.documents = member->value;
  }
  return body;
}

TokenBound bound_of_line(std::string_view raw, const Limits& params, Count tokens_default,
                         const std::string& assume_url) {
  const Value line = json::root(raw);
  const Value object = json::find(line, "body"), url = json::find(line, "url");
  const auto path = path_of(url.is(Kind::none) ? assume_url : json::text_of(url));
  const Api api = path ? api_of(*path) : Api::chat;
  const CountedBody body = read_body(object);
  const Count input = object.text.empty() ? raw.size() : object.text.size();
  if (api == Api::embeddings) return {input, 0, true, json::find(object, "input").text.size()};
  if (api == Api::other) return {plus(input, body.pairs.bytes()), 0};
  TokenBound bound = bound_of(input, body.limits, params, tokens_default);
  if (api == Api::completions) bound.output = times(bound.output, prompts_in(body.prompt));
  return bound;
}

// What the job itself says of all its answers.
Limits limits_of(const JobSpec& spec) {
  Limits limits = read_body(json::root(spec.shape.params)).limits;
  // In whichever words it is sent, it stands in the place of what else says how long.
  if (spec.shape.max_tokens > 0)
    for (std::size_t i = 0; i < 3; ++i) limits[i] = {true, spec.shape.max_tokens};
  return limits;
}

// What the task puts into the system message.
Count added_bytes(const JobSpec& spec) {
  const TaskInfo& task = info(spec.shape.task);
  if (!task.has_labels) return task.opening.size();
  return task.opening.size() + 2 + label_instruction(spec.shape.labels).size();
}

} // namespace

std::uint64_t TokenBound::total() const {
  return plus(input, output);
}

JobTokens::JobTokens(const JobSpec& spec, const DocumentTemplate& documents)
    : params_bytes_{spec.shape.params.size()}, uses_{documents.most_uses()},
      template_bytes_{spec.shape.prompt.size() + spec.shape.system.size()},
      added_bytes_{added_bytes(spec)}, assume_url_{spec.shape.assume_url},
      embeds_{info(spec.shape.task).embeds}, limits_{limits_of(spec)} {}

TokenBound JobTokens::bounds(ItemKind kind, std::string_view raw,
                             std::uint64_t max_output_tokens_default) const {
  TokenBound bound;
  if (kind == ItemKind::batch_line) {
    bound = bound_of_line(raw, limits_, max_output_tokens_default, assume_url_);
  } else {
    const Count text = plus(times(raw.size(), uses_), template_bytes_);
    const Count sent = plus(plus(text, 2 * message_overhead), added_bytes_);
    bound = embeds_ ? TokenBound{sent, 0, true, text}
                    : bound_of(sent, {}, limits_, max_output_tokens_default);
  }
  bound.input = plus(bound.input, request_overhead + params_bytes_);
  return bound;
}

TokenBound token_bounds(const JobSpec& spec, ItemKind kind, std::string_view raw,
                        std::uint64_t max_output_tokens_default) {
  return JobTokens{spec, DocumentTemplate{spec}}.bounds(kind, raw, max_output_tokens_default);
}

bool limits_answers(const JobSpec& spec) {
  return info(spec.shape.task).embeds || bound_of(0, {}, limits_of(spec), 0).output_stated;
}

std::uint64_t token_bound(const JobSpec& spec, ItemKind kind, std::string_view raw,
                          std::uint64_t max_output_tokens_default) {
  return token_bounds(spec, kind, raw, max_output_tokens_default).total();
}

} // namespace gristmill::openai
