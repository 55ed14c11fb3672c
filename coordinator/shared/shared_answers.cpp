#include "coordinator/shared/shared_answers.hpp"

#include "actors/kit/clock.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::string_view aside_prefix = "forgotten-"; // of answers that are being removed

// Of a directory; what cannot be read is not among them.
std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::directory_entry> entries;
  std::error_code error;
  for (std::filesystem::directory_iterator entry{directory, error}, end; !error && entry != end;
       entry.increment(error))
    entries.push_back(*entry);
  return entries;
}

} // namespace

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

std::vector<std::string> SharedAnswers::sweep(const std::set<std::string>& jobs,
                                              const std::set<std::string>& named) const {
  std::vector<std::string> unknown;
  for (const auto& job : entries_of(path_of(""))) {
    const std::string name = job.path().filename().string();
    const bool is_aside = name.starts_with(aside_prefix);
    std::error_code error;
    if ((!name.starts_with("job-") && !is_aside) || job.is_symlink(error)) continue;
    if (is_aside) {
      unknown.push_back(job.path().string());
    } else if (!jobs.contains(name)) {
      std::string aside = path_of(fmt::format("{}{}-{:016x}", aside_prefix, name, random_seed()));
      std::filesystem::rename(job.path(), aside, error);
      if (!error) unknown.push_back(std::move(aside));
    } else {
      for (const auto& file : entries_of(job.path()))
        if (!named.contains(name + "/" + file.path().filename().string()))
          std::filesystem::remove(file.path(), error);
    }
  }
  return unknown;
}

} // namespace gristmill::coordinator
