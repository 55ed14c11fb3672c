#include "coordinator/http/server/task.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gristmill::coordinator {
namespace {

class Answered final : public HttpTask {
public:
  explicit Answered(HttpResponse response) : response_{std::move(response)} {}
  bool wants_body() const override { return false; }
  bool take(std::string_view) override { return false; }
  void finish(Respond respond) override { respond(std::move(response_)); }

private:
  HttpResponse response_;
};

class Gathered final : public HttpTask {
public:
  Gathered(std::size_t bytes_max, std::function<void(std::string, Respond)> proceed,
           std::chrono::milliseconds within)
      : bytes_max_{bytes_max}, proceed_{std::move(proceed)}, within_{within} {}

  std::chrono::milliseconds answer_within() const override { return within_; }

  bool take(std::string_view piece) override {
    too_large_ = body_.size() + piece.size() > bytes_max_;
    if (!too_large_) body_ += piece;
    return !too_large_;
  }

  void finish(Respond respond) override {
    if (!too_large_) return proceed_(std::move(body_), std::move(respond));
    respond(http_error(413, "too_large",
                       fmt::format("expected a body of at most {} bytes, got more", bytes_max_)));
  }

private:
  std::size_t bytes_max_;
  std::function<void(std::string, Respond)> proceed_;
  std::chrono::milliseconds within_;
  std::string body_;
  bool too_large_ = false;
};

} // namespace

HttpResponse http_error(int status, std::string_view code, std::string_view message) {
  const nlohmann::ordered_json error{{"error", {{"code", code}, {"message", message}}}};
  HttpResponse response;
  response.status = status;
  response.body = error.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return response;
}

std::unique_ptr<HttpTask> answered(HttpResponse response) {
  return std::make_unique<Answered>(std::move(response));
}

std::unique_ptr<HttpTask> gathered(std::size_t body_bytes_max,
                                   std::function<void(std::string, Respond)> proceed,
                                   std::chrono::milliseconds answer_within) {
  return std::make_unique<Gathered>(body_bytes_max, std::move(proceed), answer_within);
}

} // namespace gristmill::coordinator
