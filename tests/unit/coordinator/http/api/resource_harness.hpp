// What the tests of one resource share: its routes without a server, and a node that notes what it
// is asked and says what the test wants.
#pragma once

#include "coordinator/http/api/asking.hpp"

#include <catch2/catch.hpp>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

namespace gristmill::resource_test {

using namespace gristmill::coordinator;
using nlohmann::json;

struct NotingNode {
  std::function<wiring::Answer(const Question&)> says;
  std::mutex mutex{};
  std::vector<Question> asked{};

  AskNode ask() {
    return [this](const Question& question, const Told& told) {
      std::unique_lock lock{mutex};
      asked.push_back(question);
      lock.unlock();
      told(says(question));
    };
  }
  // The n-th question, which must be of this kind.
  template <class Kind> Kind at(std::size_t n) {
    REQUIRE(asked.size() > n);
    REQUIRE(std::holds_alternative<Kind>(asked[n]));
    return std::get<Kind>(asked[n]);
  }
};

inline wiring::Answer job_answer(JobState state = JobState::running, std::string output = "/out") {
  wiring::Answer answer;
  wiring::JobView& job = answer.jobs.emplace_back();
  job.id = JobId{7};
  job.state = state;
  job.output = std::move(output);
  return answer;
}

inline wiring::Answer refusal(ErrorCode code, std::string sentence) {
  wiring::Answer answer;
  answer.error = Error{code, std::move(sentence)};
  return answer;
}

struct Request {
  std::string method, path;
  std::map<std::string, std::string, std::less<>> query = {};
  std::string body = {};
};

// What a request is answered with, whichever thread says it.
inline HttpResponse call(Resource& resource, const Request& request) {
  const Router router{resource.routes()};
  const auto found = router.find(request.method, request.path);
  INFO(request.method << " " << request.path);
  REQUIRE(found.route != nullptr);
  HttpRequest head;
  head.method = request.method;
  head.path = request.path;
  head.query = request.query;
  const auto task = found.route->open(head, found.segments);
  if (task->wants_body() && !request.body.empty()) task->take(request.body);
  std::promise<HttpResponse> answered;
  task->finish([&](HttpResponse response) { answered.set_value(std::move(response)); });
  return answered.get_future().get();
}

// All that comes out of a stream that has an end.
inline std::string content_of(BodySource& stream) {
  std::string all, piece(4'096, '\0');
  while (const auto bytes = stream.read(piece.data(), piece.size())) {
    all.append(piece, 0, *bytes);
    if (*bytes > 0) continue;
    std::promise<void> ready;
    stream.when_ready([&] { ready.set_value(); });
    ready.get_future().wait();
  }
  return all;
}

} // namespace gristmill::resource_test
