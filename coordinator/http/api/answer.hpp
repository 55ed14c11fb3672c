// What the routes answer with: JSON, and an error with its HTTP status.
#pragma once

#include "coordinator/http/server/task.hpp"
#include "protocol/result.hpp"

#include <nlohmann/json.hpp>

namespace gristmill::coordinator {

using Json = nlohmann::ordered_json;

HttpResponse json_response(int status, const Json& json);
HttpResponse error_response(const Error& error);

} // namespace gristmill::coordinator
