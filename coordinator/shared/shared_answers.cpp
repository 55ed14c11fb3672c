#include "coordinator/shared/shared_answers.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {

Result<std::string> SharedAnswers::read(const openai::BodyPlace& body) {
  std::shared_ptr<SharedFile> file;
  {
    const std::lock_guard guard{mutex_};
    if (const auto known = open_.find(body.file); known != open_.end()) file = known->second;
  }
  if (!file) {
    auto opened = directory_.open_to_read(ours_ + "/" + body.file);
    if (!opened)
      return fail(opened.error().code,
                  fmt::format("the body of an answer, {} bytes at byte {} of "
                              "{}: {}",
                              body.bytes, body.offset, path_of(body.file), opened.error().message));
    file = std::make_shared<SharedFile>(std::move(*opened));
    const std::lock_guard guard{mutex_};
    if (open_.size() >= open_files_max) open_.clear();
    open_[body.file] = file;
  }
  auto text = directory_.read_range(*file, body.offset, body.bytes, body.crc);
  GRISTMILL_TRY(text);
  if (text->find('\n') == text->npos) return text;
  return fail(
      ErrorCode::io,
      fmt::format("expected the body of an answer on one line at byte {} of {}, got several",
                  body.offset, file->path()));
}

} // namespace gristmill::coordinator
