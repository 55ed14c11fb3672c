#include "coordinator/http/api.hpp"

#include "coordinator/disk/state_directory.hpp"
#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "coordinator/http/api/pool_json.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <sodium.h>

namespace gristmill::coordinator {
namespace {

// Jobs of a page, if nobody says how many, and at most.
constexpr std::size_t jobs_page = 100, jobs_page_max = 1'000;

constexpr std::string_view worker_hole = "{worker}", drain_shape = "/api/v1/workers/{worker}/drain";
constexpr std::string_view input_hole = "{input}", input_shape = "/api/v1/inputs/{input}";
constexpr std::string_view file_type = "application/octet-stream";

// Compared as hashes, so that neither length nor content shows in the time.
bool same_secret(std::string_view a, std::string_view b) {
  const auto hash = [](std::string_view text) {
    std::array<unsigned char, crypto_generichash_BYTES> bytes{};
    crypto_generichash(bytes.data(), bytes.size(),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size(), nullptr,
                       0);
    return bytes;
  };
  const auto hash_a = hash(a), hash_b = hash(b);
  return sodium_memcmp(hash_a.data(), hash_b.data(), hash_a.size()) == 0;
}

// What stands in a path of this shape in place of its `hole`, one segment; nothing if it is not
// one.
std::string_view in_hole(std::string_view shape, std::string_view hole, std::string_view path) {
  const auto at = shape.find(hole);
  if (at == shape.npos) return {};
  const std::string_view before = shape.substr(0, at), after = shape.substr(at + hole.size());
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
      !path.ends_with(after))
    return {};
  path.remove_prefix(before.size());
  path.remove_suffix(after.size());
  return path.find('/') == path.npos ? path : std::string_view{};
}

// Whether the path is of this shape; `{job}`, `{worker}` and `{input}` stand for one segment.
bool matches(std::string_view shape, std::string_view path, std::string& job) {
  if (shape == path || !in_hole(shape, worker_hole, path).empty() ||
      !in_hole(shape, input_hole, path).empty())
    return true;
  const std::string_view found = in_hole(shape, "{job}", path);
  if (!found.empty()) job = found;
  return !found.empty();
}

// Of a resume's body: {"budget_usd": US$}, or nothing.
Result<std::optional<Usd>> budget_of(const std::string& body) {
  if (body.empty()) return std::nullopt;
  const auto json = json::tree(body);
  const bool object = json && json->is_object();
  if (object && json->empty()) return std::nullopt;
  const std::uint64_t nano =
      object && json->size() == 1 ? nano_usd_of(json->value("budget_usd", Json())) : 0;
  if (nano == 0 || nano > usd_max.nano)
    return fail(
        ErrorCode::usage,
        "expected no body, or {\"budget_usd\": US$} with more than 0 and at most 1,000,000");
  return Usd{nano};
}

// ?limit=N&after=ID
Result<wiring::ListJobs> jobs_page_of(const HttpRequest& head) {
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

HttpResponse show_workers(const wiring::Answer& answer) {
  Json workers = Json::array();
  for (const WorkerView& worker : answer.workers) workers.push_back(json_of(worker));
  return json_response(200, {{"workers", std::move(workers)}});
}

} // namespace

struct HttpApi::Route {
  std::string_view method, shape;
  Task (HttpApi::*open)(const HttpRequest&, JobId);
  bool open_to_all = false;
  std::string_view content_type = "application/json"; // of its body
};

const std::vector<HttpApi::Route>& HttpApi::routes() {
  static const std::vector<Route> table{
      {"GET", "/healthz", &HttpApi::health, true},
      {"GET", "/readyz", &HttpApi::ready, true},
      {"GET", "/metrics", &HttpApi::metrics},
      {"GET", "/api/v1/events", &HttpApi::events},
      {"GET", "/api/v1/jobs/{job}/events", &HttpApi::job_events},
      {"POST", "/api/v1/inputs", &HttpApi::upload, false, file_type},
      {"DELETE", input_shape, &HttpApi::discard_upload},
      {"POST", "/api/v1/jobs", &HttpApi::submit},
      {"GET", "/api/v1/jobs", &HttpApi::list_jobs},
      {"GET", "/api/v1/jobs/{job}", &HttpApi::show_job},
      {"GET", "/api/v1/jobs/{job}/explain", &HttpApi::explain_job},
      {"POST", "/api/v1/jobs/{job}/cancel", &HttpApi::cancel_job},
      {"POST", "/api/v1/jobs/{job}/pause", &HttpApi::pause_job},
      {"POST", "/api/v1/jobs/{job}/resume", &HttpApi::resume_job},
      {"POST", "/api/v1/jobs/{job}/retry", &HttpApi::retry_job},
      {"DELETE", "/api/v1/jobs/{job}", &HttpApi::forget_job},
      {"GET", "/api/v1/jobs/{job}/results", &HttpApi::results},
      {"GET", "/api/v1/jobs/{job}/summary", &HttpApi::summary},
      {"GET", "/api/v1/workers", &HttpApi::list_workers},
      {"POST", drain_shape, &HttpApi::drain_worker},
      {"GET", "/api/v1/pools", &HttpApi::list_pools},
  };
  return table;
}

Result<std::unique_ptr<HttpApi>> HttpApi::open(HttpApiOptions options) {
  if (sodium_init() < 0)
    return fail(ErrorCode::internal, "libsodium finds no source of randomness");
  auto uploads = Uploads::open(options.state_directory, options.data_root, options.disk);
  if (!uploads) return tl::unexpected{uploads.error()};
  return std::unique_ptr<HttpApi>{new HttpApi{std::move(options), std::move(*uploads)}};
}

bool HttpApi::is_authorized(const HttpRequest& head) const {
  constexpr std::string_view scheme = "bearer "; // in any case, RFC 9110 11.1
  const std::string header = head.headers.get("Authorization");
  const std::string_view given = header;
  const bool is_bearer =
      given.size() >= scheme.size() &&
      std::equal(scheme.begin(), scheme.end(), given.begin(),
                 [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
  return options_.token.empty() ||
         (is_bearer && same_secret(given.substr(scheme.size()), options_.token));
}

bool HttpApi::is_always_answered(const HttpRequest& head) {
  return head.method == "GET" && (head.path == "/healthz" || head.path == "/readyz");
}

namespace {
std::unique_ptr<HttpTask> turned_away(const HttpRefusal& refusal) {
  return answered(http_error(refusal.status, refusal.code, refusal.sentence));
}
} // namespace

std::unique_ptr<HttpTask> HttpApi::open_task(const HttpRequest& head) {
  if (const auto refusal = door_.why_refused(head.headers)) return turned_away(*refusal);
  const Route* found = nullptr;
  std::string job_text, allowed;
  for (const Route& route : routes()) {
    if (!matches(route.shape, head.path, job_text)) continue;
    if (route.method == head.method) found = &route;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", route.method);
  }
  // Whoever has no token learns nothing, not even which routes there are.
  if ((found == nullptr || !found->open_to_all) && !is_authorized(head)) {
    auto refusal = http_error(401, "unauthorized",
                              "expected the header Authorization: Bearer TOKEN with the token of "
                              "this coordinator (client.token of its keys)");
    refusal.headers.emplace_back("WWW-Authenticate", "Bearer");
    return answered(std::move(refusal));
  }
  const std::string shown = json::printable(head.path, 200);
  if (allowed.empty())
    return answered(http_error(404, "not_found", fmt::format("there is no {} here", shown)));
  if (found == nullptr) {
    auto refusal = http_error(405, "method_not_allowed",
                              fmt::format("expected {} for {}, got {}", allowed, shown,
                                          json::printable(head.method, 20)));
    refusal.headers.emplace_back("Allow", allowed);
    return answered(std::move(refusal));
  }
  const bool carries = head.method != "GET";
  if (const auto refusal = HttpDoor::why_no_body(head.headers, carries, found->content_type))
    return turned_away(*refusal);
  JobId job;
  if (!job_text.empty() && !parse(job_text, job))
    return answered(http_error(
        404, "not_found",
        fmt::format("expected a job such as job-7, got \"{}\"", json::printable(job_text, 100))));
  return (this->*found->open)(head, job);
}

HttpApi::Task HttpApi::asking(HttpApiOptions::Question question,
                              std::function<HttpResponse(wiring::Answer)> show) {
  return gathered(control_bytes_max, [this, question = std::move(question),
                                      show = std::move(show)](std::string, Respond respond) {
    options_.ask(question, [show, respond](wiring::Answer answer) {
      if (answer.error) return respond(error_response(*answer.error));
      respond(show(std::move(answer)));
    });
  });
}

HttpResponse HttpApi::show(const wiring::Answer& answer, int status) const {
  wiring::JobView job = answer.jobs.at(0);
  job.output = options_.output_path(job);
  return json_response(status, json_of(job));
}

HttpApi::Task HttpApi::health(const HttpRequest&, JobId) {
  return answered(json_response(200, {{"status", "ok"}}));
}

// Ready is who answers: the question goes through the node.
HttpApi::Task HttpApi::ready(const HttpRequest&, JobId) {
  return asking(wiring::ShowReady{}, [](const wiring::Answer&) {
    return json_response(200, {{"status", "ready"}});
  });
}

HttpApi::Task HttpApi::list_jobs(const HttpRequest& head, JobId) {
  auto page = jobs_page_of(head);
  if (!page) return answered(error_response(page.error()));
  return asking(std::move(*page), [this](wiring::Answer answer) {
    Json jobs = Json::array();
    for (wiring::JobView& job : answer.jobs) {
      job.output = options_.output_path(job);
      jobs.push_back(json_of(job));
    }
    const Json last = answer.jobs.empty() ? Json() : Json(to_string(answer.jobs.back().id));
    return json_response(
        200, {{"jobs", std::move(jobs)}, {"has_more", answer.more.value != 0}, {"last_id", last}});
  });
}

HttpApi::Task HttpApi::show_job(const HttpRequest&, JobId job) {
  return asking(wiring::ShowJob{job},
                [this](const wiring::Answer& answer) { return show(answer, 200); });
}

HttpApi::Task HttpApi::cancel_job(const HttpRequest&, JobId job) {
  return asking(wiring::CancelJob{job},
                [this](const wiring::Answer& answer) { return show(answer, 200); });
}

HttpApi::Task HttpApi::pause_job(const HttpRequest&, JobId job) {
  return asking(wiring::PauseJob{job},
                [this](const wiring::Answer& answer) { return show(answer, 200); });
}

HttpApi::Task HttpApi::resume_job(const HttpRequest&, JobId job) {
  return gathered(control_bytes_max, [this, job](const std::string& body, Respond respond) {
    wiring::ReopenJob reopen{job, {}, {}};
    auto budget = budget_of(body);
    if (!budget) return respond(error_response(budget.error()));
    reopen.budget_usd = *budget;
    options_.ask(std::move(reopen), [this, respond](const wiring::Answer& answer) {
      respond(answer.error ? error_response(*answer.error) : show(answer, 200));
    });
  });
}

HttpApi::Task HttpApi::retry_job(const HttpRequest& head, JobId job) {
  const auto given = head.query.find("class");
  auto classes = outcome_classes_named(given == head.query.end() ? "" : given->second);
  if (!classes) return answered(error_response(classes.error()));
  return asking(wiring::ReopenJob{job, {}, std::move(*classes)},
                [this](const wiring::Answer& answer) { return show(answer, 200); });
}

HttpApi::Task HttpApi::forget_job(const HttpRequest&, JobId job) {
  return gathered(
      control_bytes_max,
      [this, job](std::string, Respond respond) {
        options_.ask(wiring::ForgetJob{job}, [this, respond](wiring::Answer answer) {
          if (answer.error) return respond(error_response(*answer.error));
          auto inputs = std::move(answer.forgotten_inputs);
          job_inputs_.forgotten(std::move(inputs), [this, respond, answer = std::move(answer)] {
            respond(show(answer, 200));
          });
        });
      },
      disk_work_time_max);
}

HttpApi::Task HttpApi::discard_upload(const HttpRequest& head, JobId) {
  std::string id{in_hole(input_shape, input_hole, head.path)};
  return gathered(
      control_bytes_max,
      [this, id = std::move(id)](std::string, Respond respond) {
        job_inputs_.discard(id, [id, respond](Result<> discarded) {
          respond(discarded ? json_response(200, {{"id", id}}) : error_response(discarded.error()));
        });
      },
      disk_work_time_max);
}

HttpApi::Task HttpApi::list_workers(const HttpRequest&, JobId) {
  return asking(wiring::ListWorkers{}, show_workers);
}

HttpApi::Task HttpApi::drain_worker(const HttpRequest& head, JobId) {
  const std::string_view worker = in_hole(drain_shape, worker_hole, head.path);
  return asking(wiring::DrainWorker{std::string{worker}}, show_workers);
}

HttpApi::Task HttpApi::list_pools(const HttpRequest&, JobId) {
  return asking(wiring::ListPools{}, [](const wiring::Answer& answer) {
    Json pools = Json::array();
    for (const PoolView& pool : answer.pools) pools.push_back(json_of(pool));
    return json_response(200, {{"pools", std::move(pools)}});
  });
}

} // namespace gristmill::coordinator
