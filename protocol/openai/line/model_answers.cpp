#include "protocol/openai/line/model_answers.hpp"

#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/part_number.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// One model with its parts, or the judge.
struct Respondent {
  std::size_t number = 0; // from 1, in the order of the job's models
  bool is_judge = false;
  PartTexts parts;

  bool has_answered() const { return first_failed(parts) == parts.end(); }
};

std::vector<Respondent> all_asked(PartTexts parts) {
  std::vector<Respondent> all;
  while (!parts.empty()) {
    const PartNumber first = PartNumber::of(parts.front().number);
    const auto end = std::ranges::find_if(parts, [&](const PartText& part) {
      return PartNumber::of(part.number).model != first.model;
    });
    const auto count = static_cast<std::size_t>(end - parts.begin());
    all.push_back({all.size() + 1, first.is_judge(), parts.first(count)});
    parts = parts.subspan(count);
  }
  return all;
}

std::string title_of(const Respondent& asked) {
  const std::string model = taken_by(asked.parts).model;
  if (model.empty()) return asked.is_judge ? "the judge" : fmt::format("model {}", asked.number);
  return fmt::format("{} \"{}\"", asked.is_judge ? "the judge" : "model",
                     json::printable(model, 100));
}

// Of the first of its parts that failed.
Failure failure_of_asked(const Respondent& asked) {
  const auto failed = first_failed(asked.parts);
  Failure failure = failure_of(failed->line);
  if (asked.parts.size() == 1) return failure;
  const std::string part =
      fmt::format("part {} of {}", failed - asked.parts.begin() + 1, asked.parts.size());
  failure.message = failure.message.empty() ? part : fmt::format("{}: {}", part, failure.message);
  return failure;
}

// As its line has it; of several parts one of all. Empty = there is none.
std::string response_of_asked(const Respondent& asked) {
  const auto failed = first_failed(asked.parts);
  const PartText& part = failed == asked.parts.end() ? asked.parts.front() : *failed;
  if (failed == asked.parts.end() && asked.parts.size() > 1)
    return R"({"status_code":200,"request_id":"","body":)" +
           joined_body(taken_by(asked.parts).model, asked.parts) + "}";
  const Value response{response_in(part.line)};
  return response.is(Kind::object) ? std::string{response.text} : std::string{};
}

// Parts of a text have no label of the whole.
std::string label_of_asked(const Respondent& asked) {
  if (asked.parts.size() > 1 || !asked.has_answered()) return {};
  const Value about = json::find(json::root(asked.parts.front().line), "gristmill");
  return json::text_of(json::find(about, "label"));
}

std::string answer_json(const Respondent& asked) {
  const Taken taken = taken_by(asked.parts);
  std::string out = R"({"model":)";
  json::append_string(out, taken.model);
  json::append_string(out += R"(,"endpoint":)", taken.endpoint);
  out += fmt::format(R"(,"attempts":{},"latency_ms":{},"response":)", taken.attempts,
                     taken.latency_ms);
  const std::string response = response_of_asked(asked), label = label_of_asked(asked);
  out += response.empty() ? "null" : response;
  out += R"(,"error":)";
  if (asked.has_answered()) {
    out += "null";
  } else {
    const Failure failure = failure_of_asked(asked);
    json::append_string(out += R"({"code":)", failure.code);
    json::append_string(out += R"(,"message":)", failure.message);
    out += '}';
  }
  if (!label.empty()) json::append_string(out += R"(,"label":)", label);
  return out + "}";
}

struct Votes {
  std::vector<std::pair<std::string, std::uint64_t>> counts; // in the order of first appearance
  std::string most;                                          // empty = none, or a tie
  bool tie = false;
};

Votes votes_of(const std::vector<Respondent>& all) {
  Votes votes;
  for (const Respondent& asked : all) {
    const std::string label = asked.is_judge ? "" : label_of_asked(asked);
    if (label.empty()) continue;
    const auto known = std::ranges::find_if(
        votes.counts, [&](const auto& count) { return same_label(count.first, label); });
    if (known == votes.counts.end())
      votes.counts.emplace_back(label, 1);
    else
      ++known->second;
  }
  std::uint64_t most = 0;
  for (const auto& [label, count] : votes.counts) {
    votes.tie = count == most || (votes.tie && count < most);
    if (count > most) votes.most = label;
    most = std::max(most, count);
  }
  if (votes.tie) votes.most.clear();
  return votes;
}

std::string votes_json(const Votes& votes) {
  if (votes.counts.empty()) return {};
  std::string out;
  for (const auto& [label, count] : votes.counts) {
    json::append_string(out += out.empty() ? '{' : ',', label);
    out += fmt::format(":{}", count);
  }
  return out + "}";
}

tl::unexpected<Error> other_than(std::string_view expected, const Respondent& asked,
                                 std::string_view got) {
  return fail(ErrorCode::bad_input,
              fmt::format("expected {} of {}, got {}", expected, title_of(asked), got));
}

