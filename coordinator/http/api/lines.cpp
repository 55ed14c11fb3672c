#include "coordinator/http/api/lines.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/asking.hpp"
#include "coordinator/result/line_page.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

// ?from=SEGMENT:OFFSET
Result<PagePlace> place_of(const HttpRequest& head) {
  const auto from = head.query.find("from");
  if (from == head.query.end()) return PagePlace{};
  const auto place = line_place_from(from->second);
  if (place) return *place;
  return fail(
      ErrorCode::usage,
      fmt::format("from: expected SEGMENT:OFFSET as Gristmill-Next has named it, got \"{}\"",
                  json::printable(from->second, 100)));
}

Result<LinePage> page_of(const Result<std::shared_ptr<journal::JobLines>>& lines, PagePlace from) {
  GRISTMILL_TRY(lines);
  return page_behind(**lines, from);
}

HttpResponse show(Result<LinePage> page) {
  if (!page) return error_response(page.error());
  HttpResponse response;
  response.content_type = "application/x-ndjson";
  response.headers.emplace_back("Gristmill-Next", to_string(page->next));
  response.body = std::move(page->lines);
  return response;
}

} // namespace

std::vector<Route> LinesResource::routes() {
  const auto of_kind = [this](journal::LineKind kind) {
    return of_job(
        [this, kind](const HttpRequest& head, JobId job) { return reading(head, job, kind); });
  };
  return {
      // ?from=SEGMENT:OFFSET -> the durable lines behind it, and Gristmill-Next: where to go on
      {"GET", "/api/v1/jobs/{job}/lines", of_kind(journal::LineKind::results)},
      // The same of parts.
      {"GET", "/api/v1/jobs/{job}/parts", of_kind(journal::LineKind::parts)},
  };
}

std::unique_ptr<HttpTask> LinesResource::reading(const HttpRequest& head, JobId job,
                                                 journal::LineKind kind) {
  const auto from = place_of(head);
  if (!from) return answered(error_response(from.error()));
  return gathered(
      control_bytes_max,
      [this, job, kind, from = *from](std::string, const Respond& respond) {
        readers_.order([this, job, kind, from, respond] {
          respond(show(page_of(lines_of_(job, kind), from)));
        });
      },
      disk_work_time_max);
}

} // namespace gristmill::coordinator
