#include "coordinator/http/api/asking.hpp"

#include "coordinator/http/api/answer.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {

Told unless_refused(Respond respond, Told then) {
  return [respond = std::move(respond), then = std::move(then)](wiring::Answer answer) {
    answer.error ? respond(error_response(*answer.error)) : then(std::move(answer));
  };
}

std::unique_ptr<HttpTask> asking(AskNode ask, Question question,
                                 std::function<HttpResponse(wiring::Answer)> show) {
  return gathered(control_bytes_max, [ask = std::move(ask), question = std::move(question),
                                      show = std::move(show)](std::string, const Respond& respond) {
    ask(question, unless_refused(respond, [show, respond](wiring::Answer answer) {
          respond(show(std::move(answer)));
        }));
  });
}

decltype(Route::open)
of_job(std::function<std::unique_ptr<HttpTask>(const HttpRequest&, JobId)> open) {
  return [open = std::move(open)](const HttpRequest& head, const Segments& segments) {
    JobId job;
    if (parse(segments.at(0), job)) return open(head, job);
    return answered(http_error(404, "not_found",
                               fmt::format("expected a job such as job-7, got \"{}\"",
                                           json::printable(segments.at(0), 100))));
  };
}

} // namespace gristmill::coordinator
