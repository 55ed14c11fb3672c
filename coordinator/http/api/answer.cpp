#include "coordinator/http/api/answer.hpp"

namespace gristmill::coordinator {
namespace {

int status_of(ErrorCode code) {
  switch (code) {
  case ErrorCode::usage:
  case ErrorCode::bad_input: return 400;
  case ErrorCode::refused: return 403;
  case ErrorCode::not_found: return 404;
  case ErrorCode::conflict: return 409;
  case ErrorCode::unavailable: return 503;
  case ErrorCode::disk_full: return 507;
  default: return 500;
  }
}

} // namespace

HttpResponse json_response(int status, const Json& json) {
  HttpResponse response;
  response.status = status;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

HttpResponse error_response(const Error& error) {
  return http_error(status_of(error.code), name_of(error.code), error.message);
}

} // namespace gristmill::coordinator
