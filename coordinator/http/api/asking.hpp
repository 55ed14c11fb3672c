// ASKING: how the routes put their questions to the node. Invariant: what the node refuses becomes
// the client's answer here, so no route has to look for an error in it.
#pragma once

#include "actors/wiring/questions.hpp"
#include "coordinator/http/router.hpp"

#include <functional>
#include <memory>

namespace gristmill::coordinator {

using Question = decltype(wiring::Ask::question);
using Told = std::function<void(wiring::Answer)>;
// May be called on any thread; the answer comes on any.
using AskNode = std::function<void(Question, Told)>;

inline constexpr std::size_t control_bytes_max = 1u << 20; // of a request that is no upload

// `then`, or an error for whoever waits for `respond`.
Told unless_refused(Respond respond, Told then);

// Asks when the request is complete, and answers with what `show` makes of what the node says.
std::unique_ptr<HttpTask> asking(AskNode ask, Question question,
                                 std::function<HttpResponse(wiring::Answer)> show);

// Of a route whose first name is {job}: 404 if what stands there is none.
decltype(Route::open)
of_job(std::function<std::unique_ptr<HttpTask>(const HttpRequest&, JobId)> open);

} // namespace gristmill::coordinator
