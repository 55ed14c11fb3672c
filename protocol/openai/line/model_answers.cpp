#include "protocol/openai/line/model_answers.hpp"

#include "protocol/openai/line/chunk_line.hpp"
#include "protocol/openai/line/model_answer.hpp"
#include "protocol/part_number.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// One model with its parts, or the judge.
struct Answered {
  std::size_t number = 0; // from 1, in the order of the job's models
  bool is_judge = false;
  PartTexts parts;
  ModelAnswer answer;
};

std::vector<Answered> all_answers(PartTexts parts) {
  std::vector<Answered> all;
  for (const PartTexts& asked : by_model(parts))
    all.push_back(
        {all.size() + 1, PartNumber::of(asked.front().number).is_judge(), asked, answer_of(asked)});
  return all;
}

std::vector<Answered>::const_iterator first_without(const std::vector<Answered>& all) {
  return std::ranges::find_if(all, [](const Answered& one) { return !one.answer.is_answered(); });
}

std::string title_of(const Answered& one) {
  const std::string& model = one.answer.taken.model;
  if (model.empty()) return one.is_judge ? "the judge" : fmt::format("model {}", one.number);
  return fmt::format("{} \"{}\"", one.is_judge ? "the judge" : "model",
                     json::printable(model, 100));
}

// Who has one part has failed as a whole.
Failure failure_of(const Answered& one) {
  Failure failure = one.answer.failure->said;
  const std::string& where = one.answer.failure->where;
  if (one.parts.size() == 1 || where.empty()) return failure;
  failure.message = failure.message.empty() ? where : fmt::format("{}: {}", where, failure.message);
  return failure;
}

std::string answer_json(const Answered& one) {
  const ModelAnswer& answer = one.answer;
  std::string out = R"({"model":)";
  json::append_string(out, answer.taken.model);
  json::append_string(out += R"(,"endpoint":)", answer.taken.endpoint);
  out += fmt::format(R"(,"attempts":{},"latency_ms":{},"response":)", answer.taken.attempts,
                     answer.taken.latency_ms);
  out += answer.response.empty() ? "null" : answer.response;
  out += R"(,"error":)";
  out += answer.is_answered() ? "null" : failure_of(one).json();
  out += answer.labelled.members();
  if (!answer.chunk_answers.empty()) (out += R"(,"parts":)") += answer.chunk_answers;
  return out + "}";
}

Votes votes_of(const std::vector<Answered>& all) {
  Votes votes;
  for (const Answered& one : all)
    if (const std::string& label = one.answer.labelled.label; !one.is_judge && !label.empty())
      votes.add(label, 1);
  return votes;
}

// A judge has the last word.
Labelled labelled_by(const std::vector<Answered>& all) {
  const Votes votes = votes_of(all);
  Labelled labelled{votes.label(), votes.empty() ? "" : votes.json(), votes.tie()};
  const Answered& last = all.back();
  if (last.is_judge && !last.answer.labelled.label.empty())
    labelled.label = last.answer.labelled.label;
  return labelled;
}

protocol::Reply failure_by(const Answered& failed) {
  protocol::Reply reply;
  reply.cls = failed.answer.failure->cls;
  reply.code = reply.cls == OutcomeClass::cancelled ? "cancelled"
               : failed.is_judge                    ? "judge_failed"
                                                    : "model_failed";
  reply.message = fmt::format("{} failed: {}", title_of(failed), failure_of(failed).sentence());
  return reply;
}

tl::unexpected<Error> other_than(std::string_view expected, const Answered& one,
                                 std::string_view got) {
  return fail(ErrorCode::bad_input,
              fmt::format("expected {} of {}, got {}", expected, title_of(one), got));
}

Result<> check_response_of(Value response, const Answered& one, std::string_view where) {
  if (other_in(response, one.parts, one.answer).empty()) return {};
  return other_than("the response", one, fmt::format("another one in {}", where));
}

