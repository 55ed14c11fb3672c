// EXPLAIN: why a job, or one of its items, waits, which the node knows. What became of an item that
// is over is looked up in its line.
#pragma once

#include "coordinator/http/api/asking.hpp"
#include "coordinator/result/line_finder.hpp"

namespace gristmill::coordinator {

class ExplainResource final : public Resource {
public:
  // As LineStore has it.
  using LinesOf =
      std::function<Result<std::shared_ptr<journal::JobLines>>(JobId, journal::LineKind)>;

  ExplainResource(AskNode ask, LinesOf lines) : ask_{std::move(ask)}, lines_of_{std::move(lines)} {}
  std::vector<Route> routes() override;

private:
  std::unique_ptr<HttpTask> explaining(const HttpRequest& head, JobId job);
  // Answers with what the node has said, and with the item's line if it may have one.
  void look_up(const wiring::ExplainJob& wanted, wiring::Explanation said, const Respond& respond);

  AskNode ask_;
  LinesOf lines_of_;
  LineFinder finder_;
};

} // namespace gristmill::coordinator
