#include "coordinator/http/api/explain.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <charconv>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t message_bytes_max = 500;
constexpr std::size_t question_bytes_max = 64u << 10;

// The member at the end of the path, or null.
Json member(const Json& object, std::initializer_list<const char*> path) {
  const Json* at = &object;
  for (const char* name : path) {
    if (!at->is_object()) return {};
    const auto found = at->find(name);
    if (found == at->end()) return {};
    at = &*found;
  }
  return *at;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string{};
}

// What the line says, and where it is; null: it is not one of ours.
Json result_of(const FoundLine& found) {
  const Json line = json::tree(found.line).value_or(Json());
  const Json about = member(line, {"gristmill"});
  if (!about.is_object()) return {};
  Json message = member(line, {"error", "message"});
  if (message.is_null()) message = member(line, {"response", "body", "error", "message"});
  if (message.is_string()) message = json::printable(message.get<std::string>(), message_bytes_max);
  // The first of several models may have answered an item that another one has failed.
  const bool other_failed = member(line, {"error"}).is_object();
  const bool several = about.contains("answers");
  return {{"class", member(about, {"class"})}, // null: it was answered
          {"message", about.contains("class") ? message : Json()},
          {"status_code", other_failed ? Json() : member(line, {"response", "status_code"})},
          {"attempts", member(about, {"attempts"})},
          {"endpoint", several ? Json() : member(about, {"endpoint"})}, // each has its own
          {"source", member(about, {"source"})},
          {"file", found.place},
          {"offset", found.offset},
          {"bytes", found.line.size() + 1}};
}

std::string sentence_of(const Json& result) {
  const std::string cls = text_of(result["class"]), message = text_of(result["message"]);
  const std::string endpoint = text_of(result["endpoint"]);
  const Json& tries = result["attempts"];
  const std::uint64_t attempts = tries.is_number() ? tries.get<std::uint64_t>() : 0;
  std::string text = cls.empty() ? "answered" : fmt::format("failed as {}", cls);
  if (!endpoint.empty()) text += " by " + endpoint;
  if (attempts > 0 && result["endpoint"].is_null())
    text += fmt::format(" after {} attempt{}", attempts, attempts == 1 ? "" : "s");
  else if (attempts > 0)
    text += fmt::format(" at attempt {}", attempts);
  if (!message.empty()) text += ": " + message;
  return fmt::format("{}; its line begins at byte {} of {}", text,
                     result["offset"].get<std::uint64_t>(), text_of(result["file"]));
}

bool may_have_line(WaitKind kind) {
  return kind == WaitKind::recorded || kind == WaitKind::not_open || kind == WaitKind::over;
}

// What the rooms said of an item, with what its line says.
Json with_line(wiring::Explanation said, const LineSearch& search) {
  const Json result = search && *search ? result_of(**search) : Json();
  if (!search) {
    said.sentence += "; " + search.error().message;
  } else if (!result.is_null()) {
    said.reason.kind = WaitKind::recorded;
    said.sentence = sentence_of(result);
    said.remedy =
        result["class"].is_null()
            ? ""
            : fmt::format("`gristmill retry {}`, when the job is over", to_string(said.job));
  } else if (said.reason.kind != WaitKind::recorded) {
    said.sentence = "no line of this item is recorded" +
                    (said.reason.kind == WaitKind::over
                         ? ", and " + said.sentence
                         : ": the job has none of this id, or has not read it yet");
  }
  Json json = json_of(said);
  if (!result.is_null()) json["result"] = result;
  return json;
}

Result<std::optional<supervisor::ItemQuestion>> item_of(const HttpRequest& head) {
  const auto id = head.query.find("item"), number = head.query.find("number");
  std::optional<supervisor::ItemQuestion> item;
  if (id != head.query.end()) item = supervisor::ItemQuestion{id->second, 0};
  if (number != head.query.end()) {
    std::uint64_t n = 0;
    const char* end = number->second.data() + number->second.size();
    const auto [stop, error] = std::from_chars(number->second.data(), end, n);
    if (error != std::errc{} || stop != end || n == 0 || item)
      return fail(ErrorCode::usage,
                  "expected either item=ID or number=N with N from 1 in the query");
    item = supervisor::ItemQuestion{"", n - 1};
  } else if (item && item->id.empty()) {
    return fail(ErrorCode::usage, "expected an id after item=, got nothing");
  }
  return item;
}

} // namespace

std::vector<Route> ExplainResource::routes() {
  return {
      // ?item=ID or ?number=N (the Nth item), or neither of them: the job as a whole
      {"GET", "/api/v1/jobs/{job}/explain",
       of_job([this](const HttpRequest& head, JobId job) { return explaining(head, job); })},
  };
}

std::unique_ptr<HttpTask> ExplainResource::explaining(const HttpRequest& head, JobId job) {
  auto item = item_of(head);
  if (!item) return answered(error_response(item.error()));
  return gathered(
      question_bytes_max,
      [this, wanted = wiring::ExplainJob{job, std::move(*item)}](std::string,
                                                                 const Respond& respond) {
        ask_(wanted, unless_refused(respond, [this, wanted, respond](wiring::Answer answer) {
               look_up(wanted, std::move(answer.explanation.value()), respond);
             }));
      },
      disk_work_time_max);
}

void ExplainResource::look_up(const wiring::ExplainJob& wanted, wiring::Explanation said,
                              const Respond& respond) {
  if (!wanted.item || !may_have_line(said.reason.kind))
    return respond(json_response(200, json_of(said)));
  auto lines = lines_of_(wanted.job, journal::LineKind::results);
  if (!lines) return respond(error_response(lines.error()));
  const bool looks =
      finder_.find(std::move(*lines), {wanted.job, wanted.item->id, wanted.item->item},
                   [said, respond](const LineSearch& search) {
                     respond(json_response(200, with_line(said, search)));
                   });
  if (!looks) respond(json_response(200, json_of(said)));
}

} // namespace gristmill::coordinator
