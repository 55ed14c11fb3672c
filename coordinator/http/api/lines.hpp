// LINES: a job's lines as they come, of items or of parts, for whoever does not wait for its end.
// Invariant: what is given is durable; only the reader threads here wait for a disk.
#pragma once

#include "actors/journal/line_store.hpp"
#include "coordinator/disk/work_threads.hpp"
#include "coordinator/http/router.hpp"
#include "protocol/ids.hpp"

#include <functional>
#include <memory>

namespace gristmill::coordinator {

class LinesResource final : public Resource {
public:
  // As LineStore has it.
  using LinesOf =
      std::function<Result<std::shared_ptr<journal::JobLines>>(JobId, journal::LineKind)>;

  explicit LinesResource(LinesOf lines) : lines_of_{std::move(lines)} {}
  std::vector<Route> routes() override;

private:
  std::unique_ptr<HttpTask> reading(const HttpRequest& head, JobId job, journal::LineKind kind);

  LinesOf lines_of_;
  WorkThreads readers_{"result lines", 4};
};

} // namespace gristmill::coordinator
