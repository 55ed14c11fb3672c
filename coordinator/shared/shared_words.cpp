#include "coordinator/shared/shared_words.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/disk/file_io.hpp"
#include "protocol/rules/by_reference.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t name_bytes = 16;
const std::string prefix = "gristmill-";

// What our directory is called, for as long as the state lives.
Result<std::string> name_of_state(const std::string& state_directory) {
  const std::string path = state_directory + "/shared.id", draft = path + ".draft";
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    const auto file = open_file(path, O_RDONLY);
    GRISTMILL_TRY(file);
    std::string name(name_bytes, '\0');
    const auto got = read_at(*file, 0, name, path);
    GRISTMILL_TRY(got);
    if (*got == name_bytes && name.find_first_not_of("0123456789abcdef") == name.npos)
      return prefix + name;
    return fail(ErrorCode::io, fmt::format("expected a name of {} hex digits in {}, got another",
                                           name_bytes, path));
  }
  const std::string name = fmt::format("{:016x}", random_seed());
  GRISTMILL_TRY(make_directory(state_directory));
  auto file = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
  GRISTMILL_TRY(file);
  GRISTMILL_TRY(write_all_at(*file, 0, name, draft));
  GRISTMILL_TRY(sync_file(*file, draft));
  GRISTMILL_TRY(rename_file(draft, path));
  GRISTMILL_TRY(sync_directory(state_directory));
  return prefix + name;
}

} // namespace

Result<std::unique_ptr<SharedWords>> SharedWords::open(const SharedDirectory& directory,
                                                       const std::string& state_directory,
                                                       Checked checked) {
  auto name = name_of_state(state_directory);
  GRISTMILL_TRY(name);
  SharedPlace place{std::move(*name), fmt::format("{:016x}", random_seed())};
  GRISTMILL_TRY(directory.make_directory(place.directory));
  GRISTMILL_TRY(directory.write(place.directory + "/" + coordinator_word_file(), place.word));
  return std::unique_ptr<SharedWords>{
      new SharedWords{directory.path(), std::move(place), std::move(checked)}};
}

SharedWords::SharedWords(std::string path, SharedPlace place, Checked checked)
    : path_{std::move(path)}, place_{std::move(place)}, checked_{std::move(checked)},
      thread_{guarded_thread("shared words", [this] { run(); })} {}

SharedWords::~SharedWords() {
  {
    const std::lock_guard guard{mutex_};
    ends_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

void SharedWords::check(SharedCheck check) {
  const std::lock_guard guard{mutex_};
  waiting_.push_back(std::move(check));
  wake_.notify_one();
}

void SharedWords::run() {
  for (;;) {
    SharedCheck check;
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
      if (ends_) return;
      check = std::move(waiting_.front());
      waiting_.pop_front();
    }
    checked_(check.session, why_not(check));
  }
}

// The worker's file has served then.
std::string SharedWords::why_not(const SharedCheck& check) const {
  const std::string path = path_ + "/" + place_.directory + "/" + worker_word_file(check.session);
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return file.error().message;
  std::string word(check.word.size() + 1, '\0');
  const auto got = read_at(*file, 0, word, path);
  if (!got) return got.error().message;
  word.resize(*got);
  static_cast<void>(::unlink(path.c_str()));
  return word == check.word ? "" : "expected the worker's word in " + path + ", got another";
}

} // namespace gristmill::coordinator