Result<> check_answer(Value said, const Answered& one, std::string_view where) {
  const bool answered = one.answer.is_answered();
  if (auto checked = check_tiling(one.parts); answered && !checked)
    return fail(ErrorCode::bad_input,
                fmt::format("{}: {}", title_of(one), checked.error().message));
  if (auto checked = check_response_of(json::find(said, "response"), one, where); !checked)
    return checked;
  if (json::find(said, "error").is(Kind::null) != answered)
    return other_than(answered ? "no error" : "the error", one,
                      fmt::format("{} in {}", answered ? "one" : "none", where));
  if (!one.answer.labelled.stands_in(said))
    return other_than("the label", one, fmt::format("another one in {}", where));
  if (json::find(said, "parts").text != one.answer.chunk_answers)
    return other_than("the chunks' answers", one, fmt::format("others in {}", where));
  return {};
}

Result<> check_answers(Value about, const std::vector<Answered>& all) {
  const Value judge = json::find(about, "judge");
  json::Elements said{json::find(about, "answers")};
  for (const Answered& one : all) {
    const Value answer = one.is_judge ? judge : said.next().value_or(Value{});
    if (auto checked = check_answer(answer, one, one.is_judge ? "judge" : "answers"); !checked)
      return checked;
  }
  if (said.next() || judge.is(Kind::none) == all.back().is_judge)
    return fail(ErrorCode::bad_input, "expected one answer for each model, got another one");
  const std::uint64_t chunks = all.front().answer.chunks;
  if (json::integer_of(json::find(about, "chunks")).value_or(0) != chunks)
    return fail(ErrorCode::bad_input,
                fmt::format("expected {} chunks, got another number", chunks));
  return {};
}

} // namespace

bool are_of_several(PartTexts parts) {
  const PartNumber last = PartNumber::of(parts.back().number);
  return last.is_judge() || last.model > 0;
}

std::string answer_members(PartTexts parts) {
  std::string members;
  std::size_t number = 0;
  for (const PartTexts& asked : by_model(parts)) {
    members += fmt::format("{}\"answer.{}\":", members.empty() ? "" : ",", ++number);
    json::append_string(members, text_of_answer(asked));
  }
  return members;
}

std::string reduce_members(PartTexts children) {
  std::string all;
  for (const PartText& child : children) {
    const std::string text = text_of_answer({&child, 1});
    const std::string_view words{text.data(), text.find_last_not_of(" \t\n\v\f\r") + 1};
    if (words.empty()) continue;
    if (!all.empty()) all += "\n\n";
    all += words;
  }
  std::string members = R"("answers":)";
  json::append_string(members, all);
  return members;
}

Judged judged(PartTexts parts) {
  Judged judged;
  const std::vector<Answered> all = all_answers(parts);
  const ModelAnswer& first = all.front().answer;
  if (first.is_answered()) judged.answers.response = first.response;
  judged.labelled = labelled_by(all);
  judged.chunks = first.chunks;
  for (const Answered& one : all) {
    if (one.is_judge) {
      judged.answers.judge = answer_json(one);
    } else {
      judged.answers.answers += judged.answers.answers.empty() ? '[' : ',';
      judged.answers.answers += answer_json(one);
    }
  }
  judged.answers.answers += ']';
  if (const auto failed = first_without(all); failed != all.end())
    judged.failure = failure_by(*failed);
  return judged;
}

Result<> check_model_answers(std::string_view line, PartTexts parts) {
  const Value root = json::root(line), about = json::find(root, "gristmill");
  const bool has_failed = json::find(about, "class").is(Kind::string);
  const std::string code = json::text_of(json::find(json::find(root, "error"), "code"));
  const bool names_one = code == "model_failed" || code == "judge_failed";
  if (has_failed && !names_one && json::find(about, "answers").is(Kind::none)) return {};
  const std::vector<Answered> all = all_answers(parts);
  const auto failed = first_without(all);
  if (has_failed && names_one && failed == all.end())
    return fail(
        ErrorCode::bad_input,
        fmt::format("expected an answer, as all {} parts have, got {}", parts.size(), code));
  if (!has_failed && failed != all.end()) return other_than("the failure", *failed, "an answer");
  if (auto checked = check_answers(about, all); !checked) return checked;
  const Value response = json::find(root, "response");
  if (all.front().answer.is_answered()) {
    if (auto checked = check_response_of(response, all.front(), "response"); !checked)
      return checked;
  } else if (!response.is(Kind::null)) {
    return other_than("no response", all.front(), "one");
  }
  if (!labelled_by(all).stands_in(about))
    return fail(ErrorCode::bad_input, "expected the label that its answers give, got another one");
  return {};
}

} // namespace gristmill::openai
