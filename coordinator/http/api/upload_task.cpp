#include "coordinator/http/api/upload_task.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/result/part_file.hpp"

#include <utility>

namespace gristmill::coordinator {

struct UploadTask::Coming {
  std::string name;
  std::optional<std::uint64_t> announced;
  bool begun = false;
  std::unique_ptr<journal::BlobWriter> upload; // none: it has not begun, has failed, or is finished
  Error failure;
  std::string gathered; // not yet on its way to the disk

  void go_on(Uploads& uploads) {
    Result<> gone_on = begun ? upload->append(gathered) : begin(uploads);
    gathered.clear();
    if (gone_on) return;
    failure = std::move(gone_on.error());
    upload.reset();
  }

private:
  Result<> begin(Uploads& uploads) {
    begun = true;
    auto started = uploads.begin(name, announced);
    GRISTMILL_TRY(started);
    upload = std::move(*started);
    return {};
  }
};

UploadTask::UploadTask(Uploads& uploads, std::string name, std::optional<std::uint64_t> bytes)
    : uploads_{uploads}, coming_{std::make_shared<Coming>()} {
  coming_->name = std::move(name);
  coming_->announced = bytes;
}

// Whoever holds it last removes what came: never the thread of this call.
UploadTask::~UploadTask() {
  uploads_.order([coming = std::move(coming_)] {});
}

bool UploadTask::wants_body() const {
  return coming_->upload != nullptr;
}

bool UploadTask::take(std::string_view piece) {
  coming_->gathered += piece;
  return true;
}

bool UploadTask::has_work() const {
  return !coming_->begun || coming_->gathered.size() >= PartFile::large_piece_bytes;
}

void UploadTask::work(std::function<void()> done) {
  uploads_.order([&uploads = uploads_, coming = coming_, done = std::move(done)] {
    coming->go_on(uploads);
    done();
  });
}

void UploadTask::finish(Respond respond) {
  if (!coming_->upload) return respond(error_response(coming_->failure));
  uploads_.finish(std::move(coming_->upload), std::move(coming_->gathered),
                  [respond](Result<journal::Blob> blob) {
                    if (!blob) return respond(error_response(blob.error()));
                    respond(json_response(
                        201, {{"id", blob->id}, {"path", blob->place}, {"bytes", blob->bytes}}));
                  });
}

} // namespace gristmill::coordinator