// Of an answer of several parts another release may join the rest of the body in another way.
Result<> check_response(Value response, const Respondent& asked, std::string_view where) {
  const std::string expected = response_of_asked(asked);
  const bool joins = asked.has_answered() && asked.parts.size() > 1;
  const Value body = json::find(response, "body");
  if (expected.empty() ? response.is(Kind::null)
      : joins          ? !is_chat(body_in(asked.parts.front().line)) ||
                    answer_text(body.text) == joined_text(asked.parts)
              : response.text == expected)
    return {};
  return other_than("the response", asked, fmt::format("another one in {}", where));
}

Result<> check_answer(Value said, const Respondent& asked, std::string_view where) {
  if (auto checked = check_response(json::find(said, "response"), asked, where); !checked)
    return checked;
  if (json::find(said, "error").is(Kind::null) != asked.has_answered())
    return other_than(asked.has_answered() ? "no error" : "the error", asked,
                      fmt::format("{} in {}", asked.has_answered() ? "one" : "none", where));
  if (json::text_of(json::find(said, "label")) != label_of_asked(asked))
    return other_than("the label", asked, fmt::format("another one in {}", where));
  return {};
}

} // namespace

bool are_of_several(PartTexts parts) {
  const PartNumber last = PartNumber::of(parts.back().number);
  return last.is_judge() || last.model > 0;
}

PartTexts of_first_model(PartTexts parts) {
  return all_asked(parts).front().parts;
}

std::string answer_members(PartTexts parts) {
  std::string members;
  for (const Respondent& asked : all_asked(parts)) {
    members += fmt::format("{}\"answer.{}\":", members.empty() ? "" : ",", asked.number);
    json::append_string(members, without_thoughts(joined_text(asked.parts)));
  }
  return members;
}

Judged judged(PartTexts parts) {
  Judged judged;
  const std::vector<Respondent> all = all_asked(parts);
  if (all.front().has_answered()) judged.answers.response = response_of_asked(all.front());
  Votes votes = votes_of(all);
  judged.answers.votes = votes_json(votes);
  judged.answers.tie = votes.tie;
  judged.label = std::move(votes.most);
  std::string& answers = judged.answers.answers;
  for (const Respondent& asked : all) {
    if (!asked.is_judge) {
      answers += answers.empty() ? '[' : ',';
      answers += answer_json(asked);
      continue;
    }
    judged.answers.judge = answer_json(asked);
    if (std::string label = label_of_asked(asked); !label.empty()) judged.label = std::move(label);
  }
  answers += ']';
  return judged;
}

protocol::Reply failure_of_models(PartTexts parts) {
  const std::vector<Respondent> all = all_asked(parts);
  const auto failed =
      std::ranges::find_if(all, [](const Respondent& asked) { return !asked.has_answered(); });
  protocol::Reply reply;
  reply.cls = first_failed(failed->parts)->cls;
  reply.code = reply.cls == OutcomeClass::cancelled ? "cancelled"
               : failed->is_judge                   ? "judge_failed"
                                                    : "model_failed";
  reply.message =
      fmt::format("{} failed: {}", title_of(*failed), failure_of_asked(*failed).sentence());
  return reply;
}

Result<> check_model_answers(std::string_view line, PartTexts parts) {
  const Value root = json::root(line), about = json::find(root, "gristmill"),
              answers = json::find(about, "answers"), judge = json::find(about, "judge");
  const bool has_failed = json::find(about, "class").is(Kind::string);
  const std::vector<Respondent> all = all_asked(parts);
  const auto failed = first_failed(parts);
  const std::string code = json::text_of(json::find(json::find(root, "error"), "code"));
  const bool names_one = code == "model_failed" || code == "judge_failed";
  if (has_failed && !names_one && answers.is(Kind::none)) return {};
  if (has_failed && names_one && failed == parts.end())
    return fail(
        ErrorCode::bad_input,
        fmt::format("expected an answer, as all {} parts have, got {}", parts.size(), code));
  if (!has_failed && failed != parts.end())
    return other_than(
        "the failure",
        *std::ranges::find_if(all, [](const Respondent& a) { return !a.has_answered(); }),
        "an answer");
  json::Elements said{answers};
  for (const Respondent& asked : all) {
    const Value answer = asked.is_judge ? judge : said.next().value_or(Value{});
    if (auto checked = check_answer(answer, asked, asked.is_judge ? "judge" : "answers"); !checked)
      return checked;
  }
  if (said.next() || judge.is(Kind::none) == all.back().is_judge)
    return fail(ErrorCode::bad_input, "expected one answer for each model, got another one");
  const Value response = json::find(root, "response");
  if (all.front().has_answered()) {
    if (auto checked = check_response(response, all.front(), "response"); !checked) return checked;
  } else if (!response.is(Kind::null)) {
    return other_than("no response", all.front(), "one");
  }
  if (json::text_of(json::find(about, "label")) != judged(parts).label)
    return fail(ErrorCode::bad_input, "expected the label that its answers give, got another one");
  return {};
}

} // namespace gristmill::openai
