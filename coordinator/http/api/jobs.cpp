#include "coordinator/http/api/jobs.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "coordinator/http/api/pool_json.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <charconv>
#include <fmt/format.h>
#include <optional>

namespace gristmill::coordinator {
namespace {

using Task = std::unique_ptr<HttpTask>;

// Jobs of a page, if nobody says how many, and at most.
constexpr std::size_t jobs_page = 100, jobs_page_max = 1'000;

HttpResponse show_job(const wiring::Answer& answer) {
  return json_response(200, json_of(answer.jobs.at(0)));
}

HttpResponse show_page(const wiring::Answer& answer) {
  Json jobs = Json::array();
  for (const wiring::JobView& job : answer.jobs) jobs.push_back(json_of(job));
  const Json last = answer.jobs.empty() ? Json() : Json(to_string(answer.jobs.back().id));
  return json_response(
      200, {{"jobs", std::move(jobs)}, {"has_more", answer.more.value != 0}, {"last_id", last}});
}

Result<JobSpec> spec_of(const std::string& body) {
  if (auto checked = json::check(body); !checked)
    return fail(ErrorCode::usage, "expected {\"spec\": {…}}: " + checked.error().message);
  // The text itself, because a job keeps its parameters as they were spelled.
  const json::Value found = json::find(json::root(body), "spec");
  if (!found.is(json::Kind::object))
    return fail(ErrorCode::usage, fmt::format("expected {{\"spec\": {{…}}}}, got {} as spec",
                                              json::name_of(found.kind())));
  auto spec = job_spec_from_json(found.text);
  GRISTMILL_TRY(spec);
  if (!spec->output.empty())
    return fail(ErrorCode::usage, "expected no output: the result stays with the coordinator, "
                                  "fetch it with GET /api/v1/jobs/ID/results");
  return spec;
}

// {"budget_usd": US$}, or nothing.
Result<std::optional<Usd>> budget_of(const std::string& body) {
  if (body.empty()) return std::nullopt;
  const auto json = json::tree(body);
  const bool object = json && json->is_object();
  if (object && json->empty()) return std::nullopt;
  const Usd budget =
      object && json->size() == 1 ? usd_of(json->value("budget_usd", Json())) : Usd{};
  if (!budget || budget > usd_max)
    return fail(
        ErrorCode::usage,
        "expected no body, or {\"budget_usd\": US$} with more than 0 and at most 1,000,000");
  return budget;
}

// ?limit=N&after=ID
Result<wiring::ListJobs> page_of(const HttpRequest& head) {
  wiring::ListJobs page;
  page.limit = jobs_page;
  if (const auto limit = head.query.find("limit"); limit != head.query.end()) {
    const char* end = limit->second.data() + limit->second.size();
    const auto [stop, error] = std::from_chars(limit->second.data(), end, page.limit);
    if (error != std::errc{} || stop != end || page.limit == 0 || page.limit > jobs_page_max)
      return fail(ErrorCode::usage, fmt::format("expected limit=N with N from 1 to {}, got \"{}\"",
                                                jobs_page_max, json::printable(limit->second, 20)));
  }
  if (const auto after = head.query.find("after");
      after != head.query.end() && !parse(after->second, page.after))
    return fail(ErrorCode::usage, fmt::format("expected after=JOB such as job-7, got \"{}\"",
                                              json::printable(after->second, 100)));
  return page;
}

// JobInputs ends later than this resource and may still call back what was begun here: so nothing
// of it holds the resource.

void ask_for_job(const AskNode& ask, JobInputs& job_inputs, JobSpec spec, const Respond& respond) {
  auto inputs = files_of(spec);
  ask(wiring::SubmitJob{std::move(spec)},
      [&job_inputs, respond, inputs = std::move(inputs)](const wiring::Answer& answer) {
        if (!answer.error) return respond(json_response(201, json_of(answer.jobs.at(0))));
        // Then its client may discard them.
        job_inputs.refused(inputs,
                           [respond, error = *answer.error] { respond(error_response(error)); });
      });
}

Task submitting(AskNode ask, JobInputs& job_inputs) {
  return gathered(
      control_bytes_max,
      [ask = std::move(ask), &job_inputs](const std::string& body, const Respond& respond) {
        auto spec = spec_of(body);
        if (!spec) return respond(error_response(spec.error()));
        job_inputs.admit(std::move(*spec), [ask, &job_inputs, respond](Result<JobSpec> admitted) {
          if (!admitted) return respond(error_response(admitted.error()));
          ask_for_job(ask, job_inputs, std::move(*admitted), respond);
        });
      },
      disk_work_time_max);
}

Task forgetting(AskNode ask, JobInputs& job_inputs, JobId job) {
  return gathered(
      control_bytes_max,
      [ask = std::move(ask), &job_inputs, job](std::string, const Respond& respond) {
        ask(wiring::ForgetJob{job},
            unless_refused(respond, [&job_inputs, respond](wiring::Answer answer) {
              auto inputs = std::move(answer.forgotten_inputs);
              job_inputs.forgotten(std::move(inputs), [respond, answer = std::move(answer)] {
                respond(show_job(answer));
              });
            }));
      },
      disk_work_time_max);
}

Task listing(AskNode ask, const HttpRequest& head) {
  auto page = page_of(head);
  if (!page) return answered(error_response(page.error()));
  return asking(std::move(ask), std::move(*page), show_page);
}

Task resuming(AskNode ask, JobId job) {
  return gathered(control_bytes_max,
                  [ask = std::move(ask), job](const std::string& body, const Respond& respond) {
                    auto budget = budget_of(body);
                    if (!budget) return respond(error_response(budget.error()));
                    ask(wiring::ReopenJob{job, {}, {}, *budget},
                        unless_refused(respond, [respond](const wiring::Answer& answer) {
                          respond(show_job(answer));
                        }));
                  });
}

Task retrying(AskNode ask, const HttpRequest& head, JobId job) {
  const auto given = head.query.find("class");
  auto classes = outcome_classes_named(given == head.query.end() ? "" : given->second);
  if (!classes) return answered(error_response(classes.error()));
  return asking(std::move(ask), wiring::ReopenJob{job, {}, std::move(*classes)}, show_job);
}

} // namespace

std::vector<Route> JobsResource::routes() {
  // Of a question that names a job and nothing else.
  const auto asked = [this](auto question) {
    return of_job([this, question](const HttpRequest&, JobId job) mutable {
      question.job = job;
      return asking(ask_, question, show_job);
    });
  };
  return {
      // {"spec": {…}} -> 201 and the job
      {"POST", "/api/v1/jobs",
       [this](const HttpRequest&, const Segments&) { return submitting(ask_, inputs_); }},
      // ?limit=N&after=ID -> {"jobs": […], "has_more", "last_id"}, by their ids
      {"GET", "/api/v1/jobs",
       [this](const HttpRequest& head, const Segments&) { return listing(ask_, head); }},
      // -> the job, as after each of the following
      {"GET", "/api/v1/jobs/{job}", asked(wiring::ShowJob{})},
      {"POST", "/api/v1/jobs/{job}/cancel", asked(wiring::CancelJob{})},
      {"POST", "/api/v1/jobs/{job}/pause", asked(wiring::PauseJob{})},
      // {"budget_usd": US$}, or nothing
      {"POST", "/api/v1/jobs/{job}/resume",
       of_job([this](const HttpRequest&, JobId job) { return resuming(ask_, job); })},
      // ?class=CLASS,…
      {"POST", "/api/v1/jobs/{job}/retry",
       of_job([this](const HttpRequest& head, JobId job) { return retrying(ask_, head, job); })},
      {"DELETE", "/api/v1/jobs/{job}",
       of_job([this](const HttpRequest&, JobId job) { return forgetting(ask_, inputs_, job); })},
  };
}

} // namespace gristmill::coordinator
