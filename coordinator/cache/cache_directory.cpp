#include "coordinator/cache/cache_directory.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/cache/cache_schema.hpp"
#include "coordinator/disk/sqlite_head.hpp"
#include "coordinator/disk/state_directory.hpp"

#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <thread>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr auto look_again = std::chrono::milliseconds{2};
constexpr int damaged_kept_max = 3; // further ones replace the last

constexpr char format_max = 2; // SQLite only reads what has a later one

bool is_there(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0;
}

Result<std::string> head_of(const std::string& path) {
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  GRISTMILL_TRY(file);
  std::string head(sqlite_head::bytes, '\0');
  const auto got = read_at(*file, 0, head, path);
  GRISTMILL_TRY(got);
  head.resize(*got);
  return head;
}

} // namespace

CacheDirectory::CacheDirectory(std::string path)
    : path_{std::move(path)}, file_{path_ + "/" + cache_file_name} {}

Result<CacheDirectory> CacheDirectory::make(std::string path) {
  CacheDirectory directory{std::move(path)};
  GRISTMILL_TRY(directory.open());
  return directory;
}

Result<CacheDirectory> CacheDirectory::find(std::string path) {
  const CacheDirectory looked_for{path};
  struct stat about {};
  // SQLite takes one byte for none.
  if (::lstat(looked_for.file_.c_str(), &about) != 0 || about.st_size <= 1)
    return fail(ErrorCode::not_found,
                fmt::format("expected the directory of an answer cache, there is no {} in {}: name "
                            "the one that --cache named",
                            cache_file_name, looked_for.path_));
  return make(std::move(path));
}

Result<> CacheDirectory::open() {
  GRISTMILL_TRY(make_directory(path_));
  GRISTMILL_TRY(refuse_untrusted_directory(path_, "cache directory", "--cache"));
  auto opened = open_file(path_, O_RDONLY | O_DIRECTORY);
  GRISTMILL_TRY(opened);
  directory_ = std::move(*opened);
  return {};
}

bool CacheDirectory::is_in_place() const {
  struct stat named {
  }, held{};
  return ::stat(path_.c_str(), &named) == 0 && ::fstat(directory_.get(), &held) == 0 &&
         named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

Result<std::optional<CacheLock>> CacheDirectory::lock(Access access,
                                                      std::chrono::milliseconds patience) {
  const int how = (access == Access::read ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const Time until = boot_now() + patience;
  for (;;) {
    if (::flock(directory_.get(), how) == 0) {
      CacheLock held{directory_.get()};
      if (is_in_place()) return std::optional{std::move(held)};
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      return tl::unexpected{disk_error("flock", path_)};
    }
    if (!is_in_place())
      GRISTMILL_TRY(open());
    else if (boot_now() >= until)
      return std::optional<CacheLock>{};
    else
      std::this_thread::sleep_for(look_again);
  }
}

Result<> CacheDirectory::refuse_foreign() const {
  struct stat about {};
  if (::lstat(file_.c_str(), &about) != 0)
    return errno == ENOENT ? Result<>{} : tl::unexpected{disk_error("stat", file_)};
  if (!S_ISREG(about.st_mode))
    return fail(ErrorCode::conflict, fmt::format("expected {} to be an answer cache, it is no "
                                                 "regular file: choose another directory with "
                                                 "--cache",
                                                 file_));
  const auto head = head_of(file_);
  GRISTMILL_TRY(head);
  // What is no database at all is damaged, which SQLite finds.
  if (head->size() < sqlite_head::bytes || !head->starts_with(sqlite_head::magic)) return {};
  const std::uint32_t application = sqlite_head::number_at(*head, sqlite_head::application_at);
  const std::uint32_t version = sqlite_head::number_at(*head, sqlite_head::version_at);
  if (application == 0 && sqlite_head::number_at(*head, sqlite_head::pages_at) <= 1)
    return {}; // a start that died early
  if (application != cache_application_id || (*head)[sqlite_head::format_at] > format_max)
    return fail(ErrorCode::conflict,
                fmt::format("expected an answer cache, {} is a database of another program (or "
                            "damaged at its beginning): choose another directory with --cache",
                            file_));
  if (version != cache_version)
    return fail(ErrorCode::conflict,
                fmt::format("expected version {} of an answer cache, {} has version {}: use the "
                            "release that wrote it, or choose another directory with --cache",
                            cache_version, file_, version));
  return {};
}

Result<> CacheDirectory::make_file() const {
  const auto file = open_file(file_, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  GRISTMILL_TRY(file);
  return {};
}

Result<std::string> CacheDirectory::move_aside() const {
  int number = 1;
  const auto name = [&] { return fmt::format("{}.damaged-{}", file_, number); };
  while (number < damaged_kept_max && is_there(name())) ++number;
  // Its journal first: beside a new file it would be taken for that one's.
  const std::string journal = file_ + "-journal", kept_journal = name() + "-journal";
  if (is_there(journal))
    GRISTMILL_TRY(rename_file(journal, kept_journal));
  else
    ::unlink(kept_journal.c_str());
  GRISTMILL_TRY(rename_file(file_, name()));
  return name();
}

} // namespace gristmill::coordinator
