// What passes between the HTTP server and whoever answers: the head of a request, the task that
// serves it, and the response. Invariant: a task never blocks; what takes long answers later.
#pragma once

#include "coordinator/http/server/body_source.hpp"
#include "coordinator/http/server/door.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

// What is known when the head has come, before the body.
struct HttpRequest {
  std::string method; // "GET" for HEAD too: the body of its answer is not sent
  std::string path;   // percent-decoded, without the query
  std::map<std::string, std::string, std::less<>> query;
  HttpHeaders headers;
  std::optional<std::uint64_t> content_length;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::shared_ptr<BodySource> stream; // when set, the body is what comes out of it
  std::vector<std::pair<std::string, std::string>> headers;
};
HttpResponse http_error(int status, std::string_view code, std::string_view message);

// Called once, on any thread. Later calls, and those after the server's end, do nothing.
using Respond = std::function<void(HttpResponse)>;

inline constexpr std::chrono::seconds question_time_max{30};
// For what may read or write a lot: inputs that are looked through, an upload that is synced.
inline constexpr std::chrono::minutes disk_work_time_max{15};

// One request being served. Destroyed without finish() when the client did not send all of it.
class HttpTask {
public:
  virtual ~HttpTask() = default;
  // Asked when no work is left to do. False: no more of it is wanted, finish() says why at once.
  virtual bool wants_body() const { return true; }
  virtual bool take(std::string_view piece) = 0; // false: as above, from now on
  // What would make other clients wait is done elsewhere. The server asks for it after the head and
  // after each piece, and reads the client no further until `done` is called: once, on any thread.
  // The task may be destroyed before.
  virtual bool has_work() const { return false; }
  virtual void work(std::function<void()> done) { done(); }
  virtual void finish(Respond respond) = 0; // the body is complete, or was not wanted
  // The longest that an answer may take after finish(); then the client is told that none came.
  virtual std::chrono::milliseconds answer_within() const { return question_time_max; }
};

// Tasks for whoever does not stream: one that has its answer already, and one that gathers the
// body, up to a bound, before it goes on.
std::unique_ptr<HttpTask> answered(HttpResponse response);
std::unique_ptr<HttpTask> gathered(std::size_t body_bytes_max,
                                   std::function<void(std::string body, Respond respond)> proceed,
                                   std::chrono::milliseconds answer_within = question_time_max);

} // namespace gristmill::coordinator
