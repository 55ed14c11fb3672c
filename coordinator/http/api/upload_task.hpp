// UPLOAD TASK: an upload while its body comes. The HTTP server's thread only gathers the pieces;
// the start, each large piece, the end and the removal of what was not finished are the work of the
// threads of Uploads, and while one of them is at it the client is read no further.
// Invariant: in memory there is one piece of an upload, gathered or on its way to the disk.
#pragma once

#include "coordinator/http/server/task.hpp"
#include "coordinator/inputs/uploads.hpp"

#include <memory>
#include <optional>
#include <string>

namespace gristmill::coordinator {

class UploadTask final : public HttpTask {
public:
  // `bytes`: as announced, if they were. `uploads` must outlive it.
  UploadTask(Uploads& uploads, std::string name, std::optional<std::uint64_t> bytes);
  ~UploadTask() override;

  bool wants_body() const override;
  bool take(std::string_view piece) override;
  bool has_work() const override;
  void work(std::function<void()> done) override;
  void finish(Respond respond) override;
  std::chrono::milliseconds answer_within() const override { return disk_work_time_max; }

private:
  struct Coming;
  Uploads& uploads_;
  std::shared_ptr<Coming> coming_; // whoever is at work on it holds it, too
};

} // namespace gristmill::coordinator
